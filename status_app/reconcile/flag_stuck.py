"""The timer of each minute: reconciles devices whose deadline is over, and finishes interrupted writes.

The cost depends on the work to do, not on the size of the fleet.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import batched
from typing import Final, Protocol

from status_app.errors import UnavailableError
from status_app.events.outbox import LeftForTheApp, Outbox
from status_app.fleet_index.entries import IndexEntry, Work
from status_app.fleet_index.lookups import FleetIndex
from status_app.fleet_index.rows import PENDING
from status_app.iothub.breaker import PROBES
from status_app.reconcile.batch import AT_ONCE
from status_app.reconcile.index_build import IndexBuild
from status_app.reconcile.peer_count import PeerCount
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Announced, Due, Outcome
from status_app.retry import Deadline
from status_app.rollouts.deployments import Deployments
from status_app.telemetry import meters

WRITERS_END_AFTER: Final = timedelta(minutes=15)
"""A function runs for at most ten minutes (host.json). So no writer takes longer between an announcement and its
change, unless its machine was suspended."""
FORGOTTEN_AFTER: Final = timedelta(days=1)
"""By then no suspended machine resumes, so announcements of devices without a row end."""
RECONCILE_FOR: Final = 300.0
"""Seconds of a run for due devices, oldest deadline first."""
RUN_FOR: Final = 420.0
"""Seconds of a run."""
STILL_UNVERIFIED: Final = "still unverified"
"""In the line of a run: devices flagged without a read, for which the hub is not asked again yet."""


class Hub(Protocol):
    """Whether twins can be read."""

    @property
    def is_open(self) -> bool:
        """Whether the hub did not answer, and is left alone now."""


class FlagStuck:
    """Flags what is stuck, clears what has recovered, and finishes what was announced."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a collaborator)
        self,
        index: FleetIndex,
        build: IndexBuild,
        deployments: Deployments,
        outbox: Outbox | LeftForTheApp | None,
        reconciler: Reconciler,
        hub: Hub,
        clock: Callable[[], datetime],
        ticks: Callable[[], float],
        peers: PeerCount,
    ) -> None:
        self._index = index
        self._build = build
        self._deployments = deployments
        self._outbox = outbox
        self._reconciler = reconciler
        self._hub = hub
        self._clock = clock
        self._ticks = ticks
        self._peers = peers
        self._unverified = set[str]()

    async def run(self) -> None:
        """Reconcile each due device, oldest deadline first; finish interrupted work; count deployments.

        Raises:
            UnavailableError: The table service does not answer.
            ExceptionGroup: Some devices or events failed; they stay for the next run.
        """
        report, due_time, end = RunReport(), Deadline(RECONCILE_FOR, self._ticks), Deadline(RUN_FOR, self._ticks)
        if self._outbox is not None:
            self._outbox.try_again()
        async with end.limits("tables"):
            await self._build.go_on(report)
            work = await self._index.work(self._clock())
            former = await self._build.due()
        await self._reconcile_due(
            [*dict.fromkeys((*(entry.device_id for entry in work.due), *former))], due_time, report
        )
        announced = self._announced(work.announced)
        for number, some in enumerate(batched(announced, AT_ONCE, strict=False)):
            if end.is_over:
                report.leave(len(announced) - number * AT_ONCE)
                break
            report.add(await self._reconciler.run(some, end))
        if self._outbox is not None and self._outbox.is_refused:
            report.errors.append(UnavailableError("transitions", "events wait for the next run"))
        if self._build.is_done:  # with half an index, a deployment would seem complete
            counts = (
                partial(self._count_deployments, work, report),
                self._count_stuck,
                partial(self._peers.run, work.counter_etags),
            )
            for count in counts:
                try:
                    async with end.limits("tables"):
                        await count()
                except Exception as error:  # noqa: BLE001 (raised at the end, after the other work)
                    report.errors.append(error)
        report.finish("flag_stuck")

    async def _reconcile_due(self, due: list[str], deadline: Deadline, report: RunReport) -> None:
        """Reconcile due devices. While the hub does not answer, those flagged before are left as they are.

        A random few go first to find out whether it answers. They are random because for some devices it may never
        answer.
        """
        first = set(random.sample(due, min(PROBES, len(due))))
        others = [device_id for device_id in due if device_id not in first]
        self._unverified.intersection_update(due)
        for some in ([*first], *batched(others, AT_ONCE, strict=False)):
            known = self._unverified if self._hub.is_open else ()
            waiting = [Due(device_id) for device_id in some if device_id not in known]
            if len(waiting) < len(some):
                report.outcomes[STILL_UNVERIFIED] += len(some) - len(waiting)
            if deadline.is_over:
                report.leave(len(waiting))
                continue
            results = await self._reconciler.run(waiting, deadline)
            report.add(results)
            for result in results:
                if result.outcome is Outcome.UNVERIFIED:
                    self._unverified.add(result.task.device_id)
                elif result.error is None:
                    self._unverified.discard(result.task.device_id)

    def _announced(self, entries: Iterable[IndexEntry]) -> list[Announced]:
        """Create a task for each device with unfinished work. Announcements of dead writers end with it."""
        now = self._clock()
        pending, forgotten = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
        for entry in entries:
            age = timedelta()
            if entry.written is not None and entry.key.startswith(f"{PENDING}|"):
                age = now - entry.written
            pending[entry.device_id] |= {entry.key} if age > WRITERS_END_AFTER else set()
            forgotten[entry.device_id] |= {entry.key} if age > FORGOTTEN_AFTER else set()
        return [Announced(name, frozenset(keys), frozenset(forgotten[name])) for name, keys in pending.items()]

    async def _count_deployments(self, work: Work, report: RunReport) -> None:
        if report.outcomes.keys() - {Outcome.STALE}:  # this run has changed counters
            work = await self._index.work(self._clock())

        async def project(device_ids: Sequence[str]) -> bool:
            for some in batched(device_ids, AT_ONCE, strict=False):
                results = await self._reconciler.run(map(Announced, some))
                report.add(results)
                if any(isinstance(result.error, UnavailableError) for result in results):
                    return False
            return True

        await self._deployments.watch(work.counter_etags, work.overflowing, project)

    async def _count_stuck(self) -> None:
        if meters.is_heard():
            devices, modules = await self._index.stuck()
            meters.record(meters.STUCK, devices, {"of": "device"})
            meters.record(meters.STUCK, modules, {"of": "module"})
