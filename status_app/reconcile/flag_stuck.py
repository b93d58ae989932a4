"""The timer of each minute: looks at devices whose deadline is over, and sends events that are not sent.

Its cost follows what is due, not the size of the fleet.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from status_app.events.outbox import Outbox
from status_app.fleet_index.deployment_index import DeploymentIndex
from status_app.fleet_index.index_rows import Pointer
from status_app.reconcile.concurrency import Round
from status_app.reconcile.reconciler import Outcome, Reconciler
from status_app.rollouts.deployments import Deployments
from status_app.telemetry import meters

SILENT: Final = 3
"""Devices in a row for which the hub did not answer, before a run no longer asks it: each costs several attempts."""


class FlagStuck:
    """Flags what is stuck, and clears what has recovered."""

    def __init__(
        self,
        index: DeploymentIndex,
        deployments: Deployments,
        outbox: Outbox | None,
        reconciler: Reconciler,
        clock: Callable[[], datetime],
    ) -> None:
        self._index = index
        self._deployments = deployments
        self._outbox = outbox
        self._reconciler = reconciler
        self._clock = clock

    async def run(self) -> None:
        """Look at each device that is due, the oldest deadline first; then send what is unsent, and count deployments.

        Raises:
            UnavailableError: The table service does not answer.
            ExceptionGroup: Some devices could not be looked at, or events not be sent; both stay for the next run.
        """
        silent = 0

        async def look(deadline: Pointer) -> str:
            nonlocal silent
            outcome = await self._reconciler.look_due(deadline, ask=silent < SILENT)
            if outcome is Outcome.STALE:
                await self._index.discard(deadline)
            elif outcome is Outcome.UNVERIFIED:
                silent += 1
            elif silent < SILENT:
                silent = 0
            return outcome

        due: Round[Pointer] = Round()
        await due.go(await self._index.due(self._clock()), look)
        for work in (self._resend, self._deployments.watch, self._count_stuck):
            try:
                await work()
            except Exception as error:  # noqa: BLE001 (the other work goes on, and it is raised at the end)
                due.errors.append(error)
        due.finish("flag_stuck")

    async def _count_stuck(self) -> None:
        if meters.is_heard():
            devices, modules = await self._index.stuck()
            meters.record(meters.STUCK, devices, {"of": "device"})
            meters.record(meters.STUCK, modules, {"of": "module"})

    async def _resend(self) -> None:
        if self._outbox is not None:
            await self._outbox.resend()
