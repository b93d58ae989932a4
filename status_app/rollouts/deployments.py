"""The part of the minute's timer that looks at deployments as wholes, and tells their milestones."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from status_app.errors import LostRaceError
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index.lookups import FleetIndex
from status_app.rollouts.deployment_rows import DeploymentRows, StoredDeployment
from status_app.rollouts.device_count import NO_DEVICES, DeviceCount, beyond, count_devices
from status_app.status_table.reader import DeviceReader
from status_app.telemetry.logs import log
from status_core import GracePolicy
from status_core.rollout import progress

_log = log(__name__)


class Deployments:
    """Keeps what the devices of deployments come to."""

    def __init__(  # noqa: PLR0913 (each is a part that it needs)
        self,
        rows: DeploymentRows,
        index: FleetIndex,
        reader: DeviceReader,
        publisher: TransitionPublisher | None,
        policy: GracePolicy,
        *,
        hub: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._rows = rows
        self._index = index
        self._reader = reader
        self._publisher = publisher
        self._policy = policy
        self._hub = hub
        self._clock = clock
        self._counted: dict[str, str] | None = None

    async def watch(self, moved: Mapping[str, str], more: Sequence[str] = ()) -> None:
        """Count deployments of which a counter moved, or which are due; then send what is unsent.

        Args:
            moved: Of each shard, what changes whenever its counters move.
            more: Devices that count for more deployments than they move counters.

        Raises:
            UnavailableError: A service does not answer. What is left is done by the next run.
        """
        deployments, events = await self._rows.read()
        known = {stored.deployment: stored for stored in deployments}
        due = [stored for stored in deployments if self._is_due(stored)]
        if due or moved != self._counted:
            others = [counted for device_id in more for counted in beyond(await self._reader.read(device_id))]
            counts = count_devices([*await self._index.counters(), *others])
            for deployment in dict.fromkeys((*counts, *known)):
                stored = known.get(deployment) or StoredDeployment(deployment, None)
                count = counts.get(deployment, NO_DEVICES)
                if stored in due or stored.rollout is None or not stored.has(count):
                    await self._count(stored, count)
            self._counted = dict(moved)
            if self._publisher is not None:
                _, events = await self._rows.read()
        if self._publisher is None:
            return
        for event in events:
            await self._publisher.publish(event.deployment, [event.body])
            await self._rows.forget(event)

    def _is_due(self, stored: StoredDeployment) -> bool:
        due = stored.rollout.due(self._policy) if stored.rollout is not None else None
        return due is not None and due <= self._clock()

    async def _count(self, stored: StoredDeployment, count: DeviceCount) -> None:
        now, previous = self._clock(), stored.rollout
        rollout = progress(previous, count.counts, now, self._policy)
        known = previous.reached if previous is not None and previous.version == rollout.version else ()
        events = [
            deployment_event(self._hub, stored.deployment, rollout, reached, count.states)
            for reached in rollout.reached[len(known) :]
        ]
        try:
            unsent = events if self._publisher is not None else []
            await self._rows.write(stored, rollout, now, count, unsent)
        except LostRaceError:
            extra = {"deployments": [stored.deployment]}
            _log.info("deployment %r: another run has counted it", stored.deployment, extra=extra)
