"""The rule of the gate: when a deployment has come through on its devices, and when it has not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from status_core import NONE_MAY_FAIL, STABLE_AFTER, Counts, Milestone, State, Threshold

DATE_RESOLUTION: Final = timedelta(seconds=1)
"""Of the header `Date`: a list of the same second may be from before the question."""


@dataclass(frozen=True, slots=True)
class GateCriteria:
    """What the gate asks of a deployment.

    Attributes:
        max_failed: How many devices may fail; None: as many as `FAILURE_THRESHOLD` of the app allows.
        min_devices: On how many devices the deployment must be credited, at least.
        strict: Whether a device has failed as soon as it is `module_failed`, be it for one crash.
        stable_after: For how long no device must be credited; None: until the app has announced `completed`.
        soak: How long everything must have stayed so.
        new_only: Whether what was stuck before the wait began does not count.
        cohort: Which of its devices count, such as `ring=canary`; None: all.
    """

    max_failed: Threshold | None = None
    min_devices: int = 1
    strict: bool = False
    stable_after: timedelta | None = None
    soak: timedelta = timedelta(0)
    new_only: bool = False
    cohort: str | None = None

    @property
    def waits_for_the_event(self) -> bool:
        """Whether it passes with the event `completed`: where it asks for nothing else than the app does."""
        is_as_the_app = self.max_failed is None and self.stable_after is None
        return is_as_the_app and not self.new_only and self.cohort is None


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is not as the deployment wants it.

    Attributes:
        since: When its state began.
        stuck_since: Since when something of it is stuck.
    """

    device_id: str
    state: str
    reason: str
    message: str
    since: datetime
    stuck_since: datetime | None

    @property
    def wrong_since(self) -> datetime:
        """Since when it is shown as wrong: stuck, or else in its state."""
        return self.stuck_since or self.since


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a deployment.

    Attributes:
        counts: How far its devices are (`status_core.standing`).
        states: How many of them are in each state.
        reasons: State, reason and how many devices, the most first; the first few.
        suspects: The devices that are stuck and not successful, or in a failing state.
        milestones: What its present version has reached.
        threshold: `FAILURE_THRESHOLD` of the app.
        targeted: On how many devices the hub says that its target condition holds; None of a cohort.
        settled_since: Since when all are successful, or fail within that threshold.
        credited_at: When a device was credited last.
        is_known: Whether the app knows it.
        is_listed: Whether the hub's list has it.
        listed_at: When the hub gave its list; None where it never did.
        at: When that was so, by the clock of the app; None where nobody says.
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
    """What a look comes to."""

    WAITING = auto()
    PASSED = auto()
    FAILED = auto()
    SUPERSEDED = auto()
    """It was on some devices, and is on none any more."""
    UNKNOWN = auto()
    """The hub does not have it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look comes to, and why.

    Attributes:
        failed: The devices that count as failed, the longest first. Fewer or more than `failing` while devices change.
        failing: How many count as failed.
        before: Those that were stuck before the wait began, and do not count.
        may_fail: How many may.
        stable_since: Since when all is as it is asked for; None where it is not.
        is_fresh: Whether the hub's list is from after the first question, or there is none.
    """

    outcome: GateOutcome
    failed: Sequence[Device]
    failing: int
    before: Sequence[Device]
    may_fail: Threshold
    stable_since: datetime | None
    is_fresh: bool


def judge(
    look: Look, criteria: GateCriteria, *, asked: datetime, now: datetime, held_since: datetime | None = None
) -> Judgement:
    """Judge a look, by the rule of the milestone `completed` (`status_core.rollout`).

    With its defaults the gate passes from that event on, while all devices stay successful.

    Args:
        look: The look.
        criteria: What is asked.
        asked: When the first question was answered, by the clock of what answers.
        now: When this one was, by the same clock.
        held_since: Since when all looks found it as it is asked for.
    """
    is_fresh = look.listed_at is None or look.listed_at >= asked + DATE_RESOLUTION
    before = [device for device in look.suspects if criteria.new_only and device.wrong_since < asked]
    failed = [device for device in look.suspects if device not in before]
    others = 0
    if criteria.strict:  # of these the app counts none
        others = sum(device.state == State.MODULE_FAILED and device.stuck_since is None for device in failed)
    failing = max(0, look.counts.failing - len(before)) + others
    may_fail = criteria.max_failed or look.threshold or NONE_MAY_FAIL
    devices = max(look.counts.devices, look.targeted or 0)
    is_complete = (
        look.counts.devices >= max(criteria.min_devices, 1)
        and look.counts.successful + look.counts.failing == look.counts.devices
    )
    has_failed = may_fail.is_exceeded(failing, devices)
    stable_since = (look.settled_since or held_since or now) if is_complete and not has_failed else None
    outcome = GateOutcome.WAITING
    if not is_fresh:
        pass  # it may be about a version that has ended
    elif has_failed:
        outcome = GateOutcome.FAILED
    elif stable_since is not None and _has_come_through(look, criteria, now):
        has_soaked = not criteria.soak or now - stable_since >= criteria.soak
        outcome = GateOutcome.PASSED if has_soaked else GateOutcome.WAITING
    elif not look.counts.devices and look.listed_at is not None and not look.is_listed:
        outcome = GateOutcome.UNKNOWN
    elif not look.counts.devices and Milestone.SUPERSEDED in look.milestones:
        outcome = GateOutcome.SUPERSEDED
    return Judgement(outcome, longest_first(failed), failing, longest_first(before), may_fail, stable_since, is_fresh)


def _has_come_through(look: Look, criteria: GateCriteria, now: datetime) -> bool:
    """Whether the app has announced that it is completed, or would have by these criteria."""
    if criteria.waits_for_the_event:
        return Milestone.COMPLETED in look.milestones
    window = STABLE_AFTER if criteria.stable_after is None else criteria.stable_after
    return look.credited_at is not None and now - look.credited_at >= window


def longest_first(devices: Sequence[Device]) -> Sequence[Device]:
    """Devices in the order in which they are named."""
    return sorted(devices, key=lambda device: (device.wrong_since, device.device_id))
