"""Heartbeats: when each timer and the trigger ran last, how long that took, and what came of it.

A row each in the partition `heartbeats` of DeploymentIndex (docs/tables.md). A run that fails leaves the time of the
last success as it was: so a row says both that it runs, and since when it has failed.
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
"""Between two heartbeats of the trigger in one process: a flood of batches writes no flood of rows."""

_DETAIL: Final = 200

_log = log(__name__)


class Source(StrEnum):
    """What has a heartbeat, by the name of its function."""

    FLAG_STUCK = "flag_stuck"
    """The timer of each minute."""
    RESYNC = "resync"
    """The timer of the whole fleet."""
    ON_TWIN_CHANGES = "on_twin_changes"
    """The trigger: it is silent while no twin changes, so its silence is no fault."""


TIMERS: Final = (Source.FLAG_STUCK, Source.RESYNC)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last run of a timer or of the trigger.

    Attributes:
        ran_at: When it ended, in UTC.
        succeeded_at: When it last ended without an error; None: never.
        seconds: How long it took.
        error: What stopped it, in a few words; empty where it succeeded.
        event_at: Of the trigger: when the newest event of its batch came into the event hub.
        lag: Of the trigger: the age of the oldest event of its batch as it began, in seconds.
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
        """A run: its heartbeat is written at its end, and what it raises is raised.

        A heartbeat that cannot be written is logged, and changes nothing of the run.

        Args:
            source: What runs.
            enqueued: When the events of a batch came into the event hub; None of an event where that is unknown.
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
        """The last run of each that has run. One request; no table is as an empty one.

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
                await self._client.upsert_entity(row)  # merged: a failure leaves SucceededAt as it was
        except (UnavailableError, HttpResponseError) as failure:
            _log.warning("%s: its heartbeat is not written: %s", source, _words(failure))


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
    """An error in a few words. Only the app's own say more than their type: others may quote a request."""
    if isinstance(error, ExceptionGroup):
        return f"{_words(error.exceptions[0])} ({len(error.exceptions)} errors)"[:_DETAIL]
    return (str(error) if isinstance(error, UnavailableError) else type(error).__name__)[:_DETAIL]
