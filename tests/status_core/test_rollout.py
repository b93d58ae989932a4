"""A deployment as a whole: when its milestones are reached, each once, and what is no progress."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from status_core import GracePolicy, Listing, Threshold
from status_core.rollout import Counts, Milestone, Rollout, progress, tally

T0 = datetime(2026, 1, 1, 10, tzinfo=UTC)
POLICY = GracePolicy()
STARTED, FIRST_FAILURE, THRESHOLD_EXCEEDED, COMPLETED, STALLED, SUPERSEDED = Milestone

type Count = tuple[float, int, int, int] | tuple[float, int, int, int, int] | tuple[float, int, int, int, int, int]
"""Minutes, devices, successful, failing, settling, waiting."""


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def counted(*counts: Count, policy: GracePolicy = POLICY, listing: Listing | None = None) -> Rollout:
    """What counts come to."""
    rollout: Rollout | None = None
    for minutes, devices, successful, failing, *others in counts:
        settling, waiting, *_ = (*others, 0, 0)
        count = Counts(devices, successful, settling, failing, waiting)
        rollout = progress(rollout, count, after(minutes), policy, listing=listing, has_list=listing is not None)
    assert rollout is not None
    return rollout


def milestones(*counts: Count, policy: GracePolicy = POLICY, listing: Listing | None = None) -> list[tuple[str, float]]:
    """The milestones of the present version that they come to, with their minutes."""
    reached = counted(*counts, policy=policy, listing=listing).reached
    return [(known, (at - T0).total_seconds() / 60) for known, at in reached]


def allowed(threshold: str) -> GracePolicy:
    return GracePolicy(threshold=Threshold.parse(threshold))


def test_it_has_started_with_its_first_device_and_is_announced_once() -> None:
    assert milestones((0, 0, 0, 0), (1, 1, 0, 0), (2, 3, 0, 0)) == [(STARTED, 1)]


def test_a_deployment_that_no_device_ever_had_is_of_version_0_and_never_due() -> None:
    rollout = counted((0, 0, 0, 0), (99, 0, 0, 0))
    assert (rollout.version, rollout.reached, rollout.due(POLICY)) == (0, (), None)
    assert (rollout.best, rollout.progressed_at) == (0, T0)
    assert not rollout.counts.are_complete(POLICY.threshold)


def test_the_first_failure_is_announced_once_whatever_comes_later() -> None:
    assert milestones((0, 2, 0, 0), (1, 2, 0, 1), (2, 2, 1, 0), (3, 2, 1, 1)) == [(STARTED, 0), (FIRST_FAILURE, 1)]


def test_it_is_completed_when_none_was_credited_for_the_stability_window() -> None:
    counts: list[Count] = [(0, 2, 2, 0), (0.5, 3, 3, 0), (1, 3, 3, 0), (1.4, 3, 3, 0)]
    assert milestones(*counts) == [(STARTED, 0)]
    assert counted(*counts).due(POLICY) == after(1.5)
    assert milestones(*counts, (1.5, 3, 3, 0), (7, 3, 3, 0)) == [(STARTED, 0), (COMPLETED, 1.5)]


def test_it_is_completed_as_soon_as_the_last_clock_has_ended() -> None:
    assert milestones((0, 2, 1, 0, 1), (5, 2, 1, 0, 1), (9, 2, 2, 0)) == [(STARTED, 0), (COMPLETED, 9)]


def test_it_is_not_completed_while_a_device_settles() -> None:
    assert COMPLETED not in dict(milestones((0, 2, 1, 0, 1), (5, 2, 1, 0, 1), (90, 2, 1, 0, 1)))


def test_a_longer_window_is_waited_for_too() -> None:
    policy = GracePolicy(stable_after=timedelta(minutes=40))
    counts: list[Count] = [(0, 1, 1, 0), (39, 1, 1, 0)]
    assert milestones(*counts, policy=policy) == [(STARTED, 0)]
    assert counted(*counts, policy=policy).due(policy) == after(40)
    assert milestones(*counts, (40, 1, 1, 0), policy=policy) == [(STARTED, 0), (COMPLETED, 40)]


def test_after_the_completion_only_its_end_is_announced() -> None:
    counts: list[Count] = [(0, 2, 2, 0), (1, 2, 2, 0), (2, 2, 1, 1), (99, 2, 1, 1)]
    assert milestones(*counts, policy=allowed("0")) == [(STARTED, 0), (COMPLETED, 1)]
    assert counted(*counts).due(POLICY) is None
    assert milestones(*counts, (100, 0, 0, 0))[1:] == [(COMPLETED, 1), (SUPERSEDED, 100)]


def test_it_has_stalled_once_when_nothing_progressed_for_the_grace_period() -> None:
    counts: list[Count] = [(0, 3, 0, 0), (5, 3, 1, 0), (10, 4, 1, 0), (24.9, 4, 1, 0)]
    assert milestones(*counts) == [(STARTED, 0)]
    assert counted(*counts).due(POLICY) == after(25)
    assert milestones(*counts, (25, 4, 1, 0), (60, 4, 1, 0)) == [(STARTED, 0), (STALLED, 25)]


def test_it_does_not_stall_while_a_device_settles() -> None:
    counts: list[Count] = [(0, 2, 1, 0), (14, 2, 1, 0, 1), (25, 2, 1, 0, 1)]
    assert milestones(*counts) == [(STARTED, 0)]
    assert counted(*counts).due(POLICY) is None
    assert milestones(*counts, (26, 2, 1, 0)) == [(STARTED, 0), (STALLED, 26)]


def test_one_that_has_stalled_can_be_completed_and_does_not_stall_again() -> None:
    counts: list[Count] = [(0, 2, 1, 0), (15, 2, 1, 0), (20, 3, 1, 0), (90, 3, 1, 0)]
    assert counted(*counts).due(POLICY) is None
    assert milestones(*counts, (94, 3, 3, 0))[1:] == [(STALLED, 15), (COMPLETED, 94)]


def test_a_success_that_was_lost_and_comes_back_is_no_progress() -> None:
    assert milestones((0, 3, 2, 0), (5, 3, 1, 0), (10, 3, 2, 0), (15, 3, 2, 0)) == [(STARTED, 0), (STALLED, 15)]


def test_it_is_settled_since_the_count_that_first_was_and_again_since_another_device_was_credited() -> None:
    counts: list[Count] = [(0, 2, 1, 0), (3, 2, 2, 0), (4, 2, 2, 0)]
    assert counted(*counts).settled_since == after(3)
    assert counted(*counts, (5, 3, 3, 0)).settled_since == after(5)


def test_a_device_that_leaves_is_no_progress_and_the_others_can_complete() -> None:
    assert milestones((0, 3, 2, 0), (10, 2, 1, 0), (15, 2, 1, 0))[-1] == (STALLED, 15)
    assert milestones((0, 3, 2, 1), (10, 2, 2, 0))[-1] == (COMPLETED, 10)


def test_a_further_success_is_progress_after_successful_devices_have_left() -> None:
    counts: list[Count] = [(0, 5, 3, 0), (5, 3, 1, 0), (14, 3, 2, 0)]
    assert milestones(*counts, (16, 3, 2, 0)) == [(STARTED, 0)]
    assert milestones(*counts, (29, 3, 2, 0)) == [(STARTED, 0), (STALLED, 29)]


def test_it_is_superseded_when_its_last_device_leaves_and_nothing_comes_after_that() -> None:
    rollout = counted((0, 2, 1, 0), (1, 0, 0, 0), (60, 0, 0, 0))
    assert rollout.reached == ((STARTED, T0), (SUPERSEDED, after(1)))
    assert (rollout.version, rollout.due(POLICY)) == (1, None)


def test_one_that_lost_its_devices_under_a_release_before_is_not_announced_as_superseded() -> None:
    before = replace(counted((0, 2, 1, 0)), counts=Counts())
    assert progress(before, Counts(), after(9), POLICY).reached == ((STARTED, T0),)
    assert progress(before, Counts(1), after(9), POLICY).version == 2


def test_it_has_another_version_and_other_milestones_when_it_comes_back_from_no_device() -> None:
    counts: list[Count] = [(0, 0, 0, 0), (1, 2, 2, 0), (2, 2, 2, 0), (3, 0, 0, 0), (4, 0, 0, 0)]
    assert counted(*counts).version == 1
    rollout = counted(*counts, (30, 1, 0, 1))
    assert rollout.version == 2
    assert rollout.reached == ((STARTED, after(30)), (FIRST_FAILURE, after(30)))
    assert (rollout.best, rollout.settled_since, rollout.progressed_at) == (0, None, after(30))


@pytest.mark.parametrize("devices", [1, 5])
def test_fewer_devices_are_no_other_version(devices: int) -> None:
    assert counted((0, 9, 0, 0), (1, devices, 0, 0), (2, 9, 0, 0)).version == 1


def test_a_milestone_of_a_newer_release_is_kept_and_changes_nothing() -> None:
    before = counted((0, 1, 0, 0))
    before = replace(before, reached=(*before.reached, ("rolled_back", T0)))
    kept = progress(before, Counts(1, failing=1), after(1), POLICY)
    assert kept.reached == ((STARTED, T0), ("rolled_back", T0), (FIRST_FAILURE, after(1)))


def test_one_that_was_counted_by_a_release_before_is_due_by_its_last_progress() -> None:
    rollout = replace(counted((0, 1, 1, 0)), joined_at=None, progressed_at=after(3))
    assert rollout.due(POLICY) == after(4)


@pytest.mark.parametrize(
    ("threshold", "devices", "failing", "is_over"),
    [
        ("0", 100, 0, False),
        ("0", 100, 1, True),
        ("2", 100, 2, False),
        ("2", 100, 3, True),
        ("5%", 100, 5, False),
        ("5%", 100, 6, True),
        ("0.5 %", 1000, 5, False),
        ("0.5%", 1000, 6, True),
        ("0%", 100, 1, True),
        ("100%", 100, 100, False),
    ],
)
def test_the_threshold_is_exceeded_by_more_failing_devices_than_it_allows(
    threshold: str, devices: int, failing: int, *, is_over: bool
) -> None:
    counts: list[Count] = [(0, devices, 0, failing), (1, devices, 0, failing)]
    assert (THRESHOLD_EXCEEDED in dict(milestones(*counts, policy=allowed(threshold)))) is is_over
    assert THRESHOLD_EXCEEDED not in dict(milestones(*counts))


def test_a_share_is_one_of_the_targeted_devices_while_these_are_more_than_the_credited_ones() -> None:
    counts: list[Count] = [(0, 10, 0, 2), (1, 10, 0, 2)]
    assert THRESHOLD_EXCEEDED in dict(milestones(*counts, policy=allowed("5%")))
    assert THRESHOLD_EXCEEDED not in dict(milestones(*counts, policy=allowed("5%"), listing=Listing(targeted=40)))


def test_it_is_completed_where_the_failing_are_few_of_the_targeted_devices() -> None:
    counts: list[Count] = [(0, 10, 9, 1), (1, 10, 9, 1)]
    assert COMPLETED not in dict(milestones(*counts, policy=allowed("5%")))
    assert COMPLETED in dict(milestones(*counts, policy=allowed("5%"), listing=Listing(targeted=40)))


def test_it_is_completed_beside_failing_devices_that_may_fail() -> None:
    counts: list[Count] = [(0, 10, 9, 1), (1, 10, 9, 1)]
    assert dict(milestones(*counts, policy=allowed("1")))[COMPLETED] == 1
    assert COMPLETED not in dict(milestones(*counts, policy=allowed("0")))
    assert COMPLETED not in dict(milestones(*counts))


@pytest.mark.parametrize("threshold", ["", "-1", "5.5", "five", "%", "1e3", "5%%", "0x5"])
def test_what_is_no_threshold_is_refused(threshold: str) -> None:
    with pytest.raises(ValueError, match=r"^a number of devices such as 5, or a percentage such as 5%$"):
        Threshold.parse(threshold)


@pytest.mark.parametrize("threshold", ["101%", "100.1%"])
def test_more_than_all_is_no_threshold(threshold: str) -> None:
    with pytest.raises(ValueError, match=r"^a percentage is at most 100%$"):
        Threshold.parse(threshold)


def test_a_threshold_is_shown_as_it_was_written() -> None:
    assert str(Threshold.parse(" 5% ")) == "5%"


LISTED = Listing(created=T0)
AGAIN = Listing(created=after(5))


def next_of(rollout: Rollout, minutes: float, counts: Counts, listing: Listing | None = LISTED) -> Rollout:
    return progress(rollout, counts, after(minutes), POLICY, listing=listing, has_list=True)


def test_one_that_was_created_again_is_another_version_without_an_event_for_the_old_one() -> None:
    rollout = next_of(counted((0, 2, 2, 0), (1, 2, 2, 0), listing=LISTED), 6, Counts(2, waiting=2), AGAIN)
    assert (rollout.version, rollout.reached, rollout.due(POLICY)) == (2, (), None)
    assert rollout.progressed_at == after(6)
    rollout = next_of(rollout, 7, Counts(2, waiting=1), AGAIN)
    assert rollout.reached == ((STARTED, after(7)),)
    rollout = next_of(rollout, 8, Counts(2, 2), AGAIN)
    assert COMPLETED not in dict(rollout.reached)
    assert dict(next_of(rollout, 9, Counts(2, 2), AGAIN).reached)[COMPLETED] == after(9)


def test_it_is_not_completed_while_a_device_waits_for_the_version() -> None:
    assert COMPLETED not in dict(milestones((0, 3, 2, 0, 0, 1), (9, 3, 2, 0, 0, 1)))


def test_a_version_that_nothing_took_ends_without_an_event() -> None:
    rollout = next_of(counted((0, 2, 2, 0), (1, 2, 2, 0), listing=LISTED), 6, Counts(2, waiting=2), AGAIN)
    rollout = next_of(rollout, 7, Counts(), AGAIN)
    assert (rollout.version, rollout.reached) == (2, ())
    assert next_of(rollout, 8, Counts(1), AGAIN).version == 2


def test_the_first_list_of_a_hub_makes_no_version() -> None:
    rollout = next_of(counted((0, 2, 0, 0)), 1, Counts(2))
    assert (rollout.version, rollout.created) == (1, T0)


def test_what_the_hub_does_not_list_while_it_never_did_goes_on() -> None:
    rollout = next_of(counted((0, 2, 0, 0)), 1, Counts(2, 2), None)
    assert dict(next_of(rollout, 2, Counts(2, 2), None).reached) == {STARTED: T0, COMPLETED: after(1)}


def test_a_count_without_the_hubs_list_ends_nothing() -> None:
    listed = counted((0, 2, 0, 0), listing=LISTED)
    assert progress(listed, Counts(2), after(1), POLICY).reached == ((STARTED, T0),)


def test_one_that_the_hub_has_no_more_is_superseded_and_a_new_version_where_the_hub_has_it_again() -> None:
    listed = counted((0, 2, 0, 0), listing=LISTED)
    gone = next_of(listed, 1, Counts(2), None)
    assert gone.reached == ((STARTED, T0), (SUPERSEDED, after(1)))
    assert next_of(gone, 2, Counts(2), None) == replace(gone, counts=Counts(2))
    assert next_of(gone, 3, Counts(2)).version == 2


def test_devices_without_a_deployment_are_counted_and_have_no_version_and_no_milestone() -> None:
    counts = Counts(devices=3, successful=2, failing=1)
    rollout = tally(counts, after(1))
    assert (rollout.counts, rollout.version, rollout.reached) == (counts, 0, ())
    assert (rollout.best, rollout.progressed_at) == (2, after(1))
    assert rollout.due(POLICY) is None, "it neither stalls nor completes"


def test_one_that_was_listed_without_devices_and_is_gone_announces_nothing() -> None:
    rollout = next_of(counted((0, 0, 0, 0), listing=LISTED), 1, Counts(), AGAIN)
    assert rollout.version == 0
    rollout = next_of(rollout, 2, Counts(1, 0, 0, 1), None)
    assert (rollout.version, rollout.reached) == (0, ())
