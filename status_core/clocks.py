"""How long something has not been as desired, and since when it is stuck.

A clock starts when a module, or the device, stops being as desired. It ends after a window in which it stayed settled.
The window is short if a new version caused the change. It is ten minutes, edgeAgent's own idea of healthy
(IntensiveCareTimeInMinutes), if the module left by itself. So a crash loop keeps one clock, however slow it is.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from status_core.clock_input import ClockInput
from status_core.grace import BY_REASON, GracePolicy

RELAPSE: Final = timedelta(hours=1)
"""If it leaves by itself again within this time after intensive care, the next intensive care is twice as long."""
LONGEST_CARE: Final = timedelta(hours=2)
HOPELESS_SOURCE: Final = "hopeless"


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of one module, or of the device. All times are hub times in UTC.

    Attributes:
        grace: The grace period.
        grace_source: Its source (`GracePolicy.grace`).
        unsettled_since: When it stopped being as desired; None while the clock is off.
        settled_since: Start of the current window; None outside a window.
        stuck_at: When it becomes stuck, or was due to.
        stuck_since: When it became stuck; None while it is not.
        hopeless_since: When it first had, in this clock, a reason that only a person can fix.
        window: Length of intensive care: the present one, or the last one if `window_ended_at` is set.
        window_ended_at: When the last intensive care ended; None before the first one, and during one.
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
        """Whether it stopped being as desired and has not been settled for a whole window since."""
        return self.unsettled_since is not None

    @property
    def is_stuck(self) -> bool:
        """Whether it is stuck."""
        return self.stuck_since is not None

    @property
    def is_in_care(self) -> bool:
        """Whether it is in a window of intensive care."""
        return self.is_running and self.window is not None and self.window_ended_at is None

    def ends_at(self, policy: GracePolicy) -> datetime | None:
        """When its window ends; None outside a window."""
        if self.settled_since is None:
            return None
        care = self.window if self.is_in_care and self.window is not None else policy.stable_after
        return self.settled_since + care

    def due(self, policy: GracePolicy) -> datetime | None:
        """When the device must be read again even without a change; None if it need not be."""
        if self.settled_since is not None:
            return self.ends_at(policy)
        return None if self.is_stuck else self.stuck_at


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a module, or of the device, for its clock.

    Attributes:
        input: What the sample means for the clock.
        at: Hub time of the change that was seen.
        now: Until when the sample is known to hold.
        restarts: The clock starts over: a new version changed what is desired.
        by_version: The desired version is not that of the previous sample; implied by `restarts`.
        has_failed: It is in the wrong status, or runs again after restarts.
        came_back: It has restarted since the previous sample.
        was_lagging: The previous sample was lagging, so it may have left since.
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
    """Advance a clock by one sample. Returns the clock, and when its window ended if it did.

    Becoming stuck is a separate step (`status_core.stuck`). The grace period is that of `kept`.
    """
    clock, ended_at = kept, kept.ends_at(policy)
    was_settled = not sample.was_lagging or sample.input is ClockInput.SETTLED
    if ended_at is not None and ended_at <= sample.at and was_settled:  # it was not sampled at the end of its window
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
    # If it left and came back between two samples, its window begins with its return.
    began = None if sample.came_back else clock.settled_since
    clock = replace(clock, unsettled_since=clock.unsettled_since or sample.at, settled_since=began or sample.at)
    return _cared_for(clock, policy) if sample.has_failed else clock


def _unsettled(clock: Clock, sample: Sample, policy: GracePolicy) -> Clock:
    has_left = not clock.is_running or clock.settled_since is not None
    clock = replace(clock, unsettled_since=clock.unsettled_since or sample.at, settled_since=None)
    left_by_itself = has_left and not sample.by_version and not sample.restarts
    return _cared_for(clock, policy) if left_by_itself or sample.has_failed else clock


def with_deadline(clock: Clock, sample: Sample, policy: GracePolicy, *, is_hopeless: bool) -> Clock:
    """Set the time at which a clock becomes stuck.

    What only a person can fix becomes stuck soon, whatever its label says. A grace period by reason overrides both.
    """
    if clock.unsettled_since is None:
        return clock
    hopeless = clock.hopeless_since
    if hopeless is None and is_hopeless and sample.input is ClockInput.UNSETTLED:
        hopeless = sample.at
    stuck_at, grace, source = clock.unsettled_since + clock.grace, clock.grace, clock.grace_source
    if hopeless is not None and not source.startswith(BY_REASON) and hopeless + policy.hopeless < stuck_at:
        stuck_at, grace, source = hopeless + policy.hopeless, policy.hopeless, HOPELESS_SOURCE
    if clock.stuck_since is not None:  # a later change of the grace period does not move it
        stuck_at = clock.stuck_since
    return replace(clock, stuck_at=stuck_at, hopeless_since=hopeless, grace=grace, grace_source=source)


def _ended(clock: Clock, end: datetime) -> Clock:
    ended_at = end if clock.is_in_care else clock.window_ended_at
    return Clock(clock.grace, clock.grace_source, window=clock.window, window_ended_at=ended_at)


def _cared_for(clock: Clock, policy: GracePolicy) -> Clock:
    """Start intensive care, twice as long as the last one after a relapse."""
    if clock.is_in_care:
        return clock
    care = max(policy.intensive_care, policy.stable_after)
    last, left = clock.window_ended_at, clock.unsettled_since
    if last is not None and left is not None and clock.window is not None and left - last <= RELAPSE:
        care = max(care, min(clock.window * 2, LONGEST_CARE))
    return replace(clock, window=care, window_ended_at=None)
