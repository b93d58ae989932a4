"""Heartbeats: the last run of each timer and the trigger, its duration, and its result.

Each is a row in the partition `heartbeats` of DeploymentIndex (docs/tables.md). A failed run keeps the time of the last
success, so a row shows that it runs, and since when it fails.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables.aio import TableClient

from status_app.errors import UnavailableError
from status_app.storage.client import table_errors
from status_app.telemetry.logs import log
from status_app.telemetry.meters import TIMER_SUCCESS, record
from status_app.version import VERSION

PARTITION: Final = "heartbeats"
TRIGGER_EVERY: Final = timedelta(minutes=1)
"""Shortest time between two heartbeats of the trigger in one process, so that many batches do not write many rows."""

_DETAIL: Final = 200

_log = log(__name__)


class Source(StrEnum):
    """What has a heartbeat, by the name of its function."""

    FLAG_STUCK = "flag_stuck"
    """The timer of each minute."""
    RESYNC = "resync"
    """The timer of the whole fleet."""
    ON_TWIN_CHANGES = "on_twin_changes"
    """The trigger. It is silent while no twin changes, so silence is not a fault."""


TIMERS: Final = (Source.FLAG_STUCK, Source.RESYNC)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last run of a timer or of the trigger.

    Attributes:
        ran_at: When it ended, in UTC.
        succeeded_at: When it last ended without an error; None if never.
        seconds: How long it took.
        error: What stopped it, in a few words; empty if it succeeded.
        event_at: Of the trigger: when the newest event of its batch entered the event hub.
        lag: Of the trigger: the age of the oldest event of its batch when the run began, in seconds.
        version: The version of the app that ran.
    """

    ran_at: datetime
    succeeded_at: datetime | None
    seconds: float
    error: str
    event_at: datetime | None
    lag: float | None
    version: str


class Heartbeats:
    """Writes and reads heartbeats."""

    def __init__(self, client: TableClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._trigger_kept: datetime | None = None

    @asynccontextmanager
    async def beating(self, source: Source, enqueued: Sequence[datetime | None] = ()) -> AsyncIterator[None]:
        """Write the heartbeat of a run at its end, and let its error pass.

        A heartbeat that cannot be written is logged, and does not affect the run.

        Args:
            source: What runs.
            enqueued: When the events of a batch entered the event hub; None for each where that is unknown.
        """
        began = self._clock()
        try:
            yield
        except Exception as error:
            await self._keep(source, began, _words(error), enqueued)
            raise
        if source in TIMERS:
            record(TIMER_SUCCESS, 1, {"timer": source})
        await self._keep(source, began, "", enqueued)

    async def read(self) -> dict[Source, Heartbeat]:
        """Read the last run of each source that has run. A missing table counts as empty. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        query = f"PartitionKey eq '{PARTITION}'"
        try:
            with table_errors():
                rows = {row["RowKey"]: row async for row in self._client.query_entities(query)}
        except ResourceNotFoundError:
            return {}
        return {source: _heartbeat(rows[source]) for source in Source if source in rows}

    async def _keep(self, source: Source, began: datetime, error: str, enqueued: Sequence[datetime | None]) -> None:
        now = self._clock()
        if source is Source.ON_TWIN_CHANGES:
            if self._trigger_kept is not None and now - self._trigger_kept < TRIGGER_EVERY:
                return
            self._trigger_kept = now
        times = [time for time in enqueued if time is not None]
        row = {
            "PartitionKey": PARTITION,
            "RowKey": source.value,
            "RanAt": now,
            "Seconds": (now - began).total_seconds(),
            "Error": error,
            "AppVersion": VERSION,
            **({} if error else {"SucceededAt": now}),
            **({"EventAt": max(times), "Lag": max(0.0, (began - min(times)).total_seconds())} if times else {}),
        }
        try:
            with table_errors():
                await self._client.upsert_entity(row)  # merged: a failure keeps SucceededAt
        except (UnavailableError, HttpResponseError) as failure:
            _log.warning("%s: its heartbeat was not written: %s", source, _words(failure))


def _heartbeat(row: Mapping[str, Any]) -> Heartbeat:
    return Heartbeat(
        ran_at=row["RanAt"],
        succeeded_at=row.get("SucceededAt"),
        seconds=row["Seconds"],
        error=row["Error"],
        event_at=row.get("EventAt"),
        lag=row.get("Lag"),
        version=row["AppVersion"],
    )


def _words(error: Exception) -> str:
    """Describe an error in a few words: of foreign errors, which may quote a request, only the type."""
    if isinstance(error, ExceptionGroup):
        return f"{_words(error.exceptions[0])} ({len(error.exceptions)} errors)"[:_DETAIL]
    return (str(error) if isinstance(error, UnavailableError) else type(error).__name__)[:_DETAIL]
