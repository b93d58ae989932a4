"""The rule of the gate: its outcome for each kind of snapshot, and in every second of a rollout."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from status_app.commands.gate.rule import Device, GateCriteria, GateOutcome, Judgement, Snapshot, judge
from status_core import Counts, State, Threshold

sys.path.append(str(Path(__file__).parents[1] / "status_core"))

from rollouts import Deployments, replayed

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
COMPLETED = frozenset({"started", "completed"})


def device(name: str = "d", state: str = "in_progress", *, stuck: int | None = None) -> Device:
    """A device; the number is minutes before now."""
    return Device(name, state, "a_reason", "A message.", NOW, None if stuck is None else NOW - stuck * MINUTE)


def judged(snapshot: Snapshot, criteria: GateCriteria | None = None, *, held: datetime | None = None) -> Judgement:
    return judge(snapshot, criteria or GateCriteria(), asked=NOW, now=NOW + MINUTE, held_since=held)


def outcome(snapshot: Snapshot, criteria: GateCriteria | None = None) -> GateOutcome:
    return judged(snapshot, criteria).outcome


def allowed(text: str) -> GateCriteria:
    return GateCriteria(max_failed=Threshold.parse(text))


GOOD = Snapshot(Counts(2, 2), milestones=COMPLETED, credited_at=NOW - MINUTE)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(2, 2), GateOutcome.PASSED),
        (Counts(2, 1), GateOutcome.WAITING),
        (Counts(2, 1, settling=1), GateOutcome.WAITING),
        (Counts(2, 1, waiting=1), GateOutcome.WAITING),
        (Counts(2, 1, failing=1), GateOutcome.FAILED),
        (Counts(), GateOutcome.WAITING),
    ],
)
def test_it_passes_once_completion_is_announced_while_all_are_successful(counts: Counts, expected: GateOutcome) -> None:
    assert outcome(Snapshot(counts, milestones=COMPLETED)) is expected
    before = GateOutcome.WAITING if expected is GateOutcome.PASSED else expected
    assert outcome(Snapshot(counts, milestones=frozenset({"started"}))) is before


def test_the_apps_threshold_of_failures_counts_unless_another_is_given() -> None:
    snapshot = Snapshot(Counts(10, 9, failing=1), milestones=COMPLETED, threshold=Threshold.parse("10%"))
    assert outcome(snapshot) is GateOutcome.PASSED
    assert outcome(snapshot, allowed("0")) is GateOutcome.FAILED
    assert (
        outcome(Snapshot(snapshot.counts, milestones=COMPLETED, credited_at=NOW), allowed("10%")) is GateOutcome.PASSED
    )
    assert outcome(Snapshot(Counts(10, 0, failing=10)), allowed("100%")) is GateOutcome.WAITING


def test_a_percentage_is_of_the_targeted_devices_where_these_are_more() -> None:
    counts = Counts(2, 1, failing=1)
    assert outcome(Snapshot(counts, targeted=100), allowed("5%")) is GateOutcome.WAITING
    assert outcome(Snapshot(counts), allowed("5%")) is GateOutcome.FAILED


def test_with_its_own_criteria_it_waits_until_no_device_was_added_for_the_window() -> None:
    own = GateCriteria(stable_after=2 * MINUTE)
    for credited, expected in (
        (NOW - MINUTE, GateOutcome.PASSED),
        (NOW, GateOutcome.WAITING),
        (None, GateOutcome.WAITING),
    ):
        assert outcome(Snapshot(Counts(2, 2), credited_at=credited), own) is expected


def test_on_fewer_devices_than_asked_for_it_waits() -> None:
    assert outcome(GOOD, GateCriteria(min_devices=3)) is GateOutcome.WAITING


def test_a_list_from_before_the_first_question_decides_nothing() -> None:
    for counts, milestones in ((GOOD.counts, COMPLETED), (Counts(2, failing=2), COMPLETED), (Counts(), {"superseded"})):
        for seconds, is_fresh in ((-60, False), (0, False), (1, True)):
            snapshot = Snapshot(
                counts, milestones=frozenset(milestones), is_listed=True, listed_at=NOW + seconds * SECOND
            )
            assert (outcome(snapshot) is not GateOutcome.WAITING) is is_fresh
            assert judged(snapshot).is_fresh is is_fresh


def test_a_deployment_that_the_hub_does_not_have_is_unknown_and_one_that_left_its_devices_is_superseded() -> None:
    fresh = NOW + MINUTE
    assert outcome(Snapshot(is_known=False, listed_at=fresh)) is GateOutcome.UNKNOWN
    assert outcome(Snapshot(is_known=False)) is GateOutcome.WAITING
    gone = frozenset({"started", "superseded"})
    assert outcome(Snapshot(milestones=gone)) is GateOutcome.SUPERSEDED
    assert outcome(Snapshot(milestones=gone, is_listed=True, listed_at=fresh)) is GateOutcome.SUPERSEDED
    assert outcome(Snapshot(Counts(1), milestones=gone)) is GateOutcome.WAITING
    assert outcome(Snapshot(is_listed=True, listed_at=fresh)) is GateOutcome.WAITING


def test_a_soak_begins_when_all_are_successful() -> None:
    soak = GateCriteria(soak=10 * MINUTE)
    settled = {
        minutes: Snapshot(Counts(1, 1), milestones=COMPLETED, settled_since=NOW - minutes * MINUTE)
        for minutes in (8, 9)
    }
    assert [outcome(snapshot, soak) for snapshot in settled.values()] == [GateOutcome.WAITING, GateOutcome.PASSED]
    assert judged(GOOD, soak, held=NOW - 9 * MINUTE).outcome is GateOutcome.PASSED
    assert judged(GOOD, soak, held=NOW - 8 * MINUTE).outcome is GateOutcome.WAITING
    assert judged(GOOD, soak).stable_since == NOW + MINUTE


def test_where_only_new_failures_count_a_device_that_was_stuck_before_the_wait_does_not() -> None:
    old, new = device("old", stuck=5), device("new", stuck=-1)
    new_only = GateCriteria(new_only=True)
    snapshot = Snapshot(Counts(2, 1, failing=1), suspects=[old], credited_at=NOW - MINUTE)
    assert outcome(snapshot) is GateOutcome.FAILED
    assert (outcome(snapshot, new_only), judged(snapshot, new_only).before) == (GateOutcome.PASSED, [old])
    judgement = judged(Snapshot(Counts(2, failing=2), suspects=[new, old]), new_only)
    assert (judgement.outcome, judgement.failed, judgement.failing) == (GateOutcome.FAILED, [new], 1)


def test_a_strict_gate_fails_at_the_first_crash() -> None:
    snapshot = Snapshot(Counts(2, 1), suspects=[device(state=State.MODULE_FAILED)])
    assert outcome(snapshot) is GateOutcome.WAITING
    assert outcome(snapshot, GateCriteria(strict=True)) is GateOutcome.FAILED


def test_devices_that_failed_first_are_named_first() -> None:
    suspects = [device("b", stuck=5), device("c", stuck=9), device("a", stuck=5)]
    assert [item.device_id for item in judged(Snapshot(Counts(3), suspects=suspects)).failed] == ["c", "a", "b"]


def asked_each_second(name: str, deployment: str) -> tuple[list[datetime], list[datetime]]:
    """The seconds of a file in which a gate that is asked then passes, and those in which it fails."""
    passed, failed = list[datetime](), list[datetime]()
    seen: list[datetime] = []

    def each(deployments: Deployments, until: datetime) -> None:
        now = seen[-1] if seen else until.replace(microsecond=0)
        while now < until:
            counts = deployments.counts(now).get(deployment, Counts())
            rollout = deployments.kept.get(deployment)
            reached = frozenset(known for known, _ in rollout.reached) if rollout is not None else frozenset[str]()
            outcome = judge(Snapshot(counts, milestones=reached), GateCriteria(), asked=now, now=now).outcome
            (passed if outcome is GateOutcome.PASSED else failed if outcome is GateOutcome.FAILED else []).append(now)
            now += SECOND
        seen.append(now)

    replayed(name, each)
    return passed, failed


def test_a_crash_loop_passes_in_no_second() -> None:
    passed, failed = asked_each_second("scenarios/S8_crash_loop_is_called_completed", "app")
    assert passed == []
    assert failed[0] == datetime(2026, 1, 5, 8, 15, 30, tzinfo=UTC)  # the first run of the timer that finds it stuck


def test_a_slow_crash_loop_passes_from_the_event_on_while_it_runs_and_in_no_other_second() -> None:
    passed, failed = asked_each_second("agent/e_crash_every_5min", "v3")
    completed, crashed = datetime(2026, 3, 2, 8, 12, tzinfo=UTC), datetime(2026, 3, 2, 8, 15, 17, tzinfo=UTC)
    assert passed == [completed + number * SECOND for number in range((crashed - completed) // SECOND)]
    assert failed[0] > crashed
