"""The timer that compares the whole fleet with the table: it heals what a lost notification left behind.

One query pages through the twins, for the time of a run; the next run goes on where the last one stopped. After the
last page each device of the index that no page held is looked at, and removed where the hub does not have it. Where it
has come to is kept every few pages, so that a run which is killed, or that meets a slow hub, has not been in vain.

Each run checks a part of the index too (index_build.py).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import batched
from typing import Any, Final, Protocol

from status_app.errors import ContinuationError, LostRaceError, OutOfTimeError, UnavailableError
from status_app.fleet_index.lookups import FleetIndex
from status_app.ingest.notifications import UNADDRESSABLE
from status_app.iothub.twins import TwinPage
from status_app.reconcile.batch import AT_ONCE
from status_app.reconcile.cohort_refresh import CohortRefresh
from status_app.reconcile.index_build import IndexBuild
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.resync_position import Cycle, ResyncPosition, digest
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Outcome, Queried, Unseen
from status_app.retry import Deadline
from status_app.telemetry.logs import log
from status_app.telemetry.meters import RESYNC_HEALED, record
from status_core import NAME_LIMIT

TWINS_PER_RUN: Final = 10_000
"""A hundred pages: sixteen a minute are asked for (TWIN_QUERIES_PER_MINUTE)."""
PAGES_KEPT: Final = 5
"""After so many pages it is kept where the cycle has come to."""
QUERY_FOR: Final = 390.0
"""Seconds of a run in which pages are asked for."""
RUN_FOR: Final = 510.0
"""Seconds of a run, with those for devices that were on no page."""
LOOKS_PER_RUN: Final = 20_000
"""Devices that are looked at after the last page. S1 allows a hundred twin reads a second."""

_log = log(__name__)


class TwinPages(Protocol):
    """Where the twins of the fleet are queried."""

    async def page(self, continuation: str | None) -> TwinPage:
        """One page of all `$edgeAgent` twins."""


class Resync:
    """Makes the table equal to what the hub holds, for every device."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a part that it needs)
        self,
        index: FleetIndex,
        build: IndexBuild,
        position: ResyncPosition,
        reconciler: Reconciler,
        twins: TwinPages,
        clock: Callable[[], datetime],
        ticks: Callable[[], float],
        cohorts: CohortRefresh,
    ) -> None:
        self._index = index
        self._build = build
        self._position = position
        self._reconciler = reconciler
        self._twins = twins
        self._clock = clock
        self._ticks = ticks
        self._cohorts = cohorts

    async def run(self) -> None:
        """Go on with the cycle under way, or begin one.

        Raises:
            UnavailableError: The table service does not answer.
            ExceptionGroup: The hub gave no page; or some devices could not be looked at, and the next cycle comes to
                them again.
        """
        queries, end = Deadline(QUERY_FOR, self._ticks), Deadline(RUN_FOR, self._ticks)
        cycle, report = await self._position.read(), RunReport()
        if not await self._position.take(cycle, self._clock()):
            _log.info("resync: another run is under way")
            return
        try:
            await self._query(cycle, report, queries, end)
        except LostRaceError:
            _log.warning("resync: this run was over, and another goes on with its cycle")
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

    async def _query(self, cycle: Cycle, report: RunReport, queries: Deadline, end: Deadline) -> None:
        """Take pages, until the last of them, or as many as there is time for."""
        added, pages, twins = set[int](), 0, 0
        while twins < TWINS_PER_RUN:
            queried = self._clock()
            try:
                async with queries.limits("iothub"):
                    page = await self._twins.page(cycle.continuation)
            except ContinuationError:
                _log.warning("resync: the hub no longer knows where the last run stopped, and it begins anew")
                await self._position.clear(cycle)
                cycle, added = Cycle(), set()
                if not await self._position.take(cycle, self._clock()):
                    return
                continue
            except UnavailableError as error:
                _log.info("resync: the next run goes on behind %d pages: %s", pages, error)
                if not pages:
                    report.errors.append(error)
                break
            devices = {device: twin for twin in page.twins if (device := _device(twin)) is not None}
            tasks = [Queried(device, twin, queried) for device, twin in devices.items()]
            results = await self._reconciler.run(tasks, end)
            report.add(results)
            if any(isinstance(result.error, OutOfTimeError) for result in results):
                break  # this page again
            found = set(map(digest, devices))
            cycle.seen |= found
            added |= found
            cycle.continuation = page.continuation
            pages, twins = pages + 1, twins + max(1, len(page.twins))
            if cycle.continuation is None:
                await self._look_for_the_gone(cycle.seen, report, end)
                await self._position.clear(cycle)
                return
            if pages % PAGES_KEPT == 0:
                await self._position.keep(cycle, added)
                added = set()
        if pages % PAGES_KEPT:
            await self._position.write(cycle, added)
        else:
            await self._position.give_back(cycle)

    async def _look_for_the_gone(self, seen: set[int], report: RunReport, end: Deadline) -> None:
        """Look at each device of the index that was on no page: a query may lag, so a read decides."""
        unseen = dict[str, Unseen]()
        async for device_id in self._index.devices():
            if digest(device_id) not in seen:
                unseen[device_id] = Unseen(device_id)
            if len(unseen) == LOOKS_PER_RUN or end.is_over:  # the next cycle comes to the others
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
    _log.error("resync: the hub sent a twin without the id of a device, or with one that no request can name")
    return None
