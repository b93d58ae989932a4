"""Checks the tables: their address, the caller's access, and what they show about the app."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline import PipelineResponse
from azure.data.tables.aio import TableServiceClient

from status_app.commands.doctor.step import Step, ok, skipped, wrong
from status_app.errors import UnavailableError
from status_app.fleet_index import lookups
from status_app.fleet_index.lookups import FleetIndex
from status_app.fleet_index.rows import PUBLISH
from status_app.ingest import dead_letters
from status_app.ingest.dead_letters import DeadLetters
from status_app.queries.health import timer_problems
from status_app.rollouts import deployment_rows
from status_app.status_table import reader
from status_app.storage.client import PAGE
from status_app.storage.heartbeats import TIMERS, Heartbeat, Heartbeats, Source

CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""How far a clock may be off. Beyond that Azure refuses signatures and tokens."""
WAITING: Final = timedelta(minutes=5)
"""After this time an event that was not published, or not received, counts as waiting."""

_TABLES: Final = (reader.TABLE, lookups.TABLE, deployment_rows.TABLE, dead_letters.TABLE)
_REFUSALS: Final = (401, 403)
_ROLE: Final = 'az role assignment create --role "Storage Table Data Reader" --assignee YOU --scope STORAGE_ACCOUNT_ID'


