"""The part of the minute's timer that looks at deployments as wholes, and tells their milestones."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from status_app.errors import LostRaceError
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index.deployment_index import DeploymentIndex
from status_app.fleet_index.index_rows import Pointer
from status_app.rollouts.deployment_counts import DeploymentCounts
from status_app.rollouts.deployment_rows import DeploymentRows, StoredDeployment
from status_app.storage.keys import key_part
from status_app.telemetry.logs import log
from status_app.telemetry.meters import ROLLOUTS_STALLED, record
from status_core import GracePolicy
from status_core.rollout import Milestone, progress

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

        Raises:
            UnavailableError: A service does not answer. What is left is done by the next run.
        """
        deployments, events = await self._rows.read()
        record(ROLLOUTS_STALLED, sum(map(self._is_stalled, deployments)))  # as the run before counted them
        due = [stored for stored in deployments if self._is_due(stored)]
        changed = defaultdict[str, list[Pointer]](list)
        for change in await self._index.changed() if due else ():
            changed[change.columns["Deployment"]].append(change)
        for stored in due:
            await self._count(stored, changed[key_part(stored.deployment)])
        if self._publisher is None:
            return
        if due:
            _, events = await self._rows.read()
        for event in events:
            await self._publisher.publish(event.deployment, [event.body])
            await self._rows.forget(event)

    def _is_due(self, stored: StoredDeployment) -> bool:
        if stored.rollout is None or not stored.is_counted:
            return True
        due = stored.rollout.due(self._policy)
        return due is not None and due <= self._clock()

    def _is_stalled(self, stored: StoredDeployment) -> bool:
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
