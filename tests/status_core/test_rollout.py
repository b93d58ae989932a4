"""A deployment as a whole: when its milestones are reached, each once, and what is no progress."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from status_core import GracePolicy
from status_core.rollout import Counts, Milestone, Rollout, progress

T0 = datetime(2026, 1, 1, 10, tzinfo=UTC)
POLICY = GracePolicy()
STARTED, FIRST_FAILURE, COMPLETED, STALLED = Milestone


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def led(*counts: tuple[float, int, int, int], policy: GracePolicy = POLICY) -> Rollout:
    """What counts come to, each of them minutes, devices, successful, failing."""
    rollout: Rollout | None = None
    for minutes, *numbers in counts:
        rollout = progress(rollout, Counts(*numbers), after(minutes), policy)
    assert rollout is not None
    return rollout


def told(*counts: tuple[float, int, int, int], policy: GracePolicy = POLICY) -> list[tuple[str, float]]:
    """The milestones that they come to, with their minutes."""
    return [(known, (at - T0).total_seconds() / 60) for known, at in led(*counts, policy=policy).reached]


def test_it_has_started_with_its_first_device_and_is_told_once() -> None:
    assert told((0, 0, 0, 0), (1, 1, 0, 0), (2, 3, 0, 0)) == [(STARTED, 1)]


def test_a_deployment_that_no_device_ever_had_is_of_version_0_and_never_due() -> None:
    rollout = led((0, 0, 0, 0), (99, 0, 0, 0))
    assert (rollout.version, rollout.reached, rollout.due(POLICY)) == (0, (), None)


def test_the_first_failure_is_told_once_whatever_comes_later() -> None:
    assert told((0, 2, 0, 0), (1, 2, 0, 1), (2, 2, 1, 0), (3, 2, 1, 1)) == [(STARTED, 0), (FIRST_FAILURE, 1)]


def test_it_is_completed_when_none_was_credited_for_the_stability_window() -> None:
    counts = [(0.0, 2, 2, 0), (0.5, 3, 3, 0), (1, 3, 3, 0), (1.4, 3, 3, 0)]
    assert told(*counts) == [(STARTED, 0)]
    assert led(*counts).due(POLICY) == after(1.5)
    assert told(*counts, (1.5, 3, 3, 0), (7, 3, 3, 0)) == [(STARTED, 0), (COMPLETED, 1.5)]


def test_it_is_not_completed_while_a_device_is_successful_for_less_than_the_stability_window() -> None:
    counts = [(0.0, 2, 1, 0), (5, 2, 2, 0), (5.5, 2, 1, 0), (6, 2, 2, 0), (6.9, 2, 2, 0)]
    assert told(*counts) == [(STARTED, 0)]
    assert told(*counts, (7, 2, 2, 0))[-1] == (COMPLETED, 7)


def test_a_longer_window_is_waited_for_too() -> None:
    policy = GracePolicy(stable_after=timedelta(minutes=40))
    counts = [(0.0, 1, 1, 0), (39, 1, 1, 0)]
    assert told(*counts, policy=policy) == [(STARTED, 0)]
    assert led(*counts, policy=policy).due(policy) == after(40)
    assert told(*counts, (40, 1, 1, 0), policy=policy) == [(STARTED, 0), (COMPLETED, 40)]


def test_it_is_not_completed_while_something_is_stuck_that_runs_again() -> None:
    assert COMPLETED not in dict(told((0, 2, 1, 1), (5, 2, 2, 1), (10, 2, 2, 1)))
    assert told((0, 2, 1, 1), (5, 2, 2, 1), (6, 2, 2, 0), (7, 2, 2, 0))[-1] == (COMPLETED, 7)


def test_a_failure_after_the_completion_is_told_and_no_stall_is() -> None:
    rollout = led((0, 2, 2, 0), (1, 2, 2, 0), (2, 2, 1, 1), (99, 2, 1, 1))
    assert [known for known, _ in rollout.reached] == [STARTED, COMPLETED, FIRST_FAILURE]
    assert rollout.due(POLICY) is None


def test_it_has_stalled_once_when_nothing_progressed_for_the_grace_period() -> None:
    counts = [(0.0, 3, 0, 0), (5, 3, 1, 0), (10, 4, 1, 0), (24.9, 4, 1, 0)]
    assert told(*counts) == [(STARTED, 0)]
    assert led(*counts).due(POLICY) == after(25)
    assert told(*counts, (25, 4, 1, 0), (60, 4, 1, 0)) == [(STARTED, 0), (STALLED, 25)]


def test_one_that_has_stalled_can_be_completed_and_does_not_stall_again() -> None:
    counts = [(0.0, 2, 1, 0), (15, 2, 1, 0), (20, 3, 1, 0), (90, 3, 1, 0)]
    assert led(*counts).due(POLICY) is None
    assert told(*counts, (94, 3, 3, 0), (95, 3, 3, 0))[1:] == [(STALLED, 15), (COMPLETED, 95)]


def test_a_crash_loop_is_no_progress_and_no_completion() -> None:
    loop = [(half / 2, 2, 1 + half % 2, (half + 1) % 2) for half in range(1, 60)]
    assert told((0, 2, 0, 0), *loop) == [(STARTED, 0), (FIRST_FAILURE, 1), (STALLED, 16)]


def test_a_device_that_leaves_is_no_progress_and_the_others_can_complete() -> None:
    assert told((0, 3, 2, 0), (10, 2, 1, 0), (15, 2, 1, 0))[-1] == (STALLED, 15)
    assert told((0, 3, 2, 1), (10, 2, 2, 0), (11, 2, 2, 0))[-1] == (COMPLETED, 11)


def test_a_further_success_is_progress_after_successful_devices_have_left() -> None:
    counts = [(0.0, 5, 3, 0), (5, 3, 1, 0), (14, 3, 2, 0)]
    assert told(*counts, (16, 3, 2, 0)) == [(STARTED, 0)]
    assert told(*counts, (29, 3, 2, 0)) == [(STARTED, 0), (STALLED, 29)]


def test_without_devices_it_neither_completes_nor_stalls() -> None:
    rollout = led((0, 2, 1, 0), (1, 0, 0, 0), (60, 0, 0, 0))
    assert [known for known, _ in rollout.reached] == [STARTED]
    assert (rollout.version, rollout.due(POLICY)) == (1, None)


def test_it_has_another_version_and_other_milestones_when_it_comes_back_from_no_device() -> None:
    counts = [(0.0, 0, 0, 0), (1, 2, 2, 0), (2, 2, 2, 0), (3, 0, 0, 0), (4, 0, 0, 0)]
    assert led(*counts).version == 1
    rollout = led(*counts, (30, 1, 0, 1))
    assert rollout.version == 2
    assert rollout.reached == ((STARTED, after(30)), (FIRST_FAILURE, after(30)))
    assert (rollout.best, rollout.settled_since, rollout.progressed_at) == (0, None, after(30))


@pytest.mark.parametrize("devices", [1, 5])
def test_fewer_devices_are_no_other_version(devices: int) -> None:
    assert led((0, 9, 0, 0), (1, devices, 0, 0), (2, 9, 0, 0)).version == 1


def test_a_milestone_of_a_newer_release_is_kept_and_changes_nothing() -> None:
    before = led((0, 1, 0, 0))
    kept = progress(replace(before, reached=(*before.reached, ("rolled_back", T0))), Counts(1, 0, 1), after(1), POLICY)
    assert kept.reached == ((STARTED, T0), ("rolled_back", T0), (FIRST_FAILURE, after(1)))
