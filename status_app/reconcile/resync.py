"""The timer that compares the fleet with the table, and repairs what lost notifications left behind.

Each run queries the twins that changed since the last one. Once a day the outline of every twin is compared
(comparison.py). Once a week, and after a release or a change of settings, every whole twin is judged: rows may have
been damaged by hand, and rules may have changed. If the hub refuses the query for outlines, that happens daily; if it
refuses the one for changes, in each run.

A whole pass takes as many runs as it needs. One query pages through the twins for the time of a run, and the next run
continues. After the last page, each device of the index that was on no page is read, and removed if the hub does not
have it. The position is stored every few pages, so that a killed run, or a slow hub, loses little.

Each run also checks a part of the index (index_build.py).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import batched
from typing import Any, Final, Protocol

from status_app.errors import (
    ContinuationError,
    LostRaceError,
    OutOfTimeError,
    QueryRefusedError,
    UnavailableError,
)
from status_app.fleet_index.lookups import FleetIndex
from status_app.ingest.notifications import UNADDRESSABLE
from status_app.iothub.queries import PAGE_SIZE
from status_app.iothub.twins import TwinPage
from status_app.reconcile.batch import AT_ONCE
from status_app.reconcile.cohort_refresh import CohortRefresh
from status_app.reconcile.comparison import Comparison
from status_app.reconcile.decisions import QUERIES_LAG
from status_app.reconcile.index_build import IndexBuild
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.resync_position import Cycle, ResyncPosition, digest
from status_app.reconcile.resync_times import ResyncTimes, ResyncTimesRow
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Outcome, Queried, Unseen
from status_app.retry import Deadline
from status_app.telemetry.logs import log
from status_app.telemetry.meters import RESYNC_HEALED, record
from status_core import NAME_LIMIT

TWINS_PER_RUN: Final = 10_000
"""A hundred pages, at sixteen a minute (TWIN_QUERIES_PER_MINUTE)."""
PAGES_KEPT: Final = 5
"""The position of the cycle is stored after this many pages."""
QUERY_FOR: Final = 390.0
"""Seconds of a run in which pages are queried."""
RUN_FOR: Final = 510.0
"""Seconds of a run, including those for devices on no page."""
UNSEEN_PER_RUN: Final = 20_000
"""How many devices are read after the last page. S1 allows a hundred twin reads a second."""

_log = log(__name__)


class TwinPages(Protocol):
    """The source of the fleet's twins."""

    async def page(self, continuation: str | None, since: datetime | None = None) -> TwinPage:
        """Read one page of all `$edgeAgent` twins, or of those changed since a time."""


