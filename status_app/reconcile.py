"""One look at one device: read its twin once, compute, compare and set."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from status_app.errors import BadEventError, LostRaceError, UnavailableError
from status_app.notifications import Notification
from status_app.tables.status_table import StatusTable, StoredDevice
from status_core import GracePolicy, advance, deletion, evaluate

RACES: Final = 5
"""Looks at one device before a writer that always comes second gives up until the next event."""

_log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What a look came to."""

    COVERED = "covered"
    """What is stored is as new as the notification: the twin was not read."""
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    REMOVED = "removed"


class Twins(Protocol):
    """Where twins are read."""

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        """The `$edgeAgent` twin that the hub holds now; None where it holds none."""


class Reconciler:
    """Makes what is stored of a device equal to what its twin says."""

    def __init__(self, table: StatusTable, twins: Twins, policy: GracePolicy, clock: Callable[[], datetime]) -> None:
        self._table = table
        self._twins = twins
        self._policy = policy
        self._clock = clock

    async def look(self, notification: Notification) -> Outcome:
        """Look at a device because of a notification.

        Raises:
            BadEventError: The device is not in the hub and was never seen.
            UnavailableError: A service does not answer, or other writers were always first.
        """
        for _ in range(RACES):
            # The row first: a twin that is read after it is never older than what the row was made of.
            stored = await self._table.read(notification.device_id)
            if _covers(stored, notification):
                return Outcome.COVERED
            twin = await self._twins.read(notification.device_id)
            try:
                if twin is None:
                    return await self._remove(stored, notification)
                return await self._settle(stored, twin)
            except LostRaceError:
                _log.info("device %r: another writer was first, looking again", notification.device_id)
        raise UnavailableError("tables", f"{RACES} other writers were first")

    async def _settle(self, stored: StoredDevice, twin: Mapping[str, Any]) -> Outcome:
        status = evaluate(twin)
        previous = stored.record(tuple(status.modules))
        record, transitions = advance(
            previous,
            status,
            self._clock(),
            self._policy,
            last_sequence=stored.last_sequence,
        )
        written = await self._table.write(stored, previous, record, transitions)
        for transition in transitions:
            change = transition.change
            _log.info(
                "device %r %s: %s -> %s (%s)",
                stored.device_id,
                change.module or change.kind,
                change.from_state or "absent",
                change.to_state or "absent",
                change.reason,
            )
        return Outcome.CHANGED if written else Outcome.UNCHANGED

    async def _remove(self, stored: StoredDevice, notification: Notification) -> Outcome:
        record = stored.record()
        if record is None:
            # It was removed before, and this is a late notification of its last days; or it is no edge device.
            if stored.last_sequence or notification.lifecycle:
                return Outcome.UNCHANGED
            raise BadEventError("device_not_found", "neither the hub nor the table knows the device")
        await self._table.remove(stored, deletion(record, self._clock()))
        return Outcome.REMOVED


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
