"""A deployment as a whole: how far its devices are, and its milestones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from status_core.grace import GracePolicy
from status_core.listing import Listing
from status_core.standing import Standing
from status_core.threshold import NONE_MAY_FAIL, Threshold

INDIVIDUAL: Final = "~individual"
"""The name used for devices that have modules without any applied configuration."""


class Milestone(StrEnum):
    """What is announced of a deployment, once per version."""

    STARTED = "started"
    """The first device counts for it."""
    FIRST_FAILURE = "first_failure"
    """The first device fails."""
    THRESHOLD_EXCEEDED = "threshold_exceeded"
    """More devices fail than `FAILURE_THRESHOLD` allows."""
    COMPLETED = "completed"
    """Every device is successful, or failing within the threshold, and none was added for `STABLE_AFTER`."""
    STALLED = "stalled"
    """It is not completed, no device is settling, and for the default grace none became successful or was added."""
    SUPERSEDED = "superseded"
    """It went from some devices to none, or the hub no longer has it. Nothing comes after it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many devices have the deployment applied, and how far they are (`status_core.standing`)."""

    devices: int = 0
    successful: int = 0
    settling: int = 0
    failing: int = 0
    waiting: int = 0

    @classmethod
    def of(cls, standings: Mapping[str, int]) -> "Counts":
        """Count devices by their standing."""
        known = (Standing.SUCCESSFUL, Standing.SETTLING, Standing.FAILING, Standing.WAITING)
        return cls(sum(standings.values()), *(standings.get(standing, 0) for standing in known))

    @property
    def taken(self) -> int:
        """How many devices count for the present version."""
        return self.devices - self.waiting

    def are_complete(self, threshold: Threshold | None, targeted: int | None = None) -> bool:
        """Whether each device is successful, or failing within the threshold (0 if unset)."""
        is_over = self.is_over(threshold or NONE_MAY_FAIL, targeted)
        return self.devices > 0 and self.successful + self.failing == self.devices and not is_over

    def is_over(self, threshold: Threshold, targeted: int | None = None) -> bool:
        """Whether too many devices fail. A percentage is of the devices applied, or of more targeted ones.

        Args:
            threshold: How many may fail.
            targeted: How many devices its target condition matches, according to the hub.
        """
        return threshold.is_exceeded(self.failing, max(self.devices, targeted or 0))


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is stored of a deployment between two counts.

    Attributes:
        version: How many times the deployment came into force; 0 if never. IoT Hub does not allow a deployment's
            modules to be edited, so another content is another deployment.
        counts: The last count.
        best: The most devices of this version that were successful at once, since a device last left.
        settled_since: Since when each device is successful or allowed to fail, with none added; None otherwise.
        progressed_at: When a device last became successful or was added.
        joined_at: When a device was last added; None if a previous release made the count.
        created: When the deployment was created, by the hub's list; None without a list.
        reached: The milestones so far, with their times. They are plain strings: a newer release may have stored
            others.
    """

    version: int
    counts: Counts
    best: int
    settled_since: datetime | None
    progressed_at: datetime
    joined_at: datetime | None = None
    created: datetime | None = None
    reached: tuple[tuple[str, datetime], ...] = ()

    def has(self, milestone: Milestone) -> bool:
        """Whether a milestone was reached."""
        return any(milestone == known for known, _ in self.reached)

    @property
    def is_over(self) -> bool:
        """Whether only `superseded` can still come."""
        return self.has(Milestone.COMPLETED) or self.has(Milestone.SUPERSEDED)

    def due(self, policy: GracePolicy) -> datetime | None:
        """When it is completed, or stalled, if no device changes until then; None if neither can come."""
        if not self.version or self.is_over or not self.counts.taken:
            return None
        if self.settled_since is not None:
            return (self.joined_at or self.progressed_at) + policy.stable_after
        if self.has(Milestone.STALLED) or self.counts.settling:
            return None
        return self.progressed_at + policy.default


def progress(  # noqa: PLR0913 (the last two are what the hub's list says)
    previous: Rollout | None,
    counts: Counts,
    now: datetime,
    policy: GracePolicy,
    *,
    listing: Listing | None = None,
    has_list: bool = False,
) -> Rollout:
    """Advance a deployment by one count. New milestones are at the end of `reached`.

    Args:
        previous: What was stored; None for the first count.
        counts: The count.
        now: When it was made, in UTC.
        policy: The default grace period, `STABLE_AFTER` and `FAILURE_THRESHOLD`.
        listing: The deployment's entry in the hub's list; None if it has none.
        has_list: Whether the hub gave a list.
    """
    if previous is None:
        previous = Rollout(0, Counts(), 0, None, now)
    is_gone = has_list and listing is None and previous.created is not None
    previous = _versioned(previous, counts, now, listing, is_gone=is_gone)
    if counts.taken < previous.counts.taken:  # the devices that left may have been successful
        previous = replace(previous, best=min(previous.best, counts.successful))
    has_joined = counts.taken > previous.counts.taken
    has_progressed = has_joined or counts.successful > previous.best
    targeted = listing.targeted if listing is not None else None
    is_settled = counts.are_complete(policy.threshold, targeted)
    settled_since = now if has_joined or previous.settled_since is None else previous.settled_since
    rollout = replace(
        previous,
        counts=counts,
        best=max(previous.best, counts.successful),
        settled_since=settled_since if is_settled else None,
        progressed_at=now if has_progressed else previous.progressed_at,
        joined_at=now if has_joined else previous.joined_at,
    )
    due = rollout.due(policy)
    is_due = due is not None and now >= due
    has_started = rollout.version > 0 and (counts.taken > 0 or rollout.has(Milestone.STARTED))
    has_left = previous.counts.devices > 0 and not counts.devices
    is_exceeded = policy.threshold is not None and counts.is_over(policy.threshold, targeted)
    is_reached = {
        Milestone.STARTED: True,
        Milestone.FIRST_FAILURE: counts.failing > 0,
        Milestone.THRESHOLD_EXCEEDED: is_exceeded,
        Milestone.COMPLETED: is_due and is_settled,
        Milestone.STALLED: is_due and not is_settled,
    }
    added: list[tuple[str, datetime]] = []
    if has_started and not rollout.is_over:
        added += ((milestone, now) for milestone, so in is_reached.items() if so and not rollout.has(milestone))
    if has_started and (has_left or is_gone) and not rollout.has(Milestone.SUPERSEDED):
        added.append((Milestone.SUPERSEDED, now))
    return replace(rollout, reached=(*rollout.reached, *added))


def tally(counts: Counts, now: datetime) -> Rollout:
    """Store the count of `INDIVIDUAL`, which has neither versions nor milestones."""
    return Rollout(0, counts, counts.successful, None, now)


def _versioned(previous: Rollout, counts: Counts, now: datetime, listing: Listing | None, *, is_gone: bool) -> Rollout:
    """Return what was stored, or the start of a new version.

    A deployment that was deleted and created again under the same id is a new version. The hub's `createdTimeUtc` shows
    it, or else a change from no devices to some. The new version ends the old one without an event.
    """
    created = previous.created if listing is None else listing.created or previous.created
    is_recreated = previous.version > 0 and previous.created is not None and created != previous.created
    was_over = previous.has(Milestone.SUPERSEDED) or (
        previous.has(Milestone.STARTED) and not previous.counts.devices  # a previous release announced no end
    )
    came = counts.devices > 0 and not is_gone and (not previous.version or was_over)
    if is_recreated or came:
        return Rollout(previous.version + 1, Counts(), 0, None, now, created=created)
    return replace(previous, created=created)
