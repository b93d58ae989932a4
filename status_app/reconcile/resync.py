"""The timer that compares the whole fleet with the table: it heals what a lost notification left behind.

One query pages through the twins, a budget a run; the next run goes on where the last one stopped. After the last page
each device of the table that no page held is looked at, and removed where the hub does not have it; and rows of the
index that a crash has left behind are removed.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from status_app.errors import ContinuationError, UnavailableError
from status_app.fleet_index.deployment_index import DeploymentIndex
from status_app.fleet_index.index_rows import Pointer, changed_rows, deployments_of
from status_app.ingest.notifications import Notification
from status_app.iothub.twins import TwinPage
from status_app.reconcile.concurrency import Round
from status_app.reconcile.reconciler import Outcome, Reconciler
from status_app.reconcile.resync_position import Cycle, ResyncPosition, digest
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.telemetry.logs import log
from status_app.telemetry.meters import RESYNC_HEALED, record
from status_core import NAME_LIMIT

TWINS_PER_RUN: Final = 10_000
"""A hundred pages: IoT Hub lets an S1 unit ask for some twenty a minute, and a function may run for ten."""
LOOKS_PER_RUN: Final = 20_000
"""Devices, and doubtful rows, that are looked at after the last page. S1 allows a hundred twin reads a second."""

_log = log(__name__)


class TwinPages(Protocol):
    """Where the twins of the fleet are queried."""

    async def page(self, continuation: str | None) -> TwinPage:
        """One page of all `$edgeAgent` twins."""


class Resync:
    """Makes the table equal to what the hub holds, for every device."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a part that it needs)
        self,
        index: DeploymentIndex,
        deployments: DeploymentRows,
        position: ResyncPosition,
        reconciler: Reconciler,
        twins: TwinPages,
        clock: Callable[[], datetime],
    ) -> None:
        self._index = index
        self._deployments = deployments
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
        cycle, looks = await self._position.read(), Round[Any]()
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
                looks.errors.append(error)
                if cycle.seen != before:
                    await self._position.write(cycle, cycle.seen - before)
                else:
                    await self._position.give_back(cycle)
                break
            devices = {device: twin for twin in page.twins if (device := _device(twin)) is not None}
            await looks.go(devices.items(), partial(self._look, queried))
            cycle.seen.update(map(digest, devices))
            cycle.continuation = page.continuation
            budget -= max(1, len(page.twins))
            if cycle.continuation is None:
                await self._look_for_the_gone(cycle.seen, looks)
                await self._look_for_the_left_behind(looks)
                await self._position.clear(cycle)
                break
        else:
            await self._position.write(cycle, cycle.seen - before)
        record(RESYNC_HEALED, looks.outcomes[Outcome.HEALED] + looks.outcomes[Outcome.REMOVED])
        looks.finish("resync")

    async def _look(self, queried: datetime, found: tuple[str, Mapping[str, Any]]) -> Outcome:
        device_id, twin = found
        return await self._reconciler.look_at(device_id, twin, queried)

    async def _look_for_the_gone(self, seen: set[int], looks: Round[Any]) -> None:
        """Look at each device of the table that was on no page: a query may lag, so a read decides."""
        unseen = (pointer async for pointer in self._index.devices() if digest(pointer.device_id) not in seen)
        await looks.go(await _first(unseen), self._look_at_unseen)

    async def _look_at_unseen(self, pointer: Pointer) -> str:
        outcome = await self._reconciler.look(Notification(pointer.device_id, lifecycle=True))
        if outcome is not Outcome.REMOVED and not await self._reconciler.has(pointer):
            await self._index.discard(pointer)
        return outcome

    async def _look_for_the_left_behind(self, looks: Round[Any]) -> None:
        """Remove rows of the index that no device has; the others are as they should be."""
        await looks.go(await _first(self._index.doubtful()), self._look_at_doubtful)

    async def _look_at_doubtful(self, pointer: Pointer) -> str:
        if await self._reconciler.has(pointer):
            return Outcome.UNCHANGED
        changed = changed_rows(pointer.device_id, {}, {pointer.key: dict(pointer.columns)})
        await self._deployments.mark(deployments_of(changed.values()))
        await self._index.add(changed)
        await self._index.discard(pointer)
        return "left behind"


def _device(twin: Mapping[str, Any]) -> str | None:
    device_id = twin.get("deviceId")
    if isinstance(device_id, str) and 0 < len(device_id) <= NAME_LIMIT:
        return device_id
    _log.error("resync: the hub sent a twin without the id of a device")
    return None


async def _first(pointers: AsyncIterator[Pointer]) -> list[Pointer]:
    """As many as a run looks at; the next cycle comes to the others."""
    found: list[Pointer] = []
    async for pointer in pointers:
        found.append(pointer)
        if len(found) == LOOKS_PER_RUN:
            break
    return found
