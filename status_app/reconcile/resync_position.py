"""The position of a resync that takes several runs: two kinds of rows in one partition of DeploymentIndex.

resync   position        the hub's continuation, how many rows of devices belong to it, and the lease of a run
resync   seen:<number>   the devices seen between two writes of the position, eight bytes of a hash each
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from status_app.errors import LostRaceError
from status_app.storage.client import table_errors

LEASE: Final = timedelta(minutes=10)
"""How long a run keeps others out; it ends by then (functionTimeout of host.json). A crash leaves the lease behind."""

_PARTITION: Final = "resync"
_POSITION: Final = "position"
_DIGEST: Final = 8
_OVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMN: Final = 65_536
"""Bytes that a column holds."""


def digest(device_id: str) -> int:
    """Hash a device id to a number. In a fleet of a million the odds of a collision are 1 to 37 million."""
    return int.from_bytes(hashlib.blake2b(device_id.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest())


@dataclass(slots=True)
class Cycle:
    """One resync of the whole fleet.

    Attributes:
        continuation: Where it continues; None at its beginning.
        runs: How many times devices were stored in the table.
        seen: Digests of the devices that were on a page.
        kept: Keys of the rows in the table, including those that a crash left of an earlier cycle.
        leased_until: Until when another run holds it.
        etag: ETag of the position row; None if there is none.
    """

    continuation: str | None = None
    runs: int = 0
    seen: set[int] = field(default_factory=set)
    kept: set[str] = field(default_factory=set, compare=False)
    leased_until: datetime = field(default=_OVER, compare=False)
    etag: str | None = field(default=None, compare=False)


class ResyncPosition:
    """Stores a cycle between runs."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def read(self) -> Cycle:
        """Read the present cycle, or begin a new one.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            rows = {row["RowKey"]: row async for row in self._client.query_entities(f"PartitionKey eq '{_PARTITION}'")}
        position = rows.get(_POSITION)
        if position is None:
            return Cycle(kept=set(rows))
        cycle = Cycle(position.get("Continuation"), position.get("Runs", 0), kept=set(rows))
        cycle.leased_until, cycle.etag = position.get("LeasedUntil", _OVER), position.metadata["etag"]
        for run in range(cycle.runs):
            cycle.seen.update(_digests(rows[_seen(run)]))
        return cycle

    async def take(self, cycle: Cycle, now: datetime) -> bool:
        """Take the lease of a cycle, so that no other run continues it. `write` and `clear` release it.

        Returns:
            False if another run holds it.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if cycle.leased_until > now:
            return False
        row = {"PartitionKey": _PARTITION, "RowKey": _POSITION, "LeasedUntil": now + LEASE}
        try:
            with table_errors(guarded=True):
                if cycle.etag is None:
                    written = await self._client.create_entity(row)
                else:
                    written = await self._client.update_entity(row, **_if_unchanged(cycle))
        except LostRaceError:
            return False
        cycle.etag = str(written["etag"])
        cycle.kept.add(_POSITION)
        return True

    async def give_back(self, cycle: Cycle) -> None:
        """Release the lease of a cycle that has not progressed since it was stored.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if cycle.continuation is None:
            await self.clear(cycle)
            return
        with table_errors():
            await self._client.upsert_entity({"PartitionKey": _PARTITION, "RowKey": _POSITION, "LeasedUntil": _OVER})

    async def keep(self, cycle: Cycle, added: Iterable[int]) -> None:
        """Store the position of a cycle, and keep its lease.

        Args:
            cycle: The cycle, with its lease taken.
            added: What was seen since it was stored.

        Raises:
            LostRaceError: The lease was over, and another run has taken it.
            UnavailableError: The table service does not answer.
        """
        await self._put_seen(cycle, added)
        row = {**_position(cycle), "Runs": cycle.runs + 1}
        with table_errors(guarded=True):
            written = await self._client.update_entity(row, **_if_unchanged(cycle))
        cycle.etag, cycle.runs = str(written["etag"]), cycle.runs + 1

    async def write(self, cycle: Cycle, added: Iterable[int]) -> None:
        """Store the position of a cycle, and release its lease.

        Args:
            cycle: The cycle.
            added: What was seen since it was stored.

        Raises:
            UnavailableError: The table service does not answer.
        """
        await self._put_seen(cycle, added)
        row = {**_position(cycle), "Runs": cycle.runs + 1, "LeasedUntil": _OVER}
        with table_errors():
            await self._client.upsert_entity(row)
        cycle.kept.add(_POSITION)

    async def _put_seen(self, cycle: Cycle, added: Iterable[int]) -> None:
        """Store what was seen. The position is stored afterwards, so that a crash in between repeats the pages."""
        packed = b"".join(number.to_bytes(_DIGEST) for number in added)
        columns = {
            f"Digests{start // _COLUMN:02d}": packed[start : start + _COLUMN]
            for start in range(0, len(packed), _COLUMN)
        }
        row_key = _seen(cycle.runs)
        seen = {"PartitionKey": _PARTITION, "RowKey": row_key, **columns}
        with table_errors():
            # Replace the row: what a crash left in a longer one would count as seen by this cycle.
            await self._client.upsert_entity(seen, UpdateMode.REPLACE)
        cycle.kept.add(row_key)

    async def clear(self, cycle: Cycle) -> None:
        """Delete a finished cycle. The position goes first, so that what a crash leaves belongs to no cycle.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            for row in sorted(cycle.kept, key=lambda row: row != _POSITION):
                await self._client.delete_entity(_PARTITION, row)


def _position(cycle: Cycle) -> dict[str, Any]:
    return {"PartitionKey": _PARTITION, "RowKey": _POSITION, "Continuation": cycle.continuation}


def _if_unchanged(cycle: Cycle) -> dict[str, Any]:
    return {"etag": cycle.etag, "match_condition": MatchConditions.IfNotModified}


def _seen(run: int) -> str:
    return f"seen:{run:05d}"


def _digests(row: Mapping[str, Any]) -> Iterable[int]:
    packed = b"".join(row[name] for name in sorted(row) if name.startswith("Digests"))
    return (int.from_bytes(packed[start : start + _DIGEST]) for start in range(0, len(packed), _DIGEST))
