"""Makes what is stored of devices equal to what their twins say: a batch at a time, in phases.

    read       what the index says of each device, then its rows, then its twin where that is needed
    decide     the next record and its transitions: pure
    announce   that the device may change: a crash from here on leaves an announcement that the timer finishes
    commit     state and history of the device, guarded by its ETag
    publish    the events that are not published yet, in their order
    project    the rows of the index, guarded by the summary of the device

Each phase is over all devices of the batch. A device that fails in one goes no further and costs no other its turn; one
that lost a race goes into the next round.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from status_app.errors import LostRaceError, UnavailableError
from status_app.events.outbox import Outbox
from status_app.fleet_index.former import FormerIndex
from status_app.fleet_index.projection import FleetProjection, Projection
from status_app.fleet_index.rows import Summary, project
from status_app.reconcile.decisions import (
    QUERIES_LAG,
    advanced,
    is_missed,
    needs_a_read,
    outcome_without_a_twin,
    removal,
    unverified,
)
from status_app.reconcile.device_cache import DeviceCache
from status_app.reconcile.tasks import Announced, Due, Notified, Outcome, Queried, Result, Task
from status_app.status_table.commit import Change, DeviceCommit
from status_app.status_table.reader import DeviceReader
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.columns import Row
from status_app.telemetry.logs import about, log
from status_app.telemetry.transitions import tell_transition
from status_core import GracePolicy

ROUNDS: Final = 5
"""Rounds before a writer that always comes second gives up until the next event."""
AT_ONCE: Final = 100
"""Devices of a batch that are asked for side by side."""
SILENT: Final = 3
"""Due devices in a row for which the hub did not answer, before it is no longer asked: each costs several attempts."""

_log = log(__name__)


class Twins(Protocol):
    """Where twins are read."""

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        """The `$edgeAgent` twin that the hub holds now; None where it holds none."""


@dataclass(slots=True)
class _Device:
    """A device on its way through the phases.

    Attributes:
        published: The sequence up to which its transitions are published.
        pending: Announcements that end with its projection.
        history: Rows of the transitions that were committed last.
        is_silent: The hub did not answer.
        holds_until: Until when its twin is known to hold; None where it was read just now.
        is_glance: Its rows alone were read, and not what the index says of it.
        is_read: Both were read, in an earlier round.
    """

    task: Task
    summary: Summary
    stored: StoredDevice
    published: int = 0
    pending: set[str] = field(default_factory=set)
    history: list[Row] = field(default_factory=list)
    twin: Mapping[str, Any] | None = None
    is_silent: bool = False
    holds_until: datetime | None = None
    is_glance: bool = False
    is_read: bool = False
    has_committed: bool = False
    change: Change | None = None
    outcome: Outcome | None = None
    error: Exception | None = None

    @property
    def device_id(self) -> str:
        return self.task.device_id


class Reconciler:
    """Reconciles devices."""

    def __init__(  # noqa: PLR0913, PLR0917 (each is a part that it needs)
        self,
        reader: DeviceReader,
        commit: DeviceCommit,
        projection: FleetProjection,
        former: FormerIndex,
        outbox: Outbox | None,
        twins: Twins,
        policy: GracePolicy,
        clock: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._commit = commit
        self._projection = projection
        self._former = former
        self._outbox = outbox
        self._twins = twins
        self._policy = policy
        self._clock = clock
        self._cache = DeviceCache()

    async def run(self, tasks: Iterable[Task]) -> list[Result]:
        """Reconcile the devices of a batch, each once.

        Args:
            tasks: One for each device.

        Returns:
            A result for each task, in their order. Its error is BadEventError where the device is neither in the hub
            nor in the table, UnavailableError where a service does not answer or other writers were always first.
        """
        devices = [_Device(task, Summary(task.device_id), StoredDevice(task.device_id)) for task in tasks]
        waiting = devices
        for _ in range(ROUNDS):
            await _each(waiting, self._read)
            await self._read_twins(waiting)
            await _each(waiting, self._decide)
            changing = [device for device in waiting if device.change is not None and device.error is None]
            await self._announce(changing)
            await _each(changing, self._write)
            done = [device for device in waiting if device.error is None and device.outcome is not None]
            going = [device for device in done if not device.is_glance]
            await _each([device for device in going if self._has_unpublished(device)], self._publish)
            await self._project(going)
            waiting = [device for device in waiting if device.error is None and device.outcome is None]
            if not waiting:
                break
        for device in waiting:
            device.error = UnavailableError("tables", f"{ROUNDS} other writers were first")
        return [Result(device.task, device.outcome, device.error) for device in devices]

    async def _read(self, device: _Device) -> None:
        # The summary before the device, and the device before its twin: what is read later is never older.
        device.change, device.twin, device.outcome, device.history = None, None, None, []
        device.holds_until = None
        known = self._cache.take(device.device_id)  # whatever it comes to, it is another one then
        if known is None or not isinstance(device.task, Notified) or device.task.notification.lifecycle:
            if await self._is_glanced_at(device):
                return
            summary = await self._projection.read(device.device_id)
            is_new = summary.etag is None and not device.is_read
            known = summary, await self._reader.read(device.device_id, is_new=is_new)
        device.is_read = True
        await self._take(device, *known)
        device.outcome = outcome_without_a_twin(device.task, device.stored, self._clock())

    async def _is_glanced_at(self, device: _Device) -> bool:
        """Read the rows of a queried device alone: of most nothing changes, and the index need not be asked.

        Returns:
            False for any other device, for one that was glanced at before, and where only a read of the twin can tell.
        """
        is_first = isinstance(device.task, Queried) and not device.is_glance and not device.is_read
        device.is_glance = False
        if is_first:
            device.stored = await self._reader.read(device.device_id)
            device.is_glance = device.stored.is_known and not needs_a_read(device.task, device.stored)
            device.outcome = outcome_without_a_twin(device.task, device.stored, self._clock())
        return device.is_glance

    async def _take(self, device: _Device, summary: Summary, stored: StoredDevice) -> None:
        """Go on with a device as it was read. What this process has sent is not sent again."""
        device.summary, device.stored = summary, stored
        published = summary.published if summary.published is not None else stored.published
        if published is None:  # no row of this release says so
            unsent = await self._former.first_unsent(device.device_id) if stored.last_sequence else None
            published = stored.last_sequence if unsent is None else unsent - 1
        device.published = max(device.published, published)

    async def _read_twins(self, devices: Sequence[_Device]) -> None:
        """Read the twins of all devices that need theirs."""
        silent = 0

        async def read(device: _Device) -> None:
            nonlocal silent
            if isinstance(device.task, Queried) and not needs_a_read(device.task, device.stored):
                device.twin, device.holds_until = device.task.twin, device.task.queried - QUERIES_LAG
                return
            is_due = isinstance(device.task, Due)
            if not needs_a_read(device.task, device.stored) or (is_due and silent >= SILENT):
                device.is_silent = True
                return
            try:
                device.twin = await self._twins.read(device.device_id)
                silent = 0 if silent < SILENT else silent
            except UnavailableError as error:
                if not is_due:
                    raise
                _log.warning("device %r: flagged as it was last seen: %s", device.device_id, error)
                silent += 1
                device.is_silent = True

        await _each([device for device in devices if device.outcome is None and device.error is None], read)

    async def _decide(self, device: _Device) -> None:
        if device.error is not None or device.outcome is not None:
            return
        now, stored, task = self._clock(), device.stored, device.task
        if device.is_silent:
            device.change = unverified(stored, device.published, now)
        elif device.twin is None:
            device.change = removal(stored, task, device.published, now)
        else:
            record, transitions = advanced(stored, device.twin, now, device.holds_until or now, self._policy)
            device.change = Change(stored, record, transitions, device.published)
        if device.change is not None and not self._commit.is_needed(device.change):
            device.change = None
        if device.change is None:
            device.outcome = Outcome.UNVERIFIED if device.is_silent else Outcome.UNCHANGED
        elif device.is_glance:
            device.change = None  # in the next round, with what the index says

    async def _announce(self, devices: Sequence[_Device]) -> None:
        new = [device.device_id for device in devices if not device.pending]
        announced = await self._projection.announce(new) if new else {}
        for device in devices:
            key = announced.get(device.device_id)
            if isinstance(key, Exception):
                device.error = key
            elif key is not None:
                device.pending.add(key)

    async def _write(self, device: _Device) -> None:
        change = device.change
        if change is None or device.error is not None:
            return
        try:
            device.stored, device.history = await self._commit.commit(change)
        except LostRaceError:
            _log.info("device %r: another writer was first, looking again", device.device_id)
            return
        device.has_committed = True
        for transition in change.transitions:
            tell_transition(device.device_id, transition)
        if device.is_silent:
            device.outcome = Outcome.UNVERIFIED
        elif change.record is None:
            device.outcome = Outcome.REMOVED
        else:
            device.outcome = Outcome.HEALED if is_missed(device.task, change.stored) else Outcome.CHANGED

    @staticmethod
    def _has_unpublished(device: _Device) -> bool:
        is_writer = device.has_committed or isinstance(device.task, Announced)
        return is_writer and device.published < device.stored.last_sequence

    async def _publish(self, device: _Device) -> None:
        """Publish what is unpublished of a device, in its order; what fails is left to the timer."""
        last = device.stored.last_sequence
        try:
            is_sent = self._outbox is None or await self._send(device, self._outbox, last)
        except UnavailableError as error:
            _log.info("device %r: its events are left for the timer: %s", device.device_id, error)
        except Exception:  # noqa: BLE001 (a bug, or a row that was edited: what was committed is projected all the same)
            _log.exception("device %r: its events cannot be sent", device.device_id)
        else:
            device.published = last if is_sent else device.published

    async def _send(self, device: _Device, outbox: Outbox, last: int) -> bool:
        rows: Sequence[Mapping[str, Any]] = device.history
        if len(rows) < last - device.published:
            rows = await self._reader.transitions(device.device_id, range(device.published + 1, last + 1))
        elif len(rows) > last - device.published:
            rows = rows[len(rows) - last + device.published :]
        return await outbox.send(device.device_id, rows)

    async def _project(self, devices: Sequence[_Device]) -> None:
        work: dict[str, _Device] = {}
        projections: list[Projection] = []

        async def prepare(device: _Device) -> None:
            projections.append(self._projection_of(device))
            work[device.device_id] = device

        await _each(devices, prepare)

        async def again(item: Projection) -> Projection:
            device = work[item.before.device_id]
            summary = await self._projection.read(device.device_id)
            await self._take(device, summary, await self._reader.read(device.device_id))
            if self._has_unpublished(device):
                device.history = []
                await self._publish(device)
            return self._projection_of(device)

        results = await self._projection.project(projections, again)
        for device in work.values():
            said = results[device.device_id]
            if isinstance(said, Exception):
                _log.info("device %r: the timer projects it: %s", device.device_id, said)
                if isinstance(device.task, Announced):  # by this row, or by no other
                    is_lost = isinstance(said, LostRaceError)
                    device.error = UnavailableError("tables", str(said)) if is_lost else said
                continue
            if said is not None and device.published == device.stored.last_sequence:
                self._cache.keep(said, device.stored)
            if device.has_committed:
                await self._trim(device)

    def _projection_of(self, device: _Device) -> Projection:
        is_moved = isinstance(device.task, Due)
        after = project(device.stored, device.summary, device.published, moved=is_moved)
        pending = device.pending | (device.task.pending if isinstance(device.task, Announced) else frozenset())
        return Projection(device.summary, after, frozenset(pending))

    async def _trim(self, device: _Device) -> None:
        try:
            await self._commit.trim(device.device_id, device.stored.last_sequence, device.published)
        except (UnavailableError, LostRaceError) as error:
            _log.info("device %r: its history is trimmed later, or by another: %r", device.device_id, error)


async def _each(devices: Sequence[_Device], step: Callable[[_Device], Awaitable[None]]) -> None:
    """Take a step with each device that has not failed, side by side; an error is the device's own."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(device: _Device) -> None:
        if device.error is not None:
            return
        async with slots:
            with about(device=device.device_id):
                try:
                    await step(device)
                except Exception as error:  # noqa: BLE001 (it is in the result of the device, and the others go on)
                    device.error = error

    await asyncio.gather(*map(one, devices))
