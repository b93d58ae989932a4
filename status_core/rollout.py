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
    """For `STABLE_AFTER` all credited devices were successful, nothing of them stuck, and none was credited."""
    STALLED = "stalled"
    """It is not completed, and for the default grace period no further device became successful or was credited."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many devices are credited, how many of them are successful, and how many failed."""

    devices: int
    successful: int
    failing: int


_NONE: Final = Counts(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is kept of a deployment between two counts.

    Attributes:
        version: Counts the times that the deployment came into force; 0 where it never did. Its content never changes:
            IoT Hub lets nobody edit the modules of a deployment, so another content is another deployment.
        counts: The last count.
        best: The most devices of this version that were successful at a time, since one left.
        settled_since: Since when all devices are successful, nothing of them is stuck, and none was credited; None
            where that is not so.
        progressed_at: When a further device became successful, or was credited.
        reached: The milestones so far, with their times. They are plain words: a newer release may have kept others.
    """

    version: int
    counts: Counts
    best: int
    settled_since: datetime | None
    progressed_at: datetime
    reached: tuple[tuple[str, datetime], ...] = ()

    def has(self, milestone: Milestone) -> bool:
        """Whether a milestone was reached."""
        return any(milestone == known for known, _ in self.reached)

    def due(self, policy: GracePolicy) -> datetime | None:
        """When it is completed, or has stalled, if no device changes until then; None where neither comes."""
        if self.has(Milestone.COMPLETED) or not self.counts.devices:
            return None
        if self.settled_since is not None:
            return self.settled_since + policy.stable_after
        return None if self.has(Milestone.STALLED) else self.progressed_at + policy.default


def progress(previous: Rollout | None, counts: Counts, now: datetime, policy: GracePolicy) -> Rollout:
    """One step of a deployment; the milestones that it adds are at the end of `reached`.

    Args:
        previous: What was kept; None at the first count.
        counts: The count.
        now: When it was made, in UTC.
        policy: The default grace period and `STABLE_AFTER`.
    """
    if previous is None:
        previous = Rollout(0, _NONE, 0, None, now)
    if counts.devices and not previous.counts.devices:
        previous = Rollout(previous.version + 1, _NONE, 0, None, now)
    if counts.devices < previous.counts.devices:  # those that left may have been successful
        previous = replace(previous, best=min(previous.best, counts.successful))
    has_joined = counts.devices > previous.counts.devices
    has_progressed = has_joined or counts.successful > previous.best
    is_settled = counts.successful == counts.devices and not counts.failing
    settled_since = now if has_joined or previous.settled_since is None else previous.settled_since
    rollout = replace(
        previous,
        counts=counts,
        best=max(previous.best, counts.successful),
        settled_since=settled_since if is_settled else None,
        progressed_at=now if has_progressed else previous.progressed_at,
    )
    due = rollout.due(policy)
    is_due = due is not None and now >= due
    is_reached = {
        Milestone.STARTED: counts.devices > 0,
        Milestone.FIRST_FAILURE: counts.failing > 0,
        Milestone.COMPLETED: is_due and is_settled,
        Milestone.STALLED: is_due and not is_settled,
    }
    added = tuple((milestone, now) for milestone, so in is_reached.items() if so and not rollout.has(milestone))
    return replace(rollout, reached=rollout.reached + added)
