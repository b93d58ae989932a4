"""From what was kept of a device and what its twin says now: what is kept next, and the transitions between."""

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


def advance(  # noqa: PLR0913 (the last two are the end of an earlier life)
    previous: DeviceRecord | None,
    status: DeploymentStatus,
    now: datetime,
    policy: GracePolicy,
    *,
    last_sequence: int = 0,
    last_at: datetime | None = None,
) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """One step of a device: pure, and the same for a notification, a timer and a resync.

    Args:
        previous: What was kept; None at the first status of a device.
        status: What the twin says now.
        now: Until when that is known to hold, in UTC: when the twin was read.
        policy: Grace periods and windows.
        last_sequence: At a first status, the number of the last transition of an earlier life of the device.
        last_at: At a first status, the time of that transition.

    Returns:
        The next record, and the transitions in the order of their sequence, which is that of their times. The first
        status of a device has one, the device's.
    """
    if previous is not None:
        last_sequence, last_at = previous.sequence, previous.at
    at = min(status.changed or now, now)  # what does not say when it changed did so now
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
    """Since when each deployment is credited: a new one since the change of the desired section that it came with."""
    came = at if status.desired_at is None else min(status.desired_at, at)
    known = (None if previous is None else previous.credited_since(deployment) for deployment in status.deployments)
    return tuple(since or came for since in known)
