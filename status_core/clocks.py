"""How long something has not been what was desired, and since when it is stuck.

The clock starts when a module, or the device, leaves what was desired. It ends only after the whole stability
window, so that a crash loop which runs for ten seconds between crashes keeps it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto


class Sight(Enum):
    """What one look at a module says to its clock."""

    SETTLED = auto()
    """It is what was desired."""
    UNSETTLED = auto()
    """It is not."""
    UNSAID = auto()
    """The report says nothing about the desired version: the clock keeps, and is not looked at."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of one module, or of the device. All times are hub times in UTC.

    Attributes:
        unsettled_since: When it left what was desired; None while the clock is off.
        settled_since: Since when it looks settled again, inside the stability window.
        stuck_since: When it became stuck; None while it is not. `status_core.stuck` sets and clears it.
        grace: How long it may be unsettled.
    """

    grace: timedelta
    unsettled_since: datetime | None = None
    settled_since: datetime | None = None
    stuck_since: datetime | None = None

    @property
    def stuck_at(self) -> datetime | None:
        """When it becomes stuck, or became it."""
        return None if self.unsettled_since is None else self.unsettled_since + self.grace

    @property
    def is_stuck(self) -> bool:
        """Whether it is stuck."""
        return self.stuck_since is not None

    def stable_at(self, stable_after: timedelta) -> datetime | None:
        """When the stability window ends; None outside of it."""
        return None if self.settled_since is None else self.settled_since + stable_after

    def due(self, stable_after: timedelta) -> datetime | None:
        """When the next look is needed though nothing may have changed; None where none is."""
        ends = self.stable_at(stable_after)
        if self.stuck_since is not None or self.stuck_at is None:
            return ends
        return self.stuck_at if ends is None else min(ends, self.stuck_at)


def tick(  # noqa: PLR0913 (all keyword-only: the whole of what a clock depends on)
    clock: Clock,
    sight: Sight,
    *,
    at: datetime,
    now: datetime,
    stable_after: timedelta,
    restart: bool,
) -> Clock:
    """The clock after one look. Becoming stuck and recovering are steps of their own (`status_core.stuck`).

    Args:
        clock: The clock before, with the grace period that holds now.
        sight: What the look says.
        at: Hub time of the change that was seen.
        now: The time of the look.
        stable_after: The stability window.
        restart: What it did before no longer counts.
    """
    if restart:
        clock = Clock(grace=clock.grace)
    if sight is Sight.UNSAID:
        started = at if restart else clock.unsettled_since
        return replace(clock, unsettled_since=started, settled_since=None)
    if sight is Sight.SETTLED:
        settled_since = clock.settled_since or at
        is_stable = clock.stuck_since is None and now >= settled_since + stable_after
        if clock.unsettled_since is None or is_stable:
            return Clock(grace=clock.grace)
        return replace(clock, settled_since=settled_since)
    stable_at = clock.stable_at(stable_after)
    if stable_at is not None and at >= stable_at:
        clock = Clock(grace=clock.grace)  # it was settled for the whole window, and nobody looked at its end
    return replace(clock, unsettled_since=clock.unsettled_since or at, settled_since=None)
