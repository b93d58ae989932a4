"""One clock: when it starts, how long its window is, when it ends, and when it gets stuck."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from status_core import Clock, ClockInput, GracePolicy
from status_core.clocks import Sample, tick, with_deadline

T0 = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = GracePolicy()
GRACE, CARE = POLICY.default, POLICY.intensive_care
OFF = Clock(GRACE)
SETTLED, UNSETTLED = ClockInput.SETTLED, ClockInput.UNSETTLED
NO_EVIDENCE, LAGGING = ClockInput.NO_EVIDENCE, ClockInput.LAGGING


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def look(clock: Clock, says: ClockInput, seconds: float, *, at: float | None = None, **more: Any) -> Clock:
    """The clock after a look `seconds` after the start, at a change of that moment or of `at`."""
    return ended(clock, says, seconds, at=at, **more)[0]


def ended(
    clock: Clock, says: ClockInput, seconds: float, *, at: float | None = None, **more: Any
) -> tuple[Clock, float | None]:
    """The clock after a look, and when its window ended."""
    sample = Sample(says, after(seconds if at is None else at), after(seconds), **more)
    clock, end = tick(clock, sample, POLICY)
    return clock, None if end is None else (end - T0).total_seconds()


def seen(*looks: tuple[float, ClockInput], clock: Clock = OFF) -> Clock:
    """The clock after looks at the given seconds."""
    for seconds, says in looks:
        clock = look(clock, says, seconds)
    return clock


VERSION = look(OFF, UNSETTLED, 0, restarts=True, by_version=True)
"""A clock that a new version started."""
LEFT = look(OFF, UNSETTLED, 0)
"""A clock of what left by itself."""


def test_a_clock_is_off_while_it_is_settled() -> None:
    assert seen((0, SETTLED), (1000, SETTLED)) == OFF
    assert OFF.due(POLICY) is None


def test_a_clock_starts_at_the_hub_time_of_the_change_and_not_at_the_look() -> None:
    assert look(OFF, UNSETTLED, 30, at=10).unsettled_since == after(10)


def test_looks_and_changes_while_it_is_unsettled_never_restart_a_clock() -> None:
    assert seen(*((seconds, UNSETTLED) for seconds in range(0, 5000, 7))).unsettled_since == T0


def test_the_window_is_a_minute_where_a_new_version_made_it_leave() -> None:
    settled = look(VERSION, SETTLED, 100)
    assert settled.due(POLICY) == after(160)
    assert look(settled, SETTLED, 159.9, at=100) == settled
    assert ended(settled, SETTLED, 160, at=100) == (OFF, 160)


def test_the_window_is_ten_minutes_where_it_left_under_the_same_version() -> None:
    settled = look(LEFT, SETTLED, 100)
    assert settled.due(POLICY) == after(700)
    assert look(settled, SETTLED, 699.9, at=100) == settled
    assert ended(settled, SETTLED, 700, at=100) == (Clock(GRACE, window=CARE, window_ended_at=after(700)), 700)


@pytest.mark.parametrize("more", [{"by_version": True}, {"restarts": True}])
def test_what_a_new_version_or_a_silence_made_leave_did_not_leave_by_itself(more: dict[str, bool]) -> None:
    assert not look(OFF, UNSETTLED, 0, **more).is_in_care


@pytest.mark.parametrize("says", [UNSETTLED, SETTLED])
def test_the_window_is_ten_minutes_where_it_was_in_the_wrong_status_or_comes_back_with_restarts(
    says: ClockInput,
) -> None:
    assert look(look(VERSION, says, 50, has_failed=True), SETTLED, 100).is_in_care
    assert not look(look(VERSION, says, 50), SETTLED, 100).is_in_care


def test_care_is_never_shorter_than_the_stability_window() -> None:
    patient = GracePolicy(stable_after=timedelta(hours=1))
    clock, _ = tick(OFF, Sample(UNSETTLED, T0, T0), patient)
    assert clock.window == timedelta(hours=1)


def test_a_window_that_is_broken_begins_again_and_the_clock_does_not() -> None:
    clock = seen((100, SETTLED), (110, UNSETTLED), (120, SETTLED), clock=LEFT)
    assert (clock.unsettled_since, clock.settled_since) == (T0, after(120))


def test_other_changes_inside_the_window_do_not_begin_it_again() -> None:
    assert seen((100, SETTLED), (130, SETTLED), (160, SETTLED), clock=VERSION) == OFF


def test_a_change_that_is_seen_late_counts_from_its_own_time() -> None:
    assert ended(VERSION, SETTLED, 200, at=100) == (OFF, 160)


def test_a_look_that_finds_it_away_ends_a_window_that_was_over_before_the_change() -> None:
    settled = look(VERSION, SETTLED, 100)
    assert ended(settled, UNSETTLED, 500, at=159)[1] is None
    left, end = ended(settled, UNSETTLED, 500, at=170)
    assert (left.unsettled_since, end) == (after(170), 160)


def test_a_leave_at_the_very_end_of_a_window_comes_after_it() -> None:
    left, end = ended(look(VERSION, SETTLED, 100), UNSETTLED, 160)
    assert (left.unsettled_since, end) == (after(160), 160)


def cared_until(end: float) -> Clock:
    return Clock(GRACE, window=CARE, window_ended_at=after(end))


def test_what_leaves_within_an_hour_of_its_care_gets_twice_the_care() -> None:
    assert look(cared_until(700), UNSETTLED, 700 + 3600).window == 2 * CARE
    assert look(cared_until(700), UNSETTLED, 700 + 3601).window == CARE


def test_care_doubles_up_to_two_hours() -> None:
    clock, now, windows = OFF, 0.0, []
    for _ in range(6):
        clock = look(look(clock, UNSETTLED, now), SETTLED, now + 10)
        assert clock.window is not None
        windows.append(clock.window / timedelta(minutes=1))
        now += 10 + clock.window.total_seconds()
        clock = look(clock, SETTLED, now)
    assert windows == [10, 20, 40, 80, 120, 120]


def test_the_end_of_a_short_window_is_no_end_of_care() -> None:
    clock = look(look(VERSION, SETTLED, 100), SETTLED, 160)
    assert look(clock, UNSETTLED, 200).window == CARE


def test_a_new_version_forgets_the_care() -> None:
    restarted = look(cared_until(700), UNSETTLED, 800, restarts=True, by_version=True)
    assert restarted == Clock(GRACE, unsettled_since=after(800))


def test_a_restart_begins_a_new_clock_that_is_not_stuck() -> None:
    stuck = Clock(GRACE, unsettled_since=T0, stuck_since=T0 + GRACE)
    new = look(stuck, UNSETTLED, 1000, restarts=True, by_version=True)
    assert (new.unsettled_since, new.is_stuck) == (after(1000), False)
    assert look(stuck, SETTLED, 1000, restarts=True) == OFF


def test_what_is_stuck_stays_so_inside_its_window_and_ends_with_it() -> None:
    stuck = Clock(GRACE, unsettled_since=T0, stuck_since=T0 + GRACE)
    settled = look(stuck, SETTLED, 5100)
    assert settled.is_stuck
    assert settled.due(POLICY) == after(5160)
    assert ended(settled, SETTLED, 5160, at=5100) == (OFF, 5160)


def test_what_came_back_between_two_looks_starts_its_clock_where_that_was_off() -> None:
    clock = look(OFF, SETTLED, 100, came_back=True, has_failed=True)
    assert (clock.unsettled_since, clock.settled_since, clock.window) == (after(100), after(100), CARE)


def test_what_came_back_inside_its_window_begins_it_again_and_keeps_its_clock() -> None:
    clock = look(look(LEFT, SETTLED, 100), SETTLED, 300, came_back=True, has_failed=True)
    assert (clock.unsettled_since, clock.settled_since) == (T0, after(300))


@pytest.mark.parametrize("says", [NO_EVIDENCE, LAGGING])
def test_what_says_nothing_starts_no_clock_unless_something_new_is_asked(says: ClockInput) -> None:
    assert look(OFF, says, 100) == OFF
    assert look(OFF, says, 100, restarts=True).unsettled_since == after(100)


def test_what_says_nothing_starts_a_window_again() -> None:
    clock = seen((100, SETTLED), (110, NO_EVIDENCE), (120, SETTLED), clock=LEFT)
    assert (clock.unsettled_since, clock.settled_since) == (T0, after(120))


def test_a_window_runs_on_under_a_lagging_report() -> None:
    clock = look(look(VERSION, SETTLED, 100), LAGGING, 150)
    assert clock.settled_since == after(100)
    assert ended(clock, SETTLED, 170, was_lagging=True) == (OFF, 160)


@pytest.mark.parametrize("says", [UNSETTLED, NO_EVIDENCE])
def test_a_window_that_a_lagging_report_may_have_broken_ends_only_where_it_is_settled_after(says: ClockInput) -> None:
    clock = look(look(VERSION, SETTLED, 100), LAGGING, 150)
    left, end = ended(clock, says, 170, was_lagging=True)
    assert (left.unsettled_since, left.settled_since, end) == (T0, None, None)


def test_a_clock_ends_only_by_what_is_known_to_hold_at_its_end() -> None:
    settled = look(VERSION, SETTLED, 100)
    assert look(settled, SETTLED, 120, at=100).is_running


def test_no_clock_runs_while_nobody_manages_it() -> None:
    stuck = Clock(GRACE, unsettled_since=T0, stuck_since=T0 + GRACE)
    assert look(stuck, ClockInput.OFF, 2000) == OFF


def deadline(clock: Clock, *, is_hopeless: bool = False, says: ClockInput = UNSETTLED, seconds: float = 60) -> Clock:
    return with_deadline(clock, Sample(says, after(seconds), after(seconds)), POLICY, is_hopeless=is_hopeless)


def test_it_gets_stuck_after_its_grace() -> None:
    assert deadline(LEFT).stuck_at == T0 + GRACE
    assert deadline(OFF) == OFF


def test_what_only_a_person_can_change_gets_stuck_two_minutes_after_it_was_first_so() -> None:
    clock = deadline(LEFT, is_hopeless=True)
    assert (clock.hopeless_since, clock.stuck_at) == (after(60), after(180))
    assert (clock.grace, clock.grace_source) == (timedelta(minutes=2), "hopeless")
    assert deadline(clock, seconds=90).hopeless_since == after(60)


def test_what_is_hopeless_late_in_its_grace_keeps_the_earlier_deadline() -> None:
    clock = deadline(LEFT, is_hopeless=True, seconds=800)
    assert (clock.stuck_at, clock.grace_source) == (T0 + GRACE, "default")


def test_what_says_nothing_is_not_hopeless() -> None:
    assert deadline(LEFT, is_hopeless=True, says=LAGGING).hopeless_since is None


def test_a_grace_by_reason_wins_over_what_is_hopeless() -> None:
    clock = Clock(timedelta(hours=1), "reason:gave_up", unsettled_since=T0)
    assert deadline(clock, is_hopeless=True).stuck_at == after(3600)


@pytest.mark.parametrize(
    ("clock", "due"),
    [
        (Clock(GRACE, unsettled_since=T0, stuck_at=T0 + GRACE), 900),
        (Clock(GRACE, unsettled_since=T0, stuck_at=T0 + GRACE, settled_since=after(890)), 950),
        (Clock(GRACE, unsettled_since=T0, stuck_at=T0 + GRACE, stuck_since=T0 + GRACE), None),
        (Clock(GRACE, unsettled_since=T0, stuck_since=T0 + GRACE, settled_since=after(2000)), 2060),
        (Clock(GRACE, unsettled_since=T0, window=CARE, settled_since=after(100)), 700),
    ],
)
def test_a_look_is_due_at_the_end_of_the_window_or_else_of_the_grace(clock: Clock, due: float | None) -> None:
    assert clock.due(POLICY) == (None if due is None else after(due))


def test_after_its_care_has_ended_a_version_gives_it_the_short_window() -> None:
    cared_for = seen((0, UNSETTLED), (10, SETTLED), (700, SETTLED))
    again = look(cared_for, UNSETTLED, 1000, by_version=True)
    assert look(again, SETTLED, 1010).ends_at(POLICY) == after(1010) + POLICY.stable_after


def test_a_clock_keeps_the_source_of_its_grace_whatever_ends_or_restarts_it() -> None:
    labeled = Clock(GRACE, "label")
    assert look(labeled, UNSETTLED, 0, restarts=True).grace_source == "label"
    assert seen((0, UNSETTLED), (10, SETTLED), (700, SETTLED), clock=labeled).grace_source == "label"


def test_a_hopeless_reason_is_the_source_only_where_it_is_stuck_sooner_by_it() -> None:
    sample = Sample(UNSETTLED, T0, T0)
    for grace, source in ((POLICY.hopeless, "label"), (POLICY.hopeless + timedelta(seconds=1), "hopeless")):
        clock = look(Clock(grace, "label"), UNSETTLED, 0)
        assert with_deadline(clock, sample, POLICY, is_hopeless=True).grace_source == source
