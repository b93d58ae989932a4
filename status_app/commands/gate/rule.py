"""The rule of the gate: when a deployment has come through on its devices, and when it has not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from status_core import STABLE_AFTER, Counts, GracePolicy, Milestone, Rollout, State, progress


@dataclass(frozen=True, slots=True)
class GateCriteria:
    """What the gate asks of a deployment.

    Attributes:
        max_failed: How many devices may fail.
        min_devices: On how many devices the deployment must be credited, at least.
        strict: Whether a device is failed as soon as it is `module_failed`, be it for one crash.
        stable_after: How long all must hold, and no device be credited meanwhile.
    """

    max_failed: int = 0
    min_devices: int = 1
    strict: bool = False
    stable_after: timedelta = STABLE_AFTER

    @property
    def failing_states(self) -> Sequence[State]:
        """States in which a device has failed, whether or not it is stuck."""
        return (State.INVALID, State.MODULE_FAILED) if self.strict else (State.INVALID,)


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
        """Since when it is told as wrong: stuck, or else in its state."""
        return self.stuck_since or self.since


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a deployment.

    Attributes:
        devices: On how many devices it is credited.
        states: How many of them are in each state.
        reasons: State, reason and how many devices, the most first; the first few.
        suspects: The devices that are stuck, or in a failing state.
    """

    devices: int = 0
    states: Mapping[str, int] = field(default_factory=dict)
    reasons: Sequence[tuple[str, str, int]] = ()
    suspects: Sequence[Device] = ()


class GateOutcome(Enum):
    """What a look comes to."""

    WAITING = auto()
    PASSED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look comes to, and why.

    Attributes:
        rollout: What the next look begins with.
        failed: The devices that count as failed, the longest first.
        successful: How many devices are successful, and nothing of them is stuck.
        recovering: How many are successful again, and were stuck less than the stability window ago.
        stable_since: Since when all is as it is asked for; None where it is not.
    """

    outcome: GateOutcome
    rollout: Rollout
    failed: Sequence[Device]
    successful: int
    recovering: int
    stable_since: datetime | None


def judge(previous: Rollout | None, look: Look, criteria: GateCriteria, now: datetime) -> Judgement:
    """Judge a look, by the rule of the milestone `completed` (`status_core.rollout`).

    A device has failed if it is in a failing state or stuck; if it is successful again it recovers, which is neither.
    Devices that failed and may are as good as successful ones.

    Args:
        previous: What the look before came to; None where there was none, or where what came after was not seen.
        look: The look.
        criteria: What is asked.
        now: When the look was taken, in UTC.
    """
    failed = [device for device in look.suspects if _has_failed(device, criteria)]
    recovering = sum(device.state == State.SUCCESSFUL for device in look.suspects)
    successful = look.states.get(State.SUCCESSFUL, 0) - recovering
    # A milestone stands once it is reached; here it is asked anew at each look.
    before = None if previous is None else replace(previous, reached=())
    counts = Counts(look.devices, successful + len(failed), 0)
    rollout = progress(before, counts, now, GracePolicy(stable_after=criteria.stable_after))
    is_enough = look.devices >= max(criteria.min_devices, 1)
    if len(failed) > criteria.max_failed:
        outcome = GateOutcome.FAILED
    else:
        outcome = GateOutcome.PASSED if is_enough and rollout.has(Milestone.COMPLETED) else GateOutcome.WAITING
    stable_since = rollout.settled_since if is_enough and outcome is not GateOutcome.FAILED else None
    return Judgement(outcome, rollout, longest_first(failed), successful, recovering, stable_since)


def longest_first(devices: Sequence[Device]) -> Sequence[Device]:
    """Devices in the order in which they are told."""
    return sorted(devices, key=lambda device: (device.wrong_since, device.device_id))


def _has_failed(device: Device, criteria: GateCriteria) -> bool:
    return device.state in criteria.failing_states or (
        device.stuck_since is not None and device.state != State.SUCCESSFUL
    )
