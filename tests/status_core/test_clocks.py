"""One clock: when it starts, ends, becomes stuck, and when the next look is due."""

from datetime import UTC, datetime, timedelta

import pytest

from status_core import Clock
from status_core.clocks import Sight, tick

T0 = datetime(2026, 1, 1, tzinfo=UTC)
GRACE, WINDOW = timedelta(minutes=15), timedelta(seconds=60)
OFF = Clock(grace=GRACE)
STUCK = Clock(grace=GRACE, unsettled_since=T0, stuck_since=T0 + GRACE)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def look(clock: Clock, sight: Sight, seconds: float, *, at: float | None = None, restart: bool = False) -> Clock:
    """The clock after a look `seconds` after the start, at a change of that moment or of `at`."""
    changed = seconds if at is None else at
    return tick(clock, sight, at=after(changed), now=after(seconds), stable_after=WINDOW, restart=restart)


def seen(*sights: tuple[float, Sight], clock: Clock = OFF) -> Clock:
    """The clock after looks at the given seconds."""
    for seconds, sight in sights:
        clock = look(clock, sight, seconds)
    return clock


def test_a_clock_is_off_while_it_is_settled() -> None:
    assert seen((0, Sight.SETTLED), (1000, Sight.SETTLED)) == OFF
    assert OFF.stuck_at is None
    assert OFF.due(WINDOW) is None


def test_a_clock_starts_at_the_hub_time_of_the_change_and_not_at_the_look() -> None:
    clock = look(OFF, Sight.UNSETTLED, 30, at=10)
    assert clock.unsettled_since == after(10)
    assert clock.stuck_at == after(10) + GRACE


def test_looks_and_changes_while_it_is_unsettled_never_restart_a_clock() -> None:
    clock = seen(*((seconds, Sight.UNSETTLED) for seconds in range(0, 5000, 7)))
    assert clock.unsettled_since == T0


def test_a_crash_loop_that_runs_ten_seconds_at_a_time_keeps_its_clock() -> None:
    clock = OFF
    for crash in range(0, 1500, 60):
        clock = seen((crash, Sight.UNSETTLED), (crash + 50, Sight.SETTLED), clock=clock)
    assert clock.stuck_at == T0 + GRACE


def test_a_clock_ends_once_it_was_settled_for_the_whole_window_and_not_before() -> None:
    settled = seen((0, Sight.UNSETTLED), (100, Sight.SETTLED))
    assert settled.unsettled_since == T0
    assert settled.settled_since == after(100)
    assert look(settled, Sight.SETTLED, 159.9, at=100).unsettled_since == T0
    assert look(settled, Sight.SETTLED, 160, at=100) == OFF


def test_other_changes_inside_the_window_do_not_begin_it_anew() -> None:
    assert seen((0, Sight.UNSETTLED), (100, Sight.SETTLED), (130, Sight.SETTLED), (160, Sight.SETTLED)) == OFF


def test_a_window_that_is_broken_begins_anew() -> None:
    clock = seen((0, Sight.UNSETTLED), (100, Sight.SETTLED), (110, Sight.UNSETTLED), (120, Sight.SETTLED))
    assert clock.settled_since == after(120)
    assert clock.unsettled_since == T0


def test_a_change_that_is_seen_late_counts_from_its_own_time() -> None:
    unsettled = seen((0, Sight.UNSETTLED))
    assert look(unsettled, Sight.SETTLED, 200, at=100) == OFF


def test_a_window_that_nobody_looked_at_ends_the_clock_all_the_same() -> None:
    settled = seen((0, Sight.UNSETTLED), (100, Sight.SETTLED))
    assert look(settled, Sight.UNSETTLED, 159).unsettled_since == T0
    assert look(settled, Sight.UNSETTLED, 160).unsettled_since == after(160)
    assert look(settled, Sight.UNSETTLED, 500, at=150).unsettled_since == T0


def test_what_is_stuck_stays_so_until_the_step_that_clears_it_though_it_is_settled_for_the_window() -> None:
    settled = seen((5000, Sight.UNSETTLED), (5100, Sight.SETTLED), (9000, Sight.SETTLED), clock=STUCK)
    assert (settled.stuck_since, settled.settled_since) == (T0 + GRACE, after(5100))
    assert settled.due(WINDOW) == after(5160)


def test_what_is_stuck_and_unsettled_again_after_its_window_has_a_new_clock() -> None:
    clock = seen((5100, Sight.SETTLED), (5160, Sight.UNSETTLED), clock=STUCK)
    assert clock == Clock(grace=GRACE, unsettled_since=after(5160))


def test_a_restart_begins_a_new_clock_that_is_not_stuck() -> None:
    assert look(STUCK, Sight.UNSETTLED, 1000, restart=True) == Clock(grace=GRACE, unsettled_since=after(1000))
    assert look(STUCK, Sight.SETTLED, 1000, restart=True) == OFF


def test_a_look_that_says_nothing_keeps_the_clock() -> None:
    assert seen((0, Sight.UNSETTLED), (5000, Sight.UNSAID)) == Clock(grace=GRACE, unsettled_since=T0)


def test_a_look_that_says_nothing_starts_no_clock_unless_something_new_is_asked() -> None:
    assert look(OFF, Sight.UNSAID, 100).unsettled_since is None
    assert look(OFF, Sight.UNSAID, 100, restart=True).unsettled_since == after(100)


def test_a_look_that_says_nothing_breaks_a_window_and_keeps_what_is_stuck() -> None:
    assert seen((950, Sight.SETTLED), (960, Sight.UNSAID), clock=STUCK) == STUCK


def test_a_longer_grace_moves_the_moment_it_becomes_stuck_and_keeps_the_clock() -> None:
    clock = look(Clock(grace=timedelta(hours=1), unsettled_since=T0), Sight.UNSETTLED, 600)
    assert (clock.unsettled_since, clock.stuck_at) == (T0, after(3600))


@pytest.mark.parametrize(
    ("clock", "due"),
    [
        (Clock(grace=GRACE, unsettled_since=T0), T0 + GRACE),
        (Clock(grace=GRACE, unsettled_since=T0, settled_since=after(100)), after(160)),
        (Clock(grace=GRACE, unsettled_since=T0, settled_since=after(880)), T0 + GRACE),
        (Clock(grace=GRACE, unsettled_since=T0, stuck_since=T0 + GRACE), None),
        (Clock(grace=GRACE, unsettled_since=T0, stuck_since=T0 + GRACE, settled_since=after(2000)), after(2060)),
    ],
)
def test_a_look_is_due_at_the_deadline_or_at_the_end_of_the_window(clock: Clock, due: datetime | None) -> None:
    assert due == clock.due(WINDOW)
