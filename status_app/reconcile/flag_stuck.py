"""The timer of each minute: looks at devices whose deadline is over, and finishes what writers have left.

Its cost follows what is to be done, not the size of the fleet.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import batched
from typing import Final

from status_app.errors import UnavailableError
from status_app.events.outbox import Outbox
from status_app.fleet_index.lookups import FleetIndex, IndexEntry
from status_app.fleet_index.rows import PENDING
from status_app.reconcile.index_build import IndexBuild
from status_app.reconcile.reconciler import AT_ONCE, SILENT, Reconciler
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Announced, Due, Outcome
from status_app.rollouts.deployments import Deployments
from status_app.telemetry import meters

WRITERS_END_AFTER: Final = timedelta(minutes=15)
"""No writer is longer between an announcement and its change: a function runs for ten minutes at most (host.json)."""


class FlagStuck:
    """Flags what is stuck, clears what has recovered, and finishes what was announced."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a part that it needs)
        self,
        index: FleetIndex,
        build: IndexBuild,
        deployments: Deployments,
        outbox: Outbox | None,
        reconciler: Reconciler,
        clock: Callable[[], datetime],
    ) -> None:
        self._index = index
        self._build = build
        self._deployments = deployments
        self._outbox = outbox
        self._reconciler = reconciler
        self._clock = clock

    async def run(self) -> None:
        """Look at each device that is due, the oldest deadline first; finish what is left; count deployments.

        Raises:
            UnavailableError: The table service does not answer.
            ExceptionGroup: Some devices could not be looked at, or events not be sent; both stay for the next run.
        """
        report = RunReport()
        if self._outbox is not None:
            self._outbox.try_again()
        await self._build.go_on(report)
        work = await self._index.work(self._clock())
        due_devices = dict.fromkeys((*(entry.device_id for entry in work.due), *await self._build.due()))
        silent = 0
        for due in batched(due_devices, AT_ONCE, strict=False):
            results = await self._reconciler.run(Due(device_id, ask=silent < SILENT) for device_id in due)
            for result in results:
                if result.outcome is Outcome.UNVERIFIED:
                    silent += 1
                elif silent < SILENT:
                    silent = 0
            report.add(results)
        for announced in batched(self._announced(work.announced), AT_ONCE, strict=False):
            report.add(await self._reconciler.run(announced))
        if self._outbox is not None and self._outbox.is_refused:
            report.errors.append(UnavailableError("transitions", "events wait for the next run"))
        # Half an index would count a deployment as completed that is not.
        counts = (lambda: self._deployments.watch(work.moved, work.more), self._count_stuck)
        for count in counts if self._build.is_done else ():
            try:
                await count()
            except Exception as error:  # noqa: BLE001 (the other work goes on, and it is raised at the end)
                report.errors.append(error)
        report.finish("flag_stuck")

    def _announced(self, entries: Iterable[IndexEntry]) -> list[Announced]:
        """A task for each device of which something is left; announcements of dead writers end with it."""
        over = self._clock() - WRITERS_END_AFTER
        keys = defaultdict[str, set[str]](set)
        for entry in entries:
            is_over = entry.key.startswith(f"{PENDING}|") and entry.written is not None and entry.written < over
            keys[entry.device_id] |= {entry.key} if is_over else set()
        return [Announced(device_id, frozenset(pending)) for device_id, pending in keys.items()]

    async def _count_stuck(self) -> None:
        if meters.is_heard():
            devices, modules = await self._index.stuck()
            meters.record(meters.STUCK, devices, {"of": "device"})
            meters.record(meters.STUCK, modules, {"of": "module"})
