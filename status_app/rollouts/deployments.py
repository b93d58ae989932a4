"""The part of the minute's timer that looks at deployments as wholes, and tells their milestones."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain

from status_app.errors import LostRaceError, UnavailableError
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index.lookups import DeviceGroup, FleetIndex
from status_app.fleet_index.rows import version_of
from status_app.rollouts.deployment_rows import DeploymentRows, KeptList, StoredDeployment, UnsentEvent
from status_app.rollouts.device_count import NO_DEVICES, DeviceCount, beyond, count_devices, is_outdated
from status_app.rollouts.hub_list import HubList
from status_app.rollouts.progress_points import ProgressPoint
from status_app.status_table.reader import DeviceReader
from status_app.storage.client import PAGE
from status_app.storage.keys import joined, key_part
from status_app.telemetry.logs import log
from status_app.telemetry.meters import ROLLOUTS_OVER_THRESHOLD, ROLLOUTS_STALLED, record
from status_core import INDIVIDUAL, GracePolicy, Listings, Milestone, progress, tally

type Project = Callable[[Sequence[str]], Awaitable[bool]]
"""Projects devices again; False where that has to wait."""

_log = log(__name__)


class Deployments:
    """Keeps what the devices of deployments come to."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a part that it needs)
        self,
        rows: DeploymentRows,
        index: FleetIndex,
        reader: DeviceReader,
        publisher: TransitionPublisher | None,
        policy: GracePolicy,
        hub_list: HubList,
        *,
        hub: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._rows = rows
        self._index = index
        self._reader = reader
        self._publisher = publisher
        self._policy = policy
        self._threshold = None if policy.threshold is None else str(policy.threshold)
        self._hub_list = hub_list
        self._hub = hub
        self._clock = clock
        self._counted: tuple[Mapping[str, str], Mapping[str, str]] | None = None

    async def watch(self, moved: Mapping[str, str], more: Sequence[str], project: Project) -> None:
        """Ask for the hub's list, count deployments of which a counter moved, or which are due; send what is unsent.

        Args:
            moved: Of each shard, what changes whenever its counters move.
            more: Devices that count for more deployments than they move counters.
            project: Projects devices that were judged by an older list.

        A deployment that cannot be read or counted costs itself; an event that cannot be sent, those behind it of the
        same deployment.

        Raises:
            UnavailableError: A service does not answer. What is left is done by the next run.
            ExceptionGroup: Some deployments failed for another reason; all others are done.
        """
        each = _Each()
        deployments, events, kept = await self._rows.read()
        kept = await self._hub_list.refresh(kept)
        stalled = [await each.run(stored.deployment, self._is_stalled(stored)) for stored in deployments]
        record(ROLLOUTS_STALLED, sum(map(bool, stalled)))  # as the run before counted them
        over = [await each.run(stored.deployment, self._is_over_threshold(stored, kept)) for stored in deployments]
        record(ROLLOUTS_OVER_THRESHOLD, sum(map(bool, over)))
        has_counted = await self._count_due(deployments, moved, more, kept=kept, project=project, each=each)
        if self._publisher is not None:
            if has_counted:
                _, events, _ = await self._rows.read()
            await self._send(self._publisher, events, each)
        each.finish()

    async def _count_due(  # noqa: PLR0913 (what a run knows)
        self,
        deployments: Sequence[StoredDeployment],
        moved: Mapping[str, str],
        more: Sequence[str],
        *,
        kept: KeptList,
        project: Project,
        each: "_Each",
    ) -> bool:
        """Count those that are due, and all of which a counter or the list moved. Whether there was any."""
        due = [stored for stored in deployments if await each.run(stored.deployment, self._is_due(stored))]
        versions = {deployment: version_of(deployment, kept.listings) for deployment in kept.listings}
        known = {stored.deployment: stored for stored in deployments}
        is_listed = versions.keys() <= known.keys()
        if not due and is_listed and (moved, versions) == self._counted:
            return False
        counters = await self._index.counters()
        if await self._project_outdated(counters, kept.listings, more, project):
            counters = await self._index.counters()
        others = [await each.run(device_id, self._beyond(device_id, kept.listings)) or [] for device_id in more]
        counts = count_devices(chain(counters, *others), kept.listings)
        for deployment in dict.fromkeys((*counts, *known, *versions)):
            stored = known.get(deployment) or StoredDeployment(deployment, None)
            count = counts.get(deployment, NO_DEVICES)
            if stored in due or await each.run(deployment, self._has_moved(stored, count, kept)):
                await each.run(deployment, self._count(stored, count, kept))
        self._counted = dict(moved), versions
        return True

    async def _project_outdated(
        self, counters: Sequence[DeviceGroup], listings: Listings, more: Sequence[str], project: Project
    ) -> bool:
        """Project the devices that were judged by an older list. Whether there were any.

        One that cannot be projected waits for the next run.
        """
        outdated = dict.fromkeys(group.deployment for group in counters if is_outdated(group, listings))
        for deployment in outdated:
            prefix, version = joined("deployment", key_part(deployment), ""), version_of(deployment, listings)
            after: str | None = None
            while entries := await self._index.page(prefix, after, PAGE, where=f"not (Version eq '{version}')"):
                after = entries[-1].key
                if not await project([entry.device_id for entry in entries]):
                    return True
        if outdated and more:
            await project(more)
        return bool(outdated)

    async def _send(self, publisher: TransitionPublisher, events: Sequence[UnsentEvent], each: "_Each") -> None:
        async def send(event: UnsentEvent) -> bool:
            await publisher.publish(event.deployment, [event.body])
            await self._rows.forget(event)
            return True

        held = set[str]()
        for event in events:
            if event.deployment not in held and not await each.run(event.deployment, send(event)):
                held.add(event.deployment)  # its events keep their order

    async def _beyond(self, device_id: str, listings: Listings) -> list[DeviceGroup]:
        return list(beyond(await self._reader.read(device_id), listings, self._clock()))

    async def _is_due(self, stored: StoredDeployment) -> bool:
        due = stored.rollout.due(self._policy) if stored.rollout is not None else None
        return due is not None and due <= self._clock()

    async def _has_moved(self, stored: StoredDeployment, count: DeviceCount, kept: KeptList) -> bool:
        rollout, listing = stored.rollout, kept.listings.get(stored.deployment)
        if rollout is None or not stored.has(count, self._threshold):
            return True
        if listing is None:
            return kept.listed is not None and rollout.created is not None and not rollout.has(Milestone.SUPERSEDED)
        return listing.created != rollout.created

    async def _is_stalled(self, stored: StoredDeployment) -> bool:
        rollout = stored.rollout
        if rollout is None or not rollout.counts.devices or rollout.is_over:
            return False
        return rollout.has(Milestone.STALLED) and rollout.progressed_at + self._policy.default <= self._clock()

    async def _is_over_threshold(self, stored: StoredDeployment, kept: KeptList) -> bool:
        """Whether more devices fail than may, as they were counted last, while it is under way."""
        rollout, threshold = stored.rollout, self._policy.threshold
        if rollout is None or threshold is None or not rollout.version or rollout.is_over:
            return False
        return rollout.counts.is_over(threshold, kept.targeted(stored.deployment))

    async def _count(self, stored: StoredDeployment, count: DeviceCount, kept: KeptList) -> None:
        now, previous = self._clock(), stored.rollout
        listing = kept.listings.get(stored.deployment)
        if stored.deployment == INDIVIDUAL:
            rollout = tally(count.counts, now)
        else:
            has_list = kept.listed is not None
            rollout = progress(previous, count.counts, now, self._policy, listing=listing, has_list=has_list)
        known = previous.reached if previous is not None and previous.version == rollout.version else ()
        events = [
            deployment_event(
                self._hub,
                stored.deployment,
                rollout,
                reached,
                count.states,
                targeted=kept.targeted(stored.deployment),
                threshold=self._threshold,
            )
            for reached in rollout.reached[len(known) :]
        ]
        has_moved = previous is None or (previous.version, previous.counts) != (rollout.version, rollout.counts)
        point = ProgressPoint.of(rollout, kept.targeted(stored.deployment), now) if has_moved else None
        try:
            unsent = events if self._publisher is not None else []
            await self._rows.write(stored, rollout, now, count, unsent, threshold=self._threshold, point=point)
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
