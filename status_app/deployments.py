"""The part of the minute's timer that looks at deployments as wholes, and tells their milestones."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from status_app.errors import LostRaceError
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import TransitionPublisher
from status_app.tables.deployment_index import DeploymentIndex, Member
from status_app.tables.deployment_rows import DeploymentRows, StoredDeployment
from status_app.tables.status_table import StatusTable
from status_app.telemetry.logs import log
from status_core import GracePolicy, State
from status_core.rollout import FAILING, Counts, progress

_log = log(__name__)


class Deployments:
    """Counts the devices of deployments, from the index."""

    def __init__(  # noqa: PLR0913 (each is a part that it needs)
        self,
        rows: DeploymentRows,
        index: DeploymentIndex,
        table: StatusTable,
        publisher: TransitionPublisher | None,
        policy: GracePolicy,
        *,
        hub: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._rows = rows
        self._index = index
        self._table = table
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
        due = [stored for stored in deployments if self._is_due(stored)]
        for stored in due:
            await self._count(stored)
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

    async def _count(self, stored: StoredDeployment) -> None:
        now, previous = self._clock(), stored.rollout  # before the read: what changes during it is counted again
        members = await self._index.members(stored.deployment, self._table.index_rows)
        rollout = progress(previous, count(members), now, self._policy)
        known = previous.reached if previous is not None and previous.version == rollout.version else ()
        states = Counter(member.state for member in members)
        stuck = sum(member.stuck_since is not None for member in members)
        columns: dict[str, Any] = {"Stuck": stuck, "States": json.dumps(dict(sorted(states.items())))}
        events = [
            deployment_event(self._hub, stored.deployment, rollout, reached, states)
            for reached in rollout.reached[len(known) :]
        ]
        try:
            await self._rows.write(stored, rollout, now, columns, events if self._publisher is not None else [])
        except LostRaceError:
            extra = {"deployments": [stored.deployment]}
            _log.info("deployment %r: another run has counted it", stored.deployment, extra=extra)


def count(members: Iterable[Member]) -> Counts:
    """How far the devices of a deployment are."""
    devices = successful = failing = 0
    for member in members:
        devices += 1
        successful += member.state == State.SUCCESSFUL
        failing += member.state in FAILING or member.stuck_since is not None
    return Counts(devices, successful, failing)
