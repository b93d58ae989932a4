"""The part of the minute's timer that counts the devices of deployments and announces milestones."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain

from status_app.errors import LostRaceError, UnavailableError
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index.counters import version_of
from status_app.fleet_index.entries import DeviceGroup
from status_app.fleet_index.lookups import FleetIndex
from status_app.rollouts.deployment_rows import DeploymentRows, UnsentEvent
from status_app.rollouts.device_count import NO_DEVICES, DeviceCount, count_devices, is_outdated, overflow_groups
from status_app.rollouts.hub_list import HubList
from status_app.rollouts.kept_list import KeptList
from status_app.rollouts.progress_points import ProgressPoint
from status_app.rollouts.stored_deployment import StoredDeployment
from status_app.status_table.reader import DeviceReader
from status_app.storage.client import PAGE
from status_app.storage.keys import joined, key_part
from status_app.telemetry.logs import log
from status_app.telemetry.meters import ROLLOUTS_OVER_THRESHOLD, ROLLOUTS_STALLED, record
from status_core import INDIVIDUAL, GracePolicy, Listings, Milestone, progress, tally

type Project = Callable[[Sequence[str]], Awaitable[bool]]
"""Projects devices again. Returns False if that must wait."""

_log = log(__name__)


class Deployments:
    """Stores the counts of deployments."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a collaborator)
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

    async def watch(self, counter_etags: Mapping[str, str], overflowing: Sequence[str], project: Project) -> None:
        """Read the hub's list, count the deployments that changed or are due, and send unsent events.

        A deployment that cannot be read or counted affects no other. An event that cannot be sent only delays later
        ones of its deployment.

        Args:
            counter_etags: For each shard, an ETag that changes with its counters.
            overflowing: Devices that count in more groups than the index has counters for.
            project: Projects devices that were judged by an older list.

        Raises:
            UnavailableError: A service does not answer. The next run does the rest.
            ExceptionGroup: Some deployments failed for another reason; all others are done.
        """
        guard = _Guard()
        deployments, events, kept = await self._rows.read()
        kept = await self._hub_list.refresh(kept)
        stalled = [await guard.run(stored.deployment, self._is_stalled(stored)) for stored in deployments]
        record(ROLLOUTS_STALLED, sum(map(bool, stalled)))  # as the previous run counted them
        over = [await guard.run(stored.deployment, self._is_over_threshold(stored, kept)) for stored in deployments]
        record(ROLLOUTS_OVER_THRESHOLD, sum(map(bool, over)))
        has_counted = await self._count_due(
            deployments, counter_etags, overflowing, kept=kept, project=project, guard=guard
        )
        if self._publisher is not None:
            if has_counted:
                _, events, _ = await self._rows.read()
            await self._send(self._publisher, events, guard)
        guard.finish()

    async def _count_due(  # noqa: PLR0913 (three of them keyword-only)
        self,
        deployments: Sequence[StoredDeployment],
        counter_etags: Mapping[str, str],
        overflowing: Sequence[str],
        *,
        kept: KeptList,
        project: Project,
        guard: "_Guard",
    ) -> bool:
        """Count the deployments that are due, or changed by a counter or the list. Returns whether there were any."""
        due = [stored for stored in deployments if await guard.run(stored.deployment, self._is_due(stored))]
        versions = {deployment: version_of(deployment, kept.listings) for deployment in kept.listings}
        known = {stored.deployment: stored for stored in deployments}
        is_listed = versions.keys() <= known.keys()
        if not due and is_listed and (counter_etags, versions) == self._counted:
            return False
        counters = await self._index.counters()
        if await self._project_outdated(counters, kept.listings, overflowing, project):
            counters = await self._index.counters()
        others = [await guard.run(name, self._overflow(name, kept.listings)) or [] for name in overflowing]
        counts = count_devices(chain(counters, *others), kept.listings)
        for deployment in dict.fromkeys((*counts, *known, *versions)):
            stored = known.get(deployment) or StoredDeployment(deployment, None)
            count = counts.get(deployment, NO_DEVICES)
            if stored in due or await guard.run(deployment, self._has_changed(stored, count, kept)):
                await guard.run(deployment, self._count(stored, count, kept))
        self._counted = dict(counter_etags), versions
        return True

    async def _project_outdated(
        self, counters: Sequence[DeviceGroup], listings: Listings, overflowing: Sequence[str], project: Project
    ) -> bool:
        """Project the devices that were judged by an older list. Returns whether there were any.

        Devices that cannot be projected now wait for the next run.
        """
        outdated = dict.fromkeys(group.deployment for group in counters if is_outdated(group, listings))
        for deployment in outdated:
            prefix, version = joined("deployment", key_part(deployment), ""), version_of(deployment, listings)
            after: str | None = None
            while entries := await self._index.page(prefix, after, PAGE, where=f"not (Version eq '{version}')"):
                after = entries[-1].key
                if not await project([entry.device_id for entry in entries]):
                    return True
        if outdated and overflowing:
            await project(overflowing)
        return bool(outdated)

    async def _send(self, publisher: TransitionPublisher, events: Sequence[UnsentEvent], guard: "_Guard") -> None:
        async def send(event: UnsentEvent) -> bool:
            await publisher.publish(event.deployment, [event.body])
            await self._rows.forget(event)
            return True

        held = set[str]()
        for event in events:
            if event.deployment not in held and not await guard.run(event.deployment, send(event)):
                held.add(event.deployment)  # its events keep their order

    async def _overflow(self, device_id: str, listings: Listings) -> list[DeviceGroup]:
        return list(overflow_groups(await self._reader.read(device_id), listings, self._clock()))

    async def _is_due(self, stored: StoredDeployment) -> bool:
        due = stored.rollout.due(self._policy) if stored.rollout is not None else None
        return due is not None and due <= self._clock()

    async def _has_changed(self, stored: StoredDeployment, count: DeviceCount, kept: KeptList) -> bool:
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
        """Whether more devices fail than allowed, by the last count, in a rollout under way."""
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
        has_changed = previous is None or (previous.version, previous.counts) != (rollout.version, rollout.counts)
        point = ProgressPoint.of(rollout, kept.targeted(stored.deployment), now) if has_changed else None
        try:
            unsent = events if self._publisher is not None else []
            await self._rows.write(stored, rollout, now, count, unsent, threshold=self._threshold, point=point)
        except LostRaceError:
            extra = {"deployments": [stored.deployment]}
            _log.info("deployment %r: another run has counted it", stored.deployment, extra=extra)


class _Guard:
    """Keeps the failure of one deployment from the others."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []

    async def run[Found](self, deployment: str, work: Awaitable[Found]) -> Found | None:
        """Run some work on a deployment. Returns None if it failed.

        Raises:
            UnavailableError: A service does not answer, so other deployments would fail too.
        """
        try:
            return await work
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 (a bad row or a bug; raised at the end)
            _log.exception("deployment %r failed", deployment, extra={"deployments": [deployment]})
            self._errors.append(error)
            return None

    def finish(self) -> None:
        """Raise an ExceptionGroup of all failures."""
        if self._errors:
            raise ExceptionGroup(f"{len(self._errors)} deployments failed", self._errors)
