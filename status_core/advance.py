"""Advances the record of a device by one status: returns the next record, and the transitions on the way."""

from dataclasses import replace
from datetime import datetime

from status_core.announcements import Announcements
from status_core.device_step import next_device
from status_core.grace import GracePolicy
from status_core.module_step import next_module
from status_core.observation import Observation
from status_core.record import DeviceRecord
from status_core.states import ModuleState
from status_core.status import DeploymentStatus
from status_core.transitions import Transition
from status_core.twin import EDGE_AGENT


def advance(  # noqa: PLR0913 (the last two carry on a deleted device)
    previous: DeviceRecord | None,
    status: DeploymentStatus,
    now: datetime,
    policy: GracePolicy,
    *,
    last_sequence: int = 0,
    last_at: datetime | None = None,
) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """Advance a device by one status. Pure, and the same for a notification, a timer and a resync.

    Args:
        previous: The stored record; None for the first status of a device.
        status: The new status.
        now: Until when the status is known to hold, in UTC: when the twin was read.
        policy: Grace periods and windows.
        last_sequence: For a first status, the number of the last transition before the device was deleted.
        last_at: For a first status, the time of that transition.

    Returns:
        The next record, and the transitions in order of sequence and time. The first status of a device has one, the
        device's.
    """
    if previous is not None:
        last_sequence, last_at = previous.sequence, previous.at
    at = min(status.changed or now, now)  # a change without a time happened now
    at = at if last_at is None else max(at, last_at)
    seen = Observation(previous, status, at, now, policy)
    announcements = Announcements(seen)
    # The device's own record is that of $edgeAgent.
    names = sorted(status.modules.keys() - {EDGE_AGENT})
    steps = {name: next_module(seen, announcements, name) for name in names}
    for name, kept in sorted(seen.kept_modules.items()):
        if name not in steps:
            announcements.removal(name, kept)
    modules = {name: step.record for name, step in steps.items()}
    ends = [
        step.ended_at
        for step in steps.values()
        if step.ended_at is not None and step.record.verdict.state != ModuleState.EXTRA
    ]
    device = next_device(seen, announcements, modules, ends)
    transitions = announcements.in_order(last_sequence, at if last_at is None else last_at)
    last = max([at, *(transition.at for transition in transitions)])
    sequence = last_sequence + len(transitions)
    return replace(device, sequence=sequence, at=last, credited=_credited(previous, status, at)), transitions


def _credited(previous: DeviceRecord | None, status: DeploymentStatus, at: datetime) -> tuple[datetime, ...]:
    """Return since when each deployment is applied: for a new one, since the desired section changed."""
    came = at if status.desired_at is None else min(status.desired_at, at)
    known = (None if previous is None else previous.credited_since(deployment) for deployment in status.deployments)
    return tuple(since or came for since in known)