class Resync:
    """Makes the table equal to the hub: for changed twins in each run, for all devices each day."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a collaborator)
        self,
        index: FleetIndex,
        build: IndexBuild,
        position: ResyncPosition,
        times: ResyncTimesRow,
        reconciler: Reconciler,
        twins: TwinPages,
        comparison: Comparison,
        clock: Callable[[], datetime],
        ticks: Callable[[], float],
        cohorts: CohortRefresh,
    ) -> None:
        self._index = index
        self._build = build
        self._position = position
        self._times = times
        self._reconciler = reconciler
        self._twins = twins
        self._comparison = comparison
        self._clock = clock
        self._ticks = ticks
        self._cohorts = cohorts

    async def run(self) -> None:
        """Compare what has changed, and continue the present pass or begin one that is due.

        Raises:
            UnavailableError: The table service does not answer.
            ExceptionGroup: The hub returned no page, or some devices failed. The next cycle comes to them again.
        """
        queries, end = Deadline(QUERY_FOR, self._ticks), Deadline(RUN_FOR, self._ticks)
        cycle, report = await self._position.read(), RunReport()
        if not await self._position.take(cycle, self._clock()):
            _log.info("resync: another run is under way")
            return
        try:
            await self._pass(cycle, report, queries, end)
        except LostRaceError:
            _log.warning("resync: the lease of this run was over, and another run continues its cycle")
        await self._cohorts.run(report, end)
        try:
            async with end.limits("tables"):
                await self._build.check(report)
        except OutOfTimeError:
            _log.info("resync: the next run checks the index")
        except UnavailableError as error:
            report.errors.append(error)
        record(RESYNC_HEALED, report.outcomes[Outcome.HEALED] + report.outcomes[Outcome.REMOVED])
        report.finish("resync")

    async def _pass(self, cycle: Cycle, report: RunReport, queries: Deadline, end: Deadline) -> None:
        """Compare what is due. A whole pass that begins comes first, and leaves the changes to the next run."""
        times = await self._times.read()
        is_under_way = cycle.continuation is not None
        is_due = is_under_way or times.is_whole_due(self._clock(), self._times.version)
        if times.changed is not None and (is_under_way or not is_due):
            is_due = not await self._changes(times, report, queries, end) or is_due
            await self._times.write(times)
        if not is_due and times.is_comparison_due(self._clock()):
            try:
                await self._comparison.run(times, report, queries, end)
            except QueryRefusedError:
                _log.warning("resync: the hub refuses the query for outlines: comparing the whole fleet")
                is_due = True
            await self._times.write(times)
        if not is_due:
            await self._position.give_back(cycle)
            return
        if not is_under_way:
            times.begin_whole(self._clock())
            await self._times.write(times)
        if await self._query(cycle, report, queries, end):
            times.end_whole(self._times.version)
            await self._times.write(times)

    async def _changes(self, times: ResyncTimes, report: RunReport, queries: Deadline, end: Deadline) -> bool:
        """Compare the twins changed since the last time, and update the progress in `times`.

        Returns:
            False if the hub refuses the query.
        """
        assert times.changed is not None  # noqa: S101 (the caller has checked)
        twins, since = 0, times.changed - QUERIES_LAG
        while twins < TWINS_PER_RUN:
            queried = self._clock()
            if times.continuation is None:
                times.changes_began = queried
            try:
                async with queries.limits("iothub"):
                    page = await self._twins.page(times.continuation, since)
            except QueryRefusedError:
                _log.warning("resync: the hub refuses the query for changes: comparing the whole fleet")
                return False
            except ContinuationError:
                times.continuation = None
                twins += PAGE_SIZE  # a hub that refuses them all must not keep the run busy
                continue
            except UnavailableError as error:
                _log.info("resync: the next run continues with the changes: %s", error)
                report.errors += [] if twins else [error]
                break
            if await self._compare(page, queried, report, end) is None:
                break
            times.continuation, twins = page.continuation, twins + max(1, len(page.twins))
            if times.continuation is None:
                times.changed = times.changes_began
                break
        return True

    async def _compare(self, page: TwinPage, queried: datetime, report: RunReport, end: Deadline) -> set[int] | None:
        """Compare the devices of a page. Returns their digests; None if time ran out and the page must come again."""
        devices = {device: twin for twin in page.twins if (device := _device(twin)) is not None}
        tasks = (Queried(device, twin, queried) for device, twin in devices.items())
        results = await self._reconciler.run(tasks, end)
        report.add(results)
        if any(isinstance(result.error, OutOfTimeError) for result in results):
            return None
        return set(map(digest, devices))

    async def _query(self, cycle: Cycle, report: RunReport, queries: Deadline, end: Deadline) -> bool:
        """Compare pages up to the last one, or as long as there is time. Returns whether it was the last one."""
        added, pages, twins = set[int](), 0, 0
        while twins < TWINS_PER_RUN:
            queried = self._clock()
            try:
                async with queries.limits("iothub"):
                    page = await self._twins.page(cycle.continuation)
            except ContinuationError:
                _log.warning("resync: the hub no longer knows where the last run stopped: starting over")
                await self._position.clear(cycle)
                cycle, added = Cycle(), set()
                if not await self._position.take(cycle, self._clock()):
                    return False
                continue
            except UnavailableError as error:
                _log.info("resync: the next run continues after %d pages: %s", pages, error)
                if not pages:
                    report.errors.append(error)
                break
            found = await self._compare(page, queried, report, end)
            if found is None:
                break
            cycle.seen |= found
            added |= found
            cycle.continuation = page.continuation
            pages, twins = pages + 1, twins + max(1, len(page.twins))
            if cycle.continuation is None:
                await self._read_unseen(cycle.seen, report, end)
                await self._position.clear(cycle)
                return True
            if pages % PAGES_KEPT == 0:
                await self._position.keep(cycle, added)
                added = set()
        if pages % PAGES_KEPT:
            await self._position.write(cycle, added)
        else:
            await self._position.give_back(cycle)
        return False

    async def _read_unseen(self, seen: set[int], report: RunReport, end: Deadline) -> None:
        """Read each device of the index that was on no page. A query may lag, so a direct read decides."""
        unseen = dict[str, Unseen]()
        async for device_id in self._index.devices():
            if digest(device_id) not in seen:
                unseen[device_id] = Unseen(device_id)
            if len(unseen) == UNSEEN_PER_RUN or end.is_over:  # the rest is left to the next cycle
                break
        for number, some in enumerate(batched(unseen.values(), AT_ONCE, strict=False)):
            if end.is_over:
                report.leave(len(unseen) - number * AT_ONCE)
                return
            report.add(await self._reconciler.run(some, end))


def _device(twin: Mapping[str, Any]) -> str | None:
    device_id = twin.get("deviceId")
    if isinstance(device_id, str) and 0 < len(device_id) <= NAME_LIMIT and device_id not in UNADDRESSABLE:
        return device_id
    _log.error("resync: the hub sent a twin without the id of a device, or with an id that no request can name")
    return None
