"""Decisions about a device from its stored rows and its twin. Pure."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from status_app.errors import BadEventError
from status_app.fleet_index.profile import credited
from status_app.ingest.notifications import Notification
from status_app.reconcile.tasks import Announced, Compared, Due, Notified, Outcome, Queried, Task
from status_app.status_table.commit import Change
from status_app.status_table.rows import read_record
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.codecs import read_number, read_time
from status_app.storage.keys import DEVICE
from status_core import (
    INDIVIDUAL,
    DeploymentStatus,
    DeviceRecord,
    Flag,
    GracePolicy,
    State,
    Transition,
    advance,
    deletion,
    flag_unverified,
)

QUERIES_LAG: Final = timedelta(minutes=10)
"""A query's index is assumed to lag by less than this."""
CLOCKS_AGREE: Final = timedelta(seconds=5)
"""The clocks of the services, and the app's estimates of them, differ by less than this."""
NOTIFIED_WITHIN: Final = timedelta(minutes=10)
"""After this time a notification counts as lost: a route needs seconds, a restart of the app a few minutes."""


def outcome_without_a_twin(task: Task, stored: StoredDevice, now: datetime) -> Outcome | None:
    """Return the outcome of a task that needs no twin; None if the twin must be read, or was queried.

    Args:
        task: The task.
        stored: The device.
        now: The time in UTC.
    """
    match task:
        case Notified(notification) if covers(stored, notification):
            return Outcome.COVERED
        case Compared(_, status, _) if stored.is_whole and is_as_known(stored.rows[DEVICE], status):
            return Outcome.UNCHANGED
        case Queried() | Compared() if stored.is_known and stored.observed >= task.queried:
            return None if _is_newer(stored, task.status) else Outcome.COVERED
        case Due() if stored.due_at is None or stored.due_at > now:
            return Outcome.STALE
        case Announced():
            return Outcome.FINISHED
    return None


def needs_a_read(task: Task, stored: StoredDevice) -> bool:
    """Whether only a direct read can show what the hub holds."""
    if not isinstance(task, Queried):
        return True
    is_later = stored.is_known and stored.observed >= task.queried
    return is_later or _is_doubtful(stored, task.status)


def advanced(
    stored: StoredDevice, status: DeploymentStatus, now: datetime, known_at: datetime, policy: GracePolicy
) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """Return the next record of a device, with its transitions.

    Args:
        stored: The device.
        status: What its twin says.
        now: The time in UTC.
        known_at: Until when the twin is known to hold, if later than its last change.
        policy: Grace periods and windows.
    """
    if status.changed is not None and now < status.changed < now + CLOCKS_AGREE:  # our clock is a little behind
        now = status.changed
    holds = min(now, max(known_at, status.changed or known_at))
    previous = stored.record(tuple(status.modules))
    last_at = stored.at if stored.is_known else stored.last_at
    return advance(previous, status, holds, policy, last_sequence=stored.last_sequence, last_at=last_at)


def unverified(stored: StoredDevice, published: int, now: datetime) -> Change | None:
    """Return the change of a due device while the hub does not answer."""
    record = stored.record()
    return None if record is None else Change(stored, *flag_unverified(record, now), published)


def removal(stored: StoredDevice, task: Task, published: int, now: datetime) -> Change | None:
    """Return the change of a device that the hub no longer holds; None if it was removed before.

    Raises:
        BadEventError: The device is not in the hub and was never seen.
    """
    record = read_record(stored.rows)  # even if only part of a first state was stored
    if record is not None:
        return Change(stored, None, [deletion(record, now)], published)
    # It was removed before, and this is a late notification; or it is not an edge device.
    is_lifecycle = isinstance(task, Notified) and task.notification.lifecycle
    if stored.last_sequence or is_lifecycle or not isinstance(task, Notified):
        return None
    raise BadEventError("device_not_found", "neither the hub nor the table knows the device")


def covers(stored: StoredDevice, notification: Notification) -> bool:
    """Whether the stored state comes from a twin that already had the notified change.

    Versions alone do not show it, because a recreated identity starts them at 1. So times are compared too.
    """
    known = stored.twin_version
    if known is None or notification.lifecycle or notification.version is None:
        return False
    if notification.time is not None and notification.time > stored.observed:
        return False
    return notification.version <= known


def is_as_known(columns: Mapping[str, Any], outline: DeploymentStatus) -> bool:
    """Whether a twin is the one behind a row, as far as its outline shows.

    A recreated identity has a later time, whatever its version. Configurations change neither version nor time, so they
    are compared.

    Args:
        columns: A device's row in DeploymentStatus, or its summary.
        outline: The status of its outline.
    """
    version, at = read_number(columns.get("TwinVersion")), columns.get("At")
    if version is None or at is None or "State" not in columns or outline.twin_version != version:
        return False
    is_empty = columns["State"] == State.NO_DEPLOYMENT
    if not is_empty and outline.changed is None:
        return False
    if outline.changed is not None and outline.changed > read_time(at):
        return False
    is_credited = Flag.NOT_CREDITED not in json.loads(columns.get("Flags", "[]"))
    applied = outline.deployments or (() if is_empty else (INDIVIDUAL,))
    return credited(columns) == applied and is_credited == (Flag.NOT_CREDITED not in outline.flags)


def is_missed(task: Task, stored: StoredDevice) -> bool:
    """Whether a query returns a later twin than the stored one, whose notification is long overdue."""
    if not isinstance(task, Queried | Compared) or not stored.is_known:
        return False
    changed = task.status.changed
    return changed is not None and changed < task.queried - NOTIFIED_WITHIN and _is_newer(stored, task.status)


def _is_newer(stored: StoredDevice, status: DeploymentStatus) -> bool:
    """Whether a query returned a later version than the stored one."""
    version, known = status.twin_version, stored.twin_version
    return version is not None and (known is None or version > known)


def _is_doubtful(stored: StoredDevice, status: DeploymentStatus) -> bool:
    """Whether only a direct read can show what the hub holds.

    That is so if the query returns an older version: either it lags, or the identity was recreated. It is so if the
    twin was changed before the stored one: it lags, and the identity was recreated. And it is so for a removed device,
    and for an incomplete twin without a version.
    """
    version, known, changed = status.twin_version, stored.twin_version, status.changed
    if version is None:
        return True
    if not stored.is_known:
        return bool(stored.last_sequence)
    if known is None:
        return False
    if version == known:
        return changed is not None and changed < stored.newest_since
    return version < known or (changed is not None and changed < stored.at)
