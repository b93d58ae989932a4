"""One look at one device: read its twin once, compute, compare and set."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from status_app.errors import BadEventError, LostRaceError, UnavailableError
from status_app.events.outbox import Outbox
from status_app.fleet_index.index_rows import Pointer
from status_app.ingest.notifications import Notification
from status_app.status_table.change import Committed
from status_app.status_table.device_cache import KnownDevices
from status_app.status_table.status_table import StatusTable
from status_app.status_table.stored_device import StoredDevice
from status_app.telemetry.logs import about, log
from status_app.telemetry.transitions import tell_transition
from status_core import DeploymentStatus, DeviceRecord, GracePolicy, Transition, advance, deletion, evaluate, flag

RACES: Final = 5
"""Looks at one device before a writer that always comes second gives up until the next event."""
NOTIFIED_WITHIN: Final = timedelta(minutes=10)
"""After that a notification is taken for lost: a route needs seconds, and a restart of the app a few minutes."""

_log = log(__name__)


class Outcome(StrEnum):
    """What a look came to."""

    COVERED = "covered"
    """What is stored is as new as the notification: the twin was not read."""
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    HEALED = "healed"
    """It is changed by a twin that a notification should have announced long before a query found it."""
    REMOVED = "removed"
    STALE = "stale"
    """The deadline is not, or no longer, that of the device: nothing was looked at."""
    UNVERIFIED = "unverified"
    """The hub did not answer: what is past its grace period was flagged as it was last seen."""


class Twins(Protocol):
    """Where twins are read."""

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        """The `$edgeAgent` twin that the hub holds now; None where it holds none."""


class Reconciler:
    """Makes what is stored of a device equal to what its twin says."""

    def __init__(
        self,
        table: StatusTable,
        outbox: Outbox | None,
        twins: Twins,
        policy: GracePolicy,
        clock: Callable[[], datetime],
    ) -> None:
        self._table = table
        self._outbox = outbox
        self._twins = twins
        self._policy = policy
        self._clock = clock
        self._known = KnownDevices()

    async def look(self, notification: Notification) -> Outcome:
        """Look at a device because of a notification.

        Raises:
            BadEventError: The device is not in the hub and was never seen.
            UnavailableError: A service does not answer, or other writers were always first.
        """
        return await self._retry_lost_races(lambda: self._look(notification), notification.device_id)

    async def look_at(self, device_id: str, twin: Mapping[str, Any], queried: datetime) -> Outcome:
        """Look at a device whose twin came with a query: it may be older than the twin that a read would give.

        Args:
            device_id: The device.
            twin: The twin.
            queried: When the query was sent.

        Raises:
            UnavailableError: A service does not answer, or other writers were always first.
        """

        async def once() -> Outcome:
            stored, status = await self._table.read(device_id), evaluate(twin, now=self._clock())
            is_later = stored.is_known and stored.observed >= queried
            if is_later and not _is_newer(stored, status):
                return Outcome.COVERED
            if is_later or _is_doubtful(stored, status):
                return await self._look(Notification(device_id, lifecycle=True))
            outcome = await self._write(stored, *self._advance(stored, status))
            is_missed = stored.is_known and _is_newer(stored, status) and _is_late(status, queried)
            return Outcome.HEALED if outcome is Outcome.CHANGED and is_missed else outcome

        return await self._retry_lost_races(once, device_id)

    async def look_due(self, deadline: Pointer, *, ask: bool = True) -> Outcome:
        """Look at a device whose deadline is over: flag what is stuck by now, clear what has recovered.

        Args:
            deadline: The deadline.
            ask: False where the hub is known not to answer.

        Raises:
            UnavailableError: The table service does not answer, or other writers were always first.
        """
        again = False

        async def once() -> Outcome | None:
            nonlocal again
            stored = await self._table.read(deadline.device_id)
            if not again and not stored.has(deadline):
                return Outcome.STALE
            if not ask:
                return await self._flag_unverified(stored)
            try:
                twin = await self._twins.read(deadline.device_id)
            except UnavailableError as error:
                _log.warning("device %r: flagged as it was last seen: %s", deadline.device_id, error)
                return await self._flag_unverified(stored)
            if twin is None:
                return await self._remove(stored, Notification(deadline.device_id))
            status = evaluate(twin, now=self._clock())
            record, transitions = self._advance(stored, status)
            flagged, turns = flag(record, status, self._clock(), self._policy.stable_after)
            if not transitions or not turns:
                return await self._write(stored, flagged, (*transitions, *turns))
            await self._write(stored, record, transitions)
            again = True
            return None

        return await self._retry_lost_races(once, deadline.device_id)

    async def has(self, pointer: Pointer) -> bool:
        """Whether a row of the index belongs to the device that it names.

        Raises:
            UnavailableError: The table service does not answer.
        """
        return (await self._table.read(pointer.device_id)).has(pointer)

    async def _look(self, notification: Notification) -> Outcome:
        # The row first: a twin that is read after it is never older than what the row was made of.
        known = self._known.take(notification.device_id)
        if known is None or notification.lifecycle:
            known = await self._table.read(notification.device_id)
        if _covers(known, notification):
            self._known.keep(known)
            return Outcome.COVERED
        twin = await self._twins.read(notification.device_id)
        if twin is None:
            return await self._remove(known, notification)
        return await self._write(known, *self._advance(known, evaluate(twin, now=self._clock())))

    def _advance(self, stored: StoredDevice, status: DeploymentStatus) -> tuple[DeviceRecord, tuple[Transition, ...]]:
        previous = stored.record(tuple(status.modules))
        return advance(
            previous, status, self._clock(), self._policy, last_sequence=stored.last_sequence, last_at=stored.last_at
        )

    async def _flag_unverified(self, stored: StoredDevice) -> Outcome:
        record = stored.record()
        if record is not None:
            await self._write(stored, *flag(record, None, self._clock(), self._policy.stable_after))
        return Outcome.UNVERIFIED

    async def _write(self, stored: StoredDevice, record: DeviceRecord, transitions: Sequence[Transition]) -> Outcome:
        committed = await self._table.write(stored, record, transitions)
        for transition in transitions:
            tell_transition(stored.device_id, transition)
        if committed is None:
            self._known.keep(stored)
            return Outcome.UNCHANGED
        await self._publish(committed)
        return Outcome.CHANGED

    async def _publish(self, committed: Committed) -> None:
        """Publish what was committed, then trim the history: no transition goes before its event.

        What fails here is made good by the timer and by the next change: the change itself stands.
        """
        stored, is_sent = committed.stored, False
        try:
            if committed.history:
                is_sent = self._outbox is None or await self._outbox.send(committed)
                stored = replace(stored, is_published=is_sent)
        finally:
            await self._table.clear(committed, sent=is_sent and committed.stored.is_published)
        self._known.keep(stored)
        if not is_sent:
            return
        try:
            await self._table.trim(stored.device_id, stored.last_sequence)
        except (UnavailableError, LostRaceError) as error:
            _log.info("device %r: its history is trimmed later, or by another: %r", stored.device_id, error)

    async def _remove(self, stored: StoredDevice, notification: Notification) -> Outcome:
        record = stored.record()
        if record is None:
            # It was removed before, and this is a late notification of its last days; or it is no edge device.
            if stored.last_sequence or notification.lifecycle:
                return Outcome.UNCHANGED
            raise BadEventError("device_not_found", "neither the hub nor the table knows the device")
        transition = deletion(record, self._clock())
        committed = await self._table.remove(stored, transition)
        tell_transition(stored.device_id, transition)
        await self._publish(committed)
        return Outcome.REMOVED

    async def _retry_lost_races(self, once: Callable[[], Awaitable[Outcome | None]], device_id: str) -> Outcome:
        """Run a look, and again while it is not done, or another writer was first: `RACES` times at most.

        Raises:
            UnavailableError: Other writers were always first.
        """
        with self._table.look(), about(device=device_id):
            for _ in range(RACES):
                try:
                    outcome = await once()
                except LostRaceError:
                    _log.info("device %r: another writer was first, looking again", device_id)
                else:
                    if outcome is not None:
                        return outcome
        raise UnavailableError("tables", f"{RACES} other writers were first")


def _covers(stored: StoredDevice, notification: Notification) -> bool:
    """Whether the stored state was made of a twin that held the notified change already.

    By version; and by time, since the versions of an identity that is created anew start again at 1.
    """
    known = stored.twin_version
    if known is None or notification.lifecycle or notification.version is None:
        return False
    if notification.time is not None and notification.time > stored.observed:
        return False
    return notification.version <= known


def _is_newer(stored: StoredDevice, status: DeploymentStatus) -> bool:
    """Whether a query gives a later version than the stored one."""
    version, known = status.twin_version, stored.twin_version
    return version is not None and (known is None or version > known)


def _is_late(status: DeploymentStatus, queried: datetime) -> bool:
    """Whether the notification of a twin that a query gave should have come before the query."""
    return status.changed is not None and status.changed < queried - NOTIFIED_WITHIN


def _is_doubtful(stored: StoredDevice, status: DeploymentStatus) -> bool:
    """Whether only a read can tell what the hub holds.

    So it is where the query gives an older version: it lags, or the identity was created anew, which wins. So it is
    where a newer one was changed before the stored one: it lags, and the identity was created anew. And so it is of a
    device that was removed.
    """
    if not stored.is_known:
        return bool(stored.last_sequence)
    version, known = status.twin_version, stored.twin_version
    if version is None or known is None or version == known:
        return version is None
    return version < known or (status.changed is not None and status.changed < stored.at)
