"""A deployment as a whole: what the devices on which it is credited have come to, and its milestones."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from status_core.grace import GracePolicy
from status_core.states import State

FAILING: Final = (State.INVALID, State.MODULE_FAILED)
"""A device in one of these has failed; one in progress has too once something of it is stuck."""


class Milestone(StrEnum):
    """What is told of a deployment, once for each version."""

    STARTED = "started"
    """The first device is credited with it."""
    FIRST_FAILURE = "first_failure"
    """The first device has failed, or something of it is stuck."""
    COMPLETED = "completed"
    """Every credited device is successful, and none was credited anew for the stability window."""
    STALLED = "stalled"
    """It is not completed, and for the default grace period no further device became successful or was credited."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many devices are credited, how many of them are successful, and how many failed."""

    devices: int
    successful: int
    failing: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is kept of a deployment between two counts.

    Attributes:
        version: Counts the times that the deployment came into force. Its content never changes: IoT Hub lets nobody
            edit the modules of a deployment, so another content is another deployment.
        counts: The last count.
        best: The most devices of this version that were successful at a time.
        joined_at: When a device was credited last.
        progressed_at: When a further device became successful, or was credited.
        reached: The milestones so far, with their times.
    """

    version: int
    counts: Counts
    best: int
    joined_at: datetime
    progressed_at: datetime
    reached: tuple[tuple[Milestone, datetime], ...] = ()

    def has(self, milestone: Milestone) -> bool:
        """Whether a milestone was reached."""
        return any(milestone is known for known, _ in self.reached)

    def stalls_at(self, policy: GracePolicy) -> datetime | None:
        """When it counts as stalled; None where it cannot any more."""
        if self.has(Milestone.COMPLETED) or self.has(Milestone.STALLED) or not self.counts.devices:
            return None
        return self.progressed_at + policy.default


def progress(previous: Rollout | None, counts: Counts, now: datetime, policy: GracePolicy) -> Rollout:
    """One step of a deployment; the milestones that it adds are at the end of `reached`.

    Args:
        previous: What was kept; None at the first count.
        counts: The count.
        now: When it was made, in UTC.
        policy: The default grace period and the stability window.
    """
    if previous is None or (not previous.counts.devices and counts.devices):
        version = previous.version + 1 if previous is not None and previous.reached else 1
        previous = Rollout(version, Counts(0, 0, 0), 0, now, now)
    has_joined = counts.devices > previous.counts.devices
    has_progressed = has_joined or counts.successful > previous.best
    rollout = replace(
        previous,
        counts=counts,
        best=max(previous.best, counts.successful),
        joined_at=now if has_joined else previous.joined_at,
        progressed_at=now if has_progressed else previous.progressed_at,
    )
    for milestone in Milestone:
        if not rollout.has(milestone) and _is_reached(milestone, rollout, now, policy):
            rollout = replace(rollout, reached=(*rollout.reached, (milestone, now)))
    return rollout


def _is_reached(milestone: Milestone, rollout: Rollout, now: datetime, policy: GracePolicy) -> bool:
    counts = rollout.counts
    match milestone:
        case Milestone.STARTED:
            return counts.devices > 0
        case Milestone.FIRST_FAILURE:
            return counts.failing > 0
        case Milestone.COMPLETED:
            return 0 < counts.devices == counts.successful and now >= rollout.joined_at + policy.stable_after
        case Milestone.STALLED:
            stalls_at = rollout.stalls_at(policy)
            return counts.successful < counts.devices and stalls_at is not None and now >= stalls_at
