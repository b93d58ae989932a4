"""Makes the stored state of devices equal to their twins: one batch at a time, in phases.

    read       the rows of each device, then its twin if that is needed
    decide     the next record and its transitions: pure
    consult    the index, for each device whose rows there will change
    announce   that the device may change: after a crash from here on, the timer finishes the announcement
    commit     state and history of the device, guarded by its ETag
    publish    the pending events, in order
    project    the rows of the index, guarded by the summary of the device

A change that affects no row of the index is committed, and that is all. What is read later is never older: if nothing
is committed, the index is read before the device; otherwise the guard of the commit proves it.

Each phase runs over all devices of the batch. A device that fails in a phase stops there, at no cost to the others. A
device that lost a race goes into the next round.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from typing import Final

from status_app.errors import LostRaceError, OutOfTimeError, UnavailableError
from status_app.events.outbox import LeftForTheApp, Outbox
from status_app.fleet_index.former import FormerIndex
from status_app.fleet_index.projection import FleetProjection
from status_app.fleet_index.rows import summary_to_compare
from status_app.iothub.cohorts import CohortReader
from status_app.reconcile.batch import Device, each
from status_app.reconcile.bulk_reads import BulkReads
from status_app.reconcile.decisions import (
    advanced,
    is_missed,
    outcome_without_a_twin,
    removal,
    unverified,
)
from status_app.reconcile.device_cache import DeviceCache
from status_app.reconcile.index_phase import IndexPhase
from status_app.reconcile.publish_phase import PublishPhase
from status_app.reconcile.tasks import (
    Announced,
    Compared,
    Due,
    Notified,
    Outcome,
    Queried,
    Result,
    Tagged,
    Task,
    Unseen,
)
from status_app.reconcile.twin_phase import TwinPhase, Twins
from status_app.retry import NEVER, Deadline
from status_app.rollouts.hub_list import HubList
from status_app.status_table.commit import Change, DeviceCommit
from status_app.status_table.reader import DeviceReader
from status_app.status_table.stored_device import StoredDevice
from status_app.telemetry.logs import log
from status_app.telemetry.transitions import report_transition
from status_core import NO_LIST, GracePolicy, Listings

ROUNDS: Final = 5
"""Rounds before a writer that always loses the race gives up until the next event."""

_log = log(__name__)


class Reconciler:
    """Reconciles devices."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a collaborator)
        self,
        reader: DeviceReader,
        commit: DeviceCommit,
        projection: FleetProjection,
        former: FormerIndex,
        outbox: Outbox | LeftForTheApp | None,
        twins: Twins,
        policy: GracePolicy,
        hub_list: HubList,
        clock: Callable[[], datetime],
        cohorts: CohortReader | None = None,
    ) -> None:
        self._reader = reader
        self._hub_list = hub_list
        self._commit = commit
        self._twins = TwinPhase(twins, cohorts, BulkReads(clock), clock)
        self._publishing = PublishPhase(reader, outbox)
        self._index = IndexPhase(projection, former, reader, self._publishing, clock)
        self._policy = policy
        self._clock = clock
        self._cache = DeviceCache()

    def reading(self, twins: Twins) -> "Reconciler":
        """Return a reconciler that reads from other twins and shares this one's cache."""
        other = copy(self)
        other._twins = self._twins.reading(twins)  # noqa: SLF001 (its own)
        return other

    async def run(self, tasks: Iterable[Task], deadline: Deadline = NEVER) -> list[Result]:
        """Reconcile the devices of a batch, each once.

        Args:
            tasks: One for each device.
            deadline: When to leave the rest. Nothing is lost by that, just as when the app is killed.

        Returns:
            A result for each task, in order. Its error is BadEventError if neither the hub nor the table knows the
            device, UnavailableError if a service does not answer or other writers were always first, and OutOfTimeError
            if the device was left.
        """
        tasks = [*tasks]
        listings = await self._hub_list.listings() if tasks else NO_LIST
        waiting = devices = [Device(task, StoredDevice(task.device_id), listings) for task in tasks]
        for _ in range(ROUNDS):
            await each(waiting, self._read, deadline)
            await self._twins.run(waiting, deadline)
            await each(waiting, self._decide, NEVER)
            changing = [device for device in waiting if device.change is not None and device.error is None]
            moving = [device for device in changing if device.is_moving]
            await each(moving, self._index.consult, deadline)
            await self._index.announce([device for device in moving if device.error is None], deadline)
            await each(changing, self._write, deadline)
            done = [device for device in waiting if device.error is None and device.outcome is not None]
            going = [device for device in done if device.is_moving]
            await self._publishing.run([device for device in going if device.has_unpublished], deadline)
            await self._project(going, deadline)
            for device in done:
                if not device.is_moving:
                    self._cache.keep(device.summary, device.stored)
            waiting = [device for device in waiting if device.error is None and device.outcome is None]
            if not waiting:
                break
        for device in waiting:
            device.error = UnavailableError("tables", f"{ROUNDS} other writers were first")
        return [Result(device.task, device.outcome, device.error) for device in devices]

    async def _read(self, device: Device) -> None:
        device.change, device.status, device.outcome, device.history = None, None, None, []
        device.holds_until = None
        device.published = 0  # in no earlier round was anything sent, and what was read there may be torn
        device.is_moving = bool(device.pending) or isinstance(device.task, (Announced, Compared, Due, Unseen))
        known = self._cache.take(device.device_id)  # its state changes from here on
        if known is None or not isinstance(device.task, Notified) or device.task.notification.lifecycle:
            summary = await self._index.summary(device.device_id) if device.is_moving else None
            known = summary, await self._fence(device.task, await self._reader.read(device.device_id))
        await self._index.take(device, *known)
        device.outcome = outcome_without_a_twin(device.task, device.stored, self._clock())

    async def _fence(self, task: Task, stored: StoredDevice) -> StoredDevice:
        """Make late writers fail before their announcements end. A device without rows has nothing to write to."""
        if not isinstance(task, Announced) or not task.pending or not stored.is_known:
            return stored
        try:
            return await self._commit.fence(stored)
        except LostRaceError as error:
            raise UnavailableError("tables", "another writer was first") from error

    async def _decide(self, device: Device) -> None:
        if device.error is not None or device.outcome is not None:
            return
        now, stored, task = self._clock(), device.stored, device.task
        if device.is_silent:
            device.change = unverified(stored, device.published, now)
        elif isinstance(task, Tagged):
            record = stored.record()
            device.change = None if record is None else Change(stored, record, (), device.published)
        elif device.status is None:
            device.change = removal(stored, task, device.published, now)
        else:
            record, transitions = advanced(stored, device.status, now, device.holds_until or now, self._policy)
            device.change = Change(stored, record, transitions, device.published)
        if device.change is not None:
            device.change = replace(device.change, cohorts=device.cohorts)
        if device.change is not None and not self._commit.is_needed(device.change):
            device.change = None
        if device.change is None:
            device.outcome = Outcome.UNVERIFIED if device.is_silent else Outcome.UNCHANGED
        else:
            # After a repair by query the index is compared in any case: a writer may have failed there.
            device.is_moving = (
                device.is_moving or isinstance(task, Queried) or self._moves_the_index(device.change, device.listings)
            )

    def _moves_the_index(self, change: Change, listings: Listings) -> bool:
        """Whether a change affects the index. `Published` is only stored there."""
        stored = change.stored
        if change.transitions or change.record is None or stored.published is None:
            return True
        after, now = replace(stored, rows=self._commit.rows(change)), self._clock()
        return summary_to_compare(stored, listings, now) != summary_to_compare(after, listings, now)

    async def _write(self, device: Device) -> None:
        change = device.change
        if change is None or device.error is not None:
            return
        try:
            device.stored, device.history = await self._commit.commit(change)
        except LostRaceError:
            _log.info("device %r: another writer was first, reading it again", device.device_id)
            return
        device.has_committed = True
        for transition in change.transitions:
            report_transition(device.device_id, transition)
        if device.is_silent:
            device.outcome = Outcome.UNVERIFIED
        elif change.record is None:
            device.outcome = Outcome.REMOVED
        else:
            device.outcome = Outcome.HEALED if is_missed(device.task, change.stored) else Outcome.CHANGED

    async def _project(self, devices: Sequence[Device], deadline: Deadline) -> None:
        try:
            async with deadline.limits("tables"):
                for device in await self._index.project(devices):
                    if device.published == device.stored.last_sequence:
                        self._cache.keep(device.summary, device.stored)
                    if device.has_committed:
                        await self._trim(device)
        except OutOfTimeError as error:
            _log.info("%d devices: the timer projects them: %s", len(devices), error)

    async def _trim(self, device: Device) -> None:
        try:
            await self._commit.trim(device.stored, device.published)
        except UnavailableError as error:
            _log.info("device %r: its history is trimmed later: %s", device.device_id, error)