class TableChecks:
    """Reads the tables, and writes nothing.

    Attributes:
        heartbeats: The heartbeats of timers and trigger; None if they could not be read.
    """

    def __init__(
        self,
        service: TableServiceClient,
        schedules: Mapping[str, str],
        clock: Callable[[], datetime],
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._service = service
        self._schedules = schedules
        self._clock = clock
        self._wall_clock = wall_clock
        self.heartbeats: Mapping[Source, Heartbeat] | None = None
        self._date: datetime | None = None

    async def run(self) -> AsyncIterator[Step]:
        """Yield each step as it is taken. Steps that depend on an unreadable table are left out."""
        readable = True
        for table in _TABLES:
            step = await self._table(table)
            readable = readable and not step.mend
            yield step
            if self._date is None:  # nothing answers: the other steps would only time out too
                return
        if self._date is not None:
            yield self._clocks(self._date)
        if not readable:
            return
        try:
            for step in await self._rows():
                yield step
        except UnavailableError as error:
            yield wrong("tables", "their rows", f"they answered once, but not again ({error})", "run doctor again")

    async def _rows(self) -> list[Step]:
        index_client = self._service.get_table_client(lookups.TABLE)
        beats = self.heartbeats = await Heartbeats(index_client, self._clock).read()
        timers = [self._timer(timer, beats) for timer in TIMERS]
        return [*timers, await self._unpublished(FleetIndex(index_client)), await self._dead_letters()]

    async def _table(self, table: str) -> Step:
        name, asked = f"table {table}", "a row"
        client = self._service.get_table_client(table)
        try:
            rows = client.list_entities(results_per_page=1, select=["RowKey"], raw_response_hook=self._take_date)
            async for _ in rows:
                break
        except ResourceNotFoundError:
            return wrong(name, asked, "the table does not exist", "start the app, which creates it, or: azd provision")
        except HttpResponseError as error:
            if error.status_code in _REFUSALS:
                return wrong(name, asked, f"access is refused (answer {error.status_code})", _ROLE)
            if error.status_code is None:
                return wrong(name, asked, "nobody is signed in here", "az login")
            return wrong(name, asked, f"answer {error.status_code}", "look at the storage account in the portal")
        except AzureError as error:
            answer = f"nothing answers at the address of STATUS_TABLES ({type(error).__name__})"
            return wrong(name, asked, answer, "az storage account show --name ACCOUNT --query primaryEndpoints.table")
        return ok(name, asked, "it can be read")

    def _take_date(self, response: PipelineResponse[Any, Any]) -> None:
        self._date = parsedate_to_datetime(response.http_response.headers["Date"]).astimezone(UTC)

    def _clocks(self, date: datetime) -> Step:
        apart = self._wall_clock() - date
        words = f"{_length(abs(apart))} {'ahead of' if apart > timedelta(0) else 'behind'} the table service's"
        if abs(apart) > CLOCKS_DIFFER:
            return wrong("clock", "the time", f"the clock of this machine is {words}", "set the clock of this machine")
        return ok("clock", "the time", "the clock of this machine is right")

    def _timer(self, timer: Source, beats: Mapping[Source, Heartbeat]) -> Step:
        name, asked = f"timer {timer}", "its heartbeat"
        mend = f"az functionapp function show -g GROUP -n APP --function-name {timer}; then: azd monitor --logs"
        problems = [word for word in timer_problems(beats, self._schedules, self._clock()) if word.startswith(timer)]
        beat = beats.get(timer)
        if beat is None:
            return wrong(name, asked, "it never ran", mend)
        answer = f"it ran {_length(self._clock() - beat.ran_at)} ago, for {beat.seconds:.0f} s"
        answer += f", and failed: {beat.error}" if beat.error else ""
        return wrong(name, asked, answer, mend) if problems else ok(name, asked, answer)

    async def _unpublished(self, index: FleetIndex) -> Step:
        name, asked = "events that are not published", "rows of unsent events"
        found = await index.page(f"{PUBLISH}|", None, PAGE)
        written = [entry.written for entry in found if entry.written is not None]
        waiting = [time for time in written if self._clock() - time > WAITING]
        if waiting:
            devices = "1 device" if len(waiting) == 1 else f"{len(waiting)} devices"
            answer = f"on {devices}, for {_length(self._clock() - min(waiting))} or less"
            return wrong(name, asked, answer, "give the app the role Azure Event Hubs Data Sender on TRANSITIONS_HUB")
        return ok(name, asked, "none is waiting")

    async def _dead_letters(self) -> Step:
        name, asked = "dead letters", "what could not be processed"
        async for page in DeadLetters(self._service.get_table_client(dead_letters.TABLE)).pages():
            if page:
                answer = f"{len(page)}{' or more' if len(page) >= dead_letters.PAGE else ''}"
                return wrong(name, asked, answer, "python -m status_app replay-dead-letters --dry-run")
        return ok(name, asked, "none")


def trigger_step(beats: Mapping[Source, Heartbeat] | None, newest: datetime | None, now: datetime) -> Step:
    """Check whether the trigger receives what is in the event hub.

    Args:
        beats: Heartbeats; None if they could not be read.
        newest: When the newest event entered the event hub; None if unknown, or there is none.
        now: The time in UTC.
    """
    name, asked = "trigger on_twin_changes", "its heartbeat, and the newest event of the event hub"
    mend = "azd monitor --logs; then: az functionapp restart -g GROUP -n APP"
    if beats is None:
        return skipped(name, asked, "the heartbeats could not be read")
    beat = beats.get(Source.ON_TWIN_CHANGES)
    taken = None if beat is None else beat.event_at
    if newest is not None and now - newest > WAITING and (taken is None or newest - taken > WAITING):
        return wrong(name, asked, f"the newest event came {_length(now - newest)} ago, and was not received", mend)
    if beat is None:
        return ok(name, asked, "no event has come yet")
    if beat.error:
        return wrong(name, asked, f"it ran {_length(now - beat.ran_at)} ago, and failed: {beat.error}", mend)
    last = "" if taken is None else f"; the last event came {_length(now - taken)} ago"
    lag = "" if beat.lag is None else f", lag {beat.lag:.0f} s"
    return ok(name, asked, f"it ran {_length(now - beat.ran_at)} ago{lag}{last}")


def _length(length: timedelta) -> str:
    seconds = max(0, int(length.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"  # noqa: PLR2004 (easier to read)
