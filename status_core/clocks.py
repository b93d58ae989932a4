"""How long something has not been what was desired, and since when it is stuck.

The clock starts when a module, or the device, leaves what was desired. It ends after a window in which it was settled
throughout: a short one where a new version made it leave, and ten minutes, edgeAgent's own idea of healthy
(IntensiveCareTimeInMinutes), where it left by itself. So a crash loop keeps one clock, however slow it is.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from status_core.clock_input import ClockInput
from status_core.grace import BY_REASON, GracePolicy

RELAPSE: Final = timedelta(hours=1)
"""Whatever leaves by itself within so long of the end of its care gets twice the care."""
LONGEST_CARE: Final = timedelta(hours=2)
HOPELESS_SOURCE: Final = "hopeless"


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of one module, or of the device. All times are hub times in UTC.

    Attributes:
        grace: How long it may be unsettled.
        grace_source: Where that comes from (`GracePolicy.grace`).
        unsettled_since: When it left what was desired; None while the clock is off.
        settled_since: Since when it looks settled again, inside its window.
        stuck_at: When it becomes stuck, or became due to.
        stuck_since: When it became stuck; None while it is not.
        hopeless_since: When it first had, within this clock, a reason that only a person can change.
        window: Length of intensive care: of the present one, or of the last one where `window_ended_at` is set.
        window_ended_at: When the last intensive care ended; None before one did, and while there is one.
    """

    grace: timedelta
    grace_source: str = "default"
    unsettled_since: datetime | None = None
    settled_since: datetime | None = None
    stuck_at: datetime | None = None
    stuck_since: datetime | None = None
    hopeless_since: datetime | None = None
    window: timedelta | None = None
    window_ended_at: datetime | None = None

    @property
    def is_running(self) -> bool:
        """Whether it left what was desired, and has not been settled for its whole window since."""
        return self.unsettled_since is not None

    @property
    def is_stuck(self) -> bool:
        """Whether it is stuck."""
        return self.stuck_since is not None

    @property
    def is_in_care(self) -> bool:
        """Whether its window is one of intensive care."""
        return self.is_running and self.window is not None and self.window_ended_at is None

    def ends_at(self, policy: GracePolicy) -> datetime | None:
        """When its window ends; None outside of it."""
        if self.settled_since is None:
            return None
        care = self.window if self.is_in_care and self.window is not None else policy.stable_after
        return self.settled_since + care

    def due(self, policy: GracePolicy) -> datetime | None:
        """When the next look is needed though nothing may have changed; None where none is."""
        if self.settled_since is not None:
            return self.ends_at(policy)
        return None if self.is_stuck else self.stuck_at


@dataclass(frozen=True, slots=True)
class Sample:
    """What a look says of a module, or of the device, to its clock.

    Attributes:
        input: Whether it is as desired.
        at: Hub time of the change that was seen.
        now: Until when that is known to hold.
        restarts: What it did before no longer counts: a new version asks something else of it.
        by_version: The desired version is not that of the sample before.
        has_failed: It is in the wrong status, or runs again after restarts.
        came_back: It has restarted since the sample before.
        was_lagging: The sample before showed what ran before the plan, so it may have left since.
    """

    input: ClockInput
    at: datetime
    now: datetime
    restarts: bool = False
    by_version: bool = False
    has_failed: bool = False
    came_back: bool = False
    was_lagging: bool = False


def tick(kept: Clock, sample: Sample, policy: GracePolicy) -> tuple[Clock, datetime | None]:
    """The clock after one look, and when its window ended, where it did.

    Becoming stuck is a step of its own (`status_core.stuck`). The grace period is that of `kept`.
    """
    clock, ended_at = kept, kept.ends_at(policy)
    was_settled = not sample.was_lagging or sample.input is ClockInput.SETTLED
    if ended_at is not None and ended_at <= sample.at and was_settled:  # and nobody looked at the end of its window
        clock = _ended(kept, ended_at)
    else:
        ended_at = None
    if sample.restarts or sample.input is ClockInput.OFF:
        clock = Clock(kept.grace, kept.grace_source)
    match sample.input:
        case ClockInput.LAGGING | ClockInput.NO_EVIDENCE:
            started = sample.at if sample.restarts else clock.unsettled_since
            settled = clock.settled_since if sample.input is ClockInput.LAGGING else None
            clock = replace(clock, unsettled_since=started, settled_since=settled)
        case ClockInput.UNSETTLED:
            clock = _unsettled(clock, sample, policy)
        case ClockInput.SETTLED:
            clock = _settled(clock, sample, policy)
            end = clock.ends_at(policy)
            if end is not None and end <= sample.now:
                clock, ended_at = _ended(clock, end), end
    return clock, ended_at


def _settled(clock: Clock, sample: Sample, policy: GracePolicy) -> Clock:
    if not clock.is_running and not sample.came_back:
        return clock
    # What left and came back between two samples was not settled throughout: its window begins with its return.
    began = None if sample.came_back else clock.settled_since
    clock = replace(clock, unsettled_since=clock.unsettled_since or sample.at, settled_since=began or sample.at)
    return _cared_for(clock, policy) if sample.has_failed else clock


def _unsettled(clock: Clock, sample: Sample, policy: GracePolicy) -> Clock:
    has_left = not clock.is_running or clock.settled_since is not None
    clock = replace(clock, unsettled_since=clock.unsettled_since or sample.at, settled_since=None)
    left_by_itself = has_left and not sample.by_version and not sample.restarts
    return _cared_for(clock, policy) if left_by_itself or sample.has_failed else clock


def with_deadline(clock: Clock, sample: Sample, policy: GracePolicy, *, is_hopeless: bool) -> Clock:
    """The clock with the time at which it gets stuck.

    What only a person can change gets stuck soon, whatever its label says; a grace period by reason wins over both.
    """
    if clock.unsettled_since is None:
        return clock
    hopeless = clock.hopeless_since
    if hopeless is None and is_hopeless and sample.input is ClockInput.UNSETTLED:
        hopeless = sample.at
    stuck_at, grace, source = clock.unsettled_since + clock.grace, clock.grace, clock.grace_source
    if hopeless is not None and not source.startswith(BY_REASON) and hopeless + policy.hopeless < stuck_at:
        stuck_at, grace, source = hopeless + policy.hopeless, policy.hopeless, HOPELESS_SOURCE
    if clock.stuck_since is not None:  # a grace period that is changed later changes nothing of that
        stuck_at = clock.stuck_since
    return replace(clock, stuck_at=stuck_at, hopeless_since=hopeless, grace=grace, grace_source=source)


def _ended(clock: Clock, end: datetime) -> Clock:
    ended_at = end if clock.is_in_care else clock.window_ended_at
    return Clock(clock.grace, clock.grace_source, window=clock.window, window_ended_at=ended_at)


def _cared_for(clock: Clock, policy: GracePolicy) -> Clock:
    """The clock with a window of intensive care, twice the last one where it relapses."""
    if clock.is_in_care:
        return clock
    care = max(policy.intensive_care, policy.stable_after)
    last, left = clock.window_ended_at, clock.unsettled_since
    if last is not None and left is not None and clock.window is not None and left - last <= RELAPSE:
        care = max(care, min(clock.window * 2, LONGEST_CARE))
    return replace(clock, window=care, window_ended_at=None)
