"""When the fleet was compared: a row of DeploymentIndex, in the partition `compared`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from status_app.storage.client import find_row, table_errors
from status_app.version import VERSION

COMPARE_EVERY: Final = timedelta(hours=23, minutes=30)
"""From the start of one comparison to the next: a day of hourly runs."""
WHOLE_EVERY: Final = timedelta(days=6, hours=23, minutes=30)
"""From the start of one whole pass to the next: a week of hourly runs."""

_DIGEST: Final = 8
_KEY: Final = {"PartitionKey": "compared", "RowKey": "times"}
_COLUMNS: Final = {
    "whole": "Whole",
    "whole_began": "WholeBegan",
    "changed": "Changed",
    "changes_began": "ChangesBegan",
    "continuation": "Continuation",
    "version": "AppVersion",
    "compared": "Compared",
    "comparison_began": "ComparisonBegan",
}


@dataclass(frozen=True, slots=True)
class ComparisonPlace:
    """How far a comparison has come.

    Attributes:
        shard: The number of the partition of the index.
        after: The last RowKey in it that was compared; None if none was.
    """

    shard: int = 0
    after: str | None = None


@dataclass(slots=True)
class ResyncTimes:
    """The progress of resync.

    Attributes:
        whole: When the last complete whole pass began; None if there was none.
        whole_began: When the present or the last one began.
        changed: Twins changed before this time were compared; None if none were.
        changes_began: When the last query for changes began.
        continuation: Where that query continues; None if it is complete.
        version: The release that made the last whole pass, and a digest of its settings.
        compared: When the last complete comparison, or whole pass, began; None if there was none.
        comparison_began: When the present or the last comparison began.
        place: Where the present comparison continues; None if there is none.
    """

    whole: datetime | None = None
    whole_began: datetime | None = None
    changed: datetime | None = None
    changes_began: datetime | None = None
    continuation: str | None = None
    version: str = ""
    compared: datetime | None = None
    comparison_began: datetime | None = None
    place: ComparisonPlace | None = None

    def is_whole_due(self, now: datetime, version: str) -> bool:
        """Whether every whole twin must be judged: once a week, and after a release or a change of settings."""
        return self.whole is None or self.version != version or now - self.whole >= WHOLE_EVERY

    def is_comparison_due(self, now: datetime) -> bool:
        """Whether the outline of every twin must be compared: once a day."""
        return self.place is not None or self.compared is None or now - self.compared >= COMPARE_EVERY

    def begin_whole(self, now: datetime) -> None:
        """Begin a whole pass. Later changes are left to the queries for changes, and the comparison is dropped."""
        self.whole_began, self.place = now, None
        self.changed, self.changes_began = self.changed or now, self.changes_began or now

    def end_whole(self, version: str) -> None:
        """End the whole pass."""
        self.whole, self.compared, self.version = self.whole_began, self.whole_began, version


class ResyncTimesRow:
    """Stores the progress. Every method raises UnavailableError if the table service does not answer."""

    def __init__(self, client: TableClient, settings: Mapping[str, str]) -> None:
        """Prepare to store it.

        Args:
            client: The table.
            settings: The settings that affect judgments.
        """
        self._client = client
        judged_by = json.dumps(settings, sort_keys=True).encode()
        self._settings = hashlib.blake2b(judged_by, digest_size=_DIGEST).hexdigest()

    @property
    def version(self) -> str:
        """This release, and a digest of the settings."""
        return f"{VERSION} {self._settings}"

    async def read(self) -> ResyncTimes:
        """Read the progress."""
        row: Mapping[str, Any] = await find_row(self._client, _KEY) or {}
        place = ComparisonPlace(row["Shard"], row.get("After")) if "Shard" in row else None
        kept = {field: row[column] for field, column in _COLUMNS.items() if column in row}
        return ResyncTimes(**kept, place=place)

    async def write(self, times: ResyncTimes) -> None:
        """Store the progress."""
        columns = {column: getattr(times, field) for field, column in _COLUMNS.items()}
        if times.place is not None:
            columns |= {"Shard": times.place.shard, "After": times.place.after}
        row = {**_KEY, **{name: value for name, value in columns.items() if value is not None}}
        with table_errors():
            await self._client.upsert_entity(row, UpdateMode.REPLACE)
