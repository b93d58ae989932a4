"""When the fleet was compared: a row of DeploymentIndex, in the partition `compared`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from status_app.storage.client import table_errors
from status_app.version import VERSION

WHOLE_EVERY: Final = timedelta(hours=23, minutes=30)
"""From the beginning of a whole pass to that of the next one: a day of hourly runs."""

_KEY: Final = {"PartitionKey": "compared", "RowKey": "times"}


@dataclass(slots=True)
class ResyncTimes:
    """How far resync is.

    Attributes:
        whole: When the last whole pass began that has come to its end; None: there was none.
        whole_began: When the one under way began, or the last one.
        changed: Twins that have changed before this were compared; None: nothing was.
        changes_began: When the last query for changes began.
        continuation: Where that one goes on; None: it has come to its end.
        version: The release that made the last whole pass.
    """

    whole: datetime | None = None
    whole_began: datetime | None = None
    changed: datetime | None = None
    changes_began: datetime | None = None
    continuation: str | None = None
    version: str = ""

    def is_whole_due(self, now: datetime) -> bool:
        """Whether every twin has to be compared: once a day, and after a release, whose rules may be others."""
        return self.whole is None or self.version != VERSION or now - self.whole >= WHOLE_EVERY

    def begin_whole(self, now: datetime) -> None:
        """A whole pass begins: what changes from now on is found by queries for changes."""
        self.whole_began = now
        self.changed, self.changes_began = self.changed or now, self.changes_began or now

    def end_whole(self) -> None:
        """The whole pass has come to its end."""
        self.whole, self.version = self.whole_began, VERSION


class ResyncTimesRow:
    """Keeps the times. Every method raises UnavailableError where the table service does not answer."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def read(self) -> ResyncTimes:
        """The times as they are kept."""
        query = " and ".join(f"{name} eq '{value}'" for name, value in _KEY.items())
        with table_errors():
            async for row in self._client.query_entities(query):
                return ResyncTimes(
                    row.get("Whole"),
                    row.get("WholeBegan"),
                    row.get("Changed"),
                    row.get("ChangesBegan"),
                    row.get("Continuation"),
                    row.get("AppVersion", ""),
                )
        return ResyncTimes()

    async def write(self, times: ResyncTimes) -> None:
        """Keep the times."""
        columns = {
            "Whole": times.whole,
            "WholeBegan": times.whole_began,
            "Changed": times.changed,
            "ChangesBegan": times.changes_began,
            "Continuation": times.continuation,
            "AppVersion": times.version,
        }
        row = {**_KEY, **{name: value for name, value in columns.items() if value is not None}}
        with table_errors():
            await self._client.upsert_entity(row, UpdateMode.REPLACE)
