"""The rule of the gate: when a deployment has succeeded on its devices, and when it has failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from status_core import NONE_MAY_FAIL, STABLE_AFTER, Counts, Milestone, State, Threshold

DATE_RESOLUTION: Final = timedelta(seconds=1)
"""Of the `Date` header: a list of the same second may be from before the first answer."""


@dataclass(frozen=True, slots=True)
class GateCriteria:
    """What the gate requires of a deployment.

    Attributes:
        max_failed: How many devices may fail; None for the app's `FAILURE_THRESHOLD`.
        min_devices: How many devices must have the deployment, at least.
        strict: Whether a device has failed as soon as it is `module_failed`, even after a single crash.
        stable_after: How long no device must be added; None to wait until the app has announced `completed`.
        soak: How long the success must last.
        new_only: Whether to ignore what was stuck before the wait began.
        cohort: The cohort whose devices count, such as `ring=canary`; None for all.
    """

    max_failed: Threshold | None = None
    min_devices: int = 1
    strict: bool = False
    stable_after: timedelta | None = None
    soak: timedelta = timedelta(0)
    new_only: bool = False
    cohort: str | None = None

    @property
    def waits_for_completed(self) -> bool:
        """Whether it passes with the event `completed`, because it requires the same as the app."""
        same_criteria = self.max_failed is None and self.stable_after is None
        return same_criteria and not self.new_only and self.cohort is None


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is not as the deployment wants it.

    Attributes:
        since: When its state began.
        stuck_since: Since when something on it is stuck.
    """

    device_id: str
    state: str
    reason: str
    message: str
    since: datetime
    stuck_since: datetime | None

    @property
    def wrong_since(self) -> datetime:
        """Since when it is shown as wrong: when it got stuck, else when its state began."""
        return self.stuck_since or self.since


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot of a deployment.

    Attributes:
        counts: How far its devices are (`status_core.standing`).
        states: How many of them are in each state.
        reasons: State, reason and number of devices, most devices first; only the first few.
        suspects: The devices that are stuck and not successful, or in a failing state.
        milestones: What its present version has reached.
        threshold: The app's `FAILURE_THRESHOLD`.
        targeted: How many devices its target condition matches, according to the hub; None for a cohort.
        settled_since: Since when all are successful, or fail within that threshold.
        credited_at: When a device was last added.
        is_known: Whether the app knows it.
        is_listed: Whether it is in the hub's list.
        listed_at: When the hub gave its list; None if it never did.
        at: The time of the snapshot, by the app's clock; None if not known.
    """

    counts: Counts = field(default_factory=Counts)
    states: Mapping[str, int] = field(default_factory=dict)
    reasons: Sequence[tuple[str, str, int]] = ()
    suspects: Sequence[Device] = ()
    milestones: frozenset[str] = frozenset()
    threshold: Threshold | None = None
    targeted: int | None = None
    settled_since: datetime | None = None
    credited_at: datetime | None = None
    is_known: bool = True
    is_listed: bool = False
    listed_at: datetime | None = None
    at: datetime | None = None


class GateOutcome(Enum):
    """The outcome of a snapshot."""

    WAITING = auto()
    PASSED = auto()
    FAILED = auto()
    SUPERSEDED = auto()
    """It was on some devices, and is on none any more."""
    UNKNOWN = auto()
    """The hub does not have it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a snapshot, and why.

    Attributes:
        failed: The devices that count as failed, longest first. The number may differ from `failing` while devices
            change.
        failing: How many count as failed.
        before: The devices that were stuck before the wait began, and do not count.
        may_fail: How many may fail.
        stable_since: Since when the criteria are met; None if they are not.
        is_fresh: Whether the hub's list is newer than the first answer, or there is none.
    """

    outcome: GateOutcome
    failed: Sequence[Device]
    failing: int
    before: Sequence[Device]
    may_fail: Threshold
    stable_since: datetime | None
    is_fresh: bool


def judge(
    snapshot: Snapshot, criteria: GateCriteria, *, asked: datetime, now: datetime, held_since: datetime | None = None
) -> Judgement:
    """Judge a snapshot by the rule of the milestone `completed` (`status_core.rollout`).

    With default criteria the gate passes with that event, as long as all devices stay successful.

    Args:
        snapshot: The snapshot.
        criteria: What is required.
        asked: The time of the first answer, by the source's clock.
        now: The time of this answer, by the same clock.
        held_since: Since when all snapshots have met the criteria.
    """
    is_fresh = snapshot.listed_at is None or snapshot.listed_at >= asked + DATE_RESOLUTION
    before = [device for device in snapshot.suspects if criteria.new_only and device.wrong_since < asked]
    failed = [device for device in snapshot.suspects if device not in before]
    others = 0
    if criteria.strict:  # the app does not count these
        others = sum(device.state == State.MODULE_FAILED and device.stuck_since is None for device in failed)
    failing = max(0, snapshot.counts.failing - len(before)) + others
    may_fail = criteria.max_failed or snapshot.threshold or NONE_MAY_FAIL
    devices = max(snapshot.counts.devices, snapshot.targeted or 0)
    is_complete = (
        snapshot.counts.devices >= max(criteria.min_devices, 1)
        and snapshot.counts.successful + snapshot.counts.failing == snapshot.counts.devices
    )
    has_failed = may_fail.is_exceeded(failing, devices)
    stable_since = (snapshot.settled_since or held_since or now) if is_complete and not has_failed else None
    outcome = GateOutcome.WAITING
    if not is_fresh:
        pass  # it may be about a version that has ended
    elif has_failed:
        outcome = GateOutcome.FAILED
    elif stable_since is not None and _has_completed(snapshot, criteria, now):
        has_soaked = not criteria.soak or now - stable_since >= criteria.soak
        outcome = GateOutcome.PASSED if has_soaked else GateOutcome.WAITING
    elif not snapshot.counts.devices and snapshot.listed_at is not None and not snapshot.is_listed:
        outcome = GateOutcome.UNKNOWN
    elif not snapshot.counts.devices and Milestone.SUPERSEDED in snapshot.milestones:
        outcome = GateOutcome.SUPERSEDED
    return Judgement(outcome, longest_first(failed), failing, longest_first(before), may_fail, stable_since, is_fresh)


def _has_completed(snapshot: Snapshot, criteria: GateCriteria, now: datetime) -> bool:
    """Whether the app has announced `completed`, or would have with these criteria."""
    if criteria.waits_for_completed:
        return Milestone.COMPLETED in snapshot.milestones
    window = STABLE_AFTER if criteria.stable_after is None else criteria.stable_after
    return snapshot.credited_at is not None and now - snapshot.credited_at >= window


def longest_first(devices: Sequence[Device]) -> Sequence[Device]:
    """Sort devices for a report: wrong for the longest time first."""
    return sorted(devices, key=lambda device: (device.wrong_since, device.device_id))
