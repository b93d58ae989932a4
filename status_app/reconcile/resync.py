"""The timer that compares the whole fleet with the table: it heals what a lost notification left behind.

One query pages through the twins, a budget a run; the next run goes on where the last one stopped. After the last page
each device of the index that no page held is looked at, and removed where the hub does not have it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import batched
from typing import Any, Final, Protocol

from status_app.errors import ContinuationError, UnavailableError
from status_app.fleet_index.lookups import FleetIndex
from status_app.ingest.notifications import Notification
from status_app.iothub.twins import TwinPage
from status_app.reconcile.reconciler import AT_ONCE, Reconciler
from status_app.reconcile.resync_position import Cycle, ResyncPosition, digest
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Notified, Outcome, Queried
from status_app.telemetry.logs import log
from status_app.telemetry.meters import RESYNC_HEALED, record
from status_core import NAME_LIMIT

TWINS_PER_RUN: Final = 10_000
"""A hundred pages: IoT Hub lets an S1 unit ask for some twenty a minute, and a function may run for ten."""
LOOKS_PER_RUN: Final = 20_000
"""Devices that are looked at after the last page. S1 allows a hundred twin reads a second."""

_log = log(__name__)


class TwinPages(Protocol):
    """Where the twins of the fleet are queried."""

    async def page(self, continuation: str | None) -> TwinPage:
        """One page of all `$edgeAgent` twins."""


class Resync:
    """Makes the table equal to what the hub holds, for every device."""

    def __init__(
        self,
        index: FleetIndex,
        position: ResyncPosition,
        reconciler: Reconciler,
        twins: TwinPages,
        clock: Callable[[], datetime],
    ) -> None:
        self._index = index
        self._position = position
        self._reconciler = reconciler
        self._twins = twins
        self._clock = clock

    async def run(self) -> None:
        """Go on with the cycle under way, or begin one.

        Raises:
            UnavailableError: The table service does not answer.
            ExceptionGroup: The hub did not answer, and the next run goes on behind the last page; or some devices could
                not be looked at, and the next cycle comes to them again.
        """
        cycle, report = await self._position.read(), RunReport()
        if not await self._position.take(cycle, self._clock()):
            _log.info("resync: another run is under way")
            return
        before, budget = set(cycle.seen), TWINS_PER_RUN
        while budget > 0:
            queried = self._clock()
            try:
                page = await self._twins.page(cycle.continuation)
            except ContinuationError:
                _log.warning("resync: the hub no longer knows where the last run stopped, and it begins anew")
                await self._position.clear(cycle)
                cycle, before = Cycle(), set()
                if not await self._position.take(cycle, self._clock()):
                    return
                continue
            except UnavailableError as error:
                report.errors.append(error)
                if cycle.seen != before:
                    await self._position.write(cycle, cycle.seen - before)
                else:
                    await self._position.give_back(cycle)
                break
            devices = {device: twin for twin in page.twins if (device := _device(twin)) is not None}
            report.add(await self._reconciler.run(Queried(device, twin, queried) for device, twin in devices.items()))
            cycle.seen.update(map(digest, devices))
            cycle.continuation = page.continuation
            budget -= max(1, len(page.twins))
            if cycle.continuation is None:
                await self._look_for_the_gone(cycle.seen, report)
                await self._position.clear(cycle)
                break
        else:
            await self._position.write(cycle, cycle.seen - before)
        record(RESYNC_HEALED, report.outcomes[Outcome.HEALED] + report.outcomes[Outcome.REMOVED])
        report.finish("resync")

    async def _look_for_the_gone(self, seen: set[int], report: RunReport) -> None:
        """Look at each device of the index that was on no page: a query may lag, so a read decides."""
        unseen = list[str]()
        async for device_id in self._index.devices():
            if digest(device_id) not in seen:
                unseen.append(device_id)
            if len(unseen) == LOOKS_PER_RUN:  # the next cycle comes to the others
                break
        for some in batched(unseen, AT_ONCE, strict=False):
            report.add(
                await self._reconciler.run(Notified(Notification(device_id, lifecycle=True)) for device_id in some)
            )


def _device(twin: Mapping[str, Any]) -> str | None:
    device_id = twin.get("deviceId")
    if isinstance(device_id, str) and 0 < len(device_id) <= NAME_LIMIT:
        return device_id
    _log.error("resync: the hub sent a twin without the id of a device")
    return None
