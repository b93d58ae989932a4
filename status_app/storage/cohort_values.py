"""The values of tags that have counters, the first ones found: the row `app|cohorts` of the table Deployments."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from status_app.errors import LostRaceError, UnavailableError
from status_app.storage.client import find_row, table_errors

VALUES: Final = 20
"""How many values of a tag have their own counters. Each further one counts as `OTHER`."""
OTHER: Final = "~other"
_KEY: Final = {"PartitionKey": "app", "RowKey": "cohorts"}
_TRIES: Final = 5


class CohortValues:
    """The values of each tag that have counters. A value keeps its counters forever."""

    def __init__(self, client: TableClient) -> None:
        self._client = client
        self._known: dict[str, list[str]] = {}
        self._etag: str | None = None

    async def counted(self, values: Mapping[str, Iterable[str]]) -> Mapping[str, frozenset[str]]:
        """Return the values of each tag that have counters. New ones are added in order while there is room.

        Args:
            values: Values by tag.

        Raises:
            UnavailableError: The table service does not answer, or other writers were always first.
        """
        for _ in range(_TRIES):
            if not self._with_room(values):
                return {tag: frozenset(known) for tag, known in self._known.items()}
            await self._read()
            wanted = self._with_room(values)
            if not wanted:
                continue
            known = {tag: [*self._known.get(tag, ()), *new] for tag, new in wanted.items()}
            try:
                await self._write({**self._known, **known})
            except LostRaceError:
                continue
        raise UnavailableError("tables", "other writers were always first with the values of tags")

    async def counts(self, tag: str, value: str) -> bool:
        """Whether a value has its own counters, or will have them once a device has it. At most one request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if value not in self._known.get(tag, ()):
            await self._read()
        known = self._known.get(tag, ())
        return value == OTHER or value in known or len(known) < VALUES

    def _with_room(self, values: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        """Return the new values that there is room for."""
        found = {}
        for tag, some in values.items():
            known = self._known.get(tag, [])
            new = [value for value in dict.fromkeys(some) if value not in known][: VALUES - len(known)]
            if new:
                found[tag] = new
        return found

    async def _read(self) -> None:
        row = await find_row(self._client, _KEY)
        self._known = json.loads(row["Values"]) if row is not None else {}
        self._etag = str(row.metadata["etag"]) if row is not None else None

    async def _write(self, known: dict[str, list[str]]) -> None:
        row: dict[str, Any] = {**_KEY, "Values": json.dumps(known)}
        with table_errors(guarded=True):
            if self._etag is None:
                try:
                    answer = await self._client.create_entity(row)
                except ResourceExistsError:
                    raise LostRaceError("another process was first") from None
            else:
                answer = await self._client.update_entity(
                    row, mode=UpdateMode.REPLACE, etag=self._etag, match_condition=MatchConditions.IfNotModified
                )
        self._known, self._etag = known, str(answer["etag"])
