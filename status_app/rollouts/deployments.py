"""The part of the minute's timer that looks at deployments as wholes, and tells their milestones."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain

from status_app.errors import LostRaceError, UnavailableError
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index.lookups import Counted, FleetIndex
from status_app.rollouts.deployment_rows import DeploymentRows, StoredDeployment, UnsentEvent
from status_app.rollouts.device_count import NO_DEVICES, DeviceCount, beyond, count_devices
from status_app.status_table.reader import DeviceReader
from status_app.telemetry.logs import log
from status_app.telemetry.meters import ROLLOUTS_STALLED, record
from status_core import GracePolicy, Milestone, progress

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

        A deployment that cannot be read or counted costs itself; an event that cannot be sent, those behind it of the
        same deployment.

        Raises:
            UnavailableError: A service does not answer. What is left is done by the next run.
            ExceptionGroup: Some deployments failed for another reason; all others are done.
        """
        each = _Each()
        deployments, events = await self._rows.read()
        stalled = [await each.run(stored.deployment, self._is_stalled(stored)) for stored in deployments]
        record(ROLLOUTS_STALLED, sum(map(bool, stalled)))  # as the run before counted them
        has_counted = await self._count_due(deployments, moved, more, each)
        if self._publisher is not None:
            if has_counted:
                _, events = await self._rows.read()
            await self._send(self._publisher, events, each)
        each.finish()

    async def _count_due(
        self, deployments: Sequence[StoredDeployment], moved: Mapping[str, str], more: Sequence[str], each: "_Each"
    ) -> bool:
        """Count those that are due, and all of which a counter moved. Whether there was anything to count."""
        due = [stored for stored in deployments if await each.run(stored.deployment, self._is_due(stored))]
        if not due and moved == self._counted:
            return False
        known = {stored.deployment: stored for stored in deployments}
        others = [await each.run(device_id, self._beyond(device_id)) or [] for device_id in more]
        counts = count_devices(chain(await self._index.counters(), *others))
        for deployment in dict.fromkeys((*counts, *known)):
            stored = known.get(deployment) or StoredDeployment(deployment, None)
            count = counts.get(deployment, NO_DEVICES)
            if stored in due or await each.run(deployment, self._has_moved(stored, count)):
                await each.run(deployment, self._count(stored, count))
        self._counted = dict(moved)
        return True

    async def _send(self, publisher: TransitionPublisher, events: Sequence[UnsentEvent], each: "_Each") -> None:
        async def send(event: UnsentEvent) -> bool:
            await publisher.publish(event.deployment, [event.body])
            await self._rows.forget(event)
            return True

        held = set[str]()
        for event in events:
            if event.deployment not in held and not await each.run(event.deployment, send(event)):
                held.add(event.deployment)  # its events keep their order

    async def _beyond(self, device_id: str) -> list[Counted]:
        return list(beyond(await self._reader.read(device_id)))

    async def _is_due(self, stored: StoredDeployment) -> bool:
        due = stored.rollout.due(self._policy) if stored.rollout is not None else None
        return due is not None and due <= self._clock()

    async def _has_moved(self, stored: StoredDeployment, count: DeviceCount) -> bool:
        return stored.rollout is None or not stored.has(count)

    async def _is_stalled(self, stored: StoredDeployment) -> bool:
        rollout = stored.rollout
        if rollout is None or not rollout.counts.devices or rollout.has(Milestone.COMPLETED):
            return False
        return rollout.has(Milestone.STALLED) and rollout.progressed_at + self._policy.default <= self._clock()

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


class _Each:
    """Keeps what fails of one deployment from all others."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []

    async def run[Found](self, deployment: str, work: Awaitable[Found]) -> Found | None:
        """What some work comes to; None where it failed.

        Raises:
            UnavailableError: A service does not answer: the next deployment would fare no better.
        """
        try:
            return await work
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 (a bad row, or a bug: the others go on, and it is raised at the end)
            _log.exception("deployment %r failed", deployment, extra={"deployments": [deployment]})
            self._errors.append(error)
            return None

    def finish(self) -> None:
        """Raise an ExceptionGroup of what failed."""
        if self._errors:
            raise ExceptionGroup(f"{len(self._errors)} deployments failed", self._errors)
