"""The part of the minute's timer that looks at deployments as wholes, and tells their milestones."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from status_app.errors import LostRaceError, UnavailableError
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index.deployment_index import DeploymentIndex
from status_app.fleet_index.index_rows import Pointer
from status_app.rollouts.deployment_counts import DeploymentCounts
from status_app.rollouts.deployment_rows import DeploymentRows, StoredDeployment, UnsentEvent
from status_app.storage.keys import key_part
from status_app.telemetry.logs import log
from status_app.telemetry.meters import ROLLOUTS_STALLED, record
from status_core import GracePolicy, Milestone, progress

_log = log(__name__)


class Deployments:
    """Keeps what the devices of deployments come to."""

    def __init__(  # noqa: PLR0913 (each is a part that it needs)
        self,
        rows: DeploymentRows,
        index: DeploymentIndex,
        counts: DeploymentCounts,
        publisher: TransitionPublisher | None,
        policy: GracePolicy,
        *,
        hub: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._rows = rows
        self._index = index
        self._counts = counts
        self._publisher = publisher
        self._policy = policy
        self._hub = hub
        self._clock = clock

    async def watch(self) -> None:
        """Count each deployment of which a device changed, or which is due; then send what is unsent.

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
        has_counted = await self._count_due(deployments, each)
        if self._publisher is not None:
            if has_counted:
                _, events = await self._rows.read()
            await self._send(self._publisher, events, each)
        each.finish()

    async def _count_due(self, deployments: Sequence[StoredDeployment], each: "_Each") -> bool:
        """Count those that are due. Whether there were any."""
        due = [stored for stored in deployments if await each.run(stored.deployment, self._is_due(stored))]
        changed = defaultdict[str, list[Pointer]](list)
        for change in await self._index.changed() if due else ():
            changed[change.columns["Deployment"]].append(change)
        for stored in due:
            await each.run(stored.deployment, self._count(stored, changed[key_part(stored.deployment)]))
        return bool(due)

    async def _send(self, publisher: TransitionPublisher, events: Sequence[UnsentEvent], each: "_Each") -> None:
        async def send(event: UnsentEvent) -> bool:
            await publisher.publish(event.deployment, [event.body])
            await self._rows.forget(event)
            return True

        held = set[str]()
        for event in events:
            if event.deployment not in held and not await each.run(event.deployment, send(event)):
                held.add(event.deployment)  # its events keep their order

    async def _is_due(self, stored: StoredDeployment) -> bool:
        if stored.rollout is None or not stored.is_counted:
            return True
        due = stored.rollout.due(self._policy)
        return due is not None and due <= self._clock()

    async def _is_stalled(self, stored: StoredDeployment) -> bool:
        rollout = stored.rollout
        if rollout is None or not rollout.counts.devices or rollout.has(Milestone.COMPLETED):
            return False
        return rollout.has(Milestone.STALLED) and rollout.progressed_at + self._policy.default <= self._clock()

    async def _count(self, stored: StoredDeployment, changed: Sequence[Pointer]) -> None:
        now, previous = self._clock(), stored.rollout  # before the read: what changes during it is counted again
        count = await self._counts.count(stored.deployment, changed, now)
        rollout = progress(previous, count.total.counts, now, self._policy)
        known = previous.reached if previous is not None and previous.version == rollout.version else ()
        events = [
            deployment_event(self._hub, stored.deployment, rollout, reached, count.total.states)
            for reached in rollout.reached[len(known) :]
        ]
        try:
            unsent = events if self._publisher is not None else []
            await self._rows.write(stored, rollout, now, count, unsent)
        except LostRaceError:
            extra = {"deployments": [stored.deployment]}
            _log.info("deployment %r: another run has counted it", stored.deployment, extra=extra)
            return
        await self._index.remove(count.over)
        for change in changed:
            if change.key not in count.over:
                await self._index.discard(change)


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
