"""The rule of the gate: what a look comes to, for every kind of device, and over several looks."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from status_app.commands.gate.rule import Device, GateCriteria, GateOutcome, Judgement, Look, judge

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
AT_ONCE = timedelta(0)
WINDOW = timedelta(seconds=60)


def device(state: str, name: str = "d", *, stuck: int | None = None, since: int = 0) -> Device:
    """A device; the numbers are minutes before now."""
    stuck_since = None if stuck is None else NOW - timedelta(minutes=stuck)
    return Device(name, state, "a_reason", "A message.", NOW - timedelta(minutes=since), stuck_since)


def look(*devices: Device, criteria: GateCriteria | None = None) -> Look:
    """A look at these devices."""
    states = (criteria or GateCriteria()).failing_states
    return Look(
        devices=len(devices),
        states=Counter(item.state for item in devices),
        suspects=[item for item in devices if item.stuck_since is not None or item.state in states],
    )


def judged(criteria: GateCriteria, *looks: tuple[int, Look]) -> list[Judgement]:
    """What each look comes to; the numbers are seconds after now."""
    found: list[Judgement] = []
    for seconds, seen in looks:
        before = found[-1].rollout if found else None
        found.append(judge(before, seen, criteria, NOW + timedelta(seconds=seconds)))
    return found


GOOD = device("successful")


@pytest.mark.parametrize(
    ("state", "stuck", "strict", "outcome"),
    [
        ("successful", None, False, GateOutcome.PASSED),
        ("successful", 5, False, GateOutcome.WAITING),  # it recovers
        ("successful", 5, True, GateOutcome.WAITING),
        ("pending", None, False, GateOutcome.WAITING),
        ("pending", 5, False, GateOutcome.FAILED),  # off for longer than its grace
        ("in_progress", None, True, GateOutcome.WAITING),
        ("in_progress", 5, False, GateOutcome.FAILED),
        ("module_failed", None, False, GateOutcome.WAITING),  # it may crash once
        ("module_failed", None, True, GateOutcome.FAILED),
        ("module_failed", 5, False, GateOutcome.FAILED),
        ("invalid", None, False, GateOutcome.FAILED),
        ("invalid", 5, True, GateOutcome.FAILED),
        ("agent_unavailable", None, True, GateOutcome.WAITING),
        ("agent_unavailable", 5, False, GateOutcome.FAILED),
        ("empty", None, False, GateOutcome.WAITING),
        ("unclassified", None, False, GateOutcome.WAITING),
        ("a state of another release", 5, False, GateOutcome.FAILED),
    ],
)
def test_one_device_decides_by_its_state_and_by_being_stuck(
    state: str, stuck: int | None, strict: bool, outcome: GateOutcome
) -> None:
    criteria = GateCriteria(strict=strict, stable_after=AT_ONCE)
    one = look(GOOD, device(state, stuck=stuck), criteria=criteria)
    assert judged(criteria, (0, one))[0].outcome is outcome


@pytest.mark.parametrize(
    ("failed", "may", "outcome"),
    [
        (0, 0, GateOutcome.PASSED),
        (1, 0, GateOutcome.FAILED),
        (1, 1, GateOutcome.PASSED),
        (2, 1, GateOutcome.FAILED),
        (2, 5, GateOutcome.PASSED),
    ],
)
def test_as_many_devices_may_fail_as_are_allowed(failed: int, may: int, outcome: GateOutcome) -> None:
    criteria = GateCriteria(max_failed=may, stable_after=AT_ONCE)
    seen = look(GOOD, *(device("invalid", f"d{number}") for number in range(failed)))
    assert judged(criteria, (0, seen))[0].outcome is outcome


def test_a_device_that_may_fail_does_not_make_up_for_one_that_is_not_done() -> None:
    criteria = GateCriteria(max_failed=1, stable_after=AT_ONCE)
    (judgement,) = judged(criteria, (0, look(GOOD, device("invalid"), device("pending"))))
    assert judgement.outcome is GateOutcome.WAITING
    assert [item.state for item in judgement.failed] == ["invalid"]


def test_a_device_that_is_invalid_and_stuck_counts_once() -> None:
    (judgement,) = judged(GateCriteria(), (0, look(device("invalid", stuck=1))))
    assert len(judgement.failed) == 1


@pytest.mark.parametrize(
    ("looks", "outcomes"),
    [
        ([(0, look(GOOD)), (59, look(GOOD)), (60, look(GOOD))], "WAITING WAITING PASSED"),
        ([(0, look(GOOD)), (30, look(device("module_failed"))), (60, look(GOOD)), (120, look(GOOD))],
         "WAITING WAITING WAITING PASSED"),
        ([(0, look(GOOD)), (50, look(GOOD, GOOD)), (60, look(GOOD, GOOD)), (110, look(GOOD, GOOD))],
         "WAITING WAITING WAITING PASSED"),
        ([(0, look(GOOD, GOOD)), (30, look(GOOD)), (60, look(GOOD))], "WAITING WAITING PASSED"),
        ([(0, look()), (3600, look()), (7200, look(GOOD)), (7260, look(GOOD))], "WAITING WAITING WAITING PASSED"),
        ([(0, look(GOOD)), (30, look()), (60, look(GOOD)), (119, look(GOOD))], "WAITING WAITING WAITING WAITING"),
        ([(0, look(device("successful", stuck=1))), (60, look(GOOD)), (120, look(GOOD))], "WAITING WAITING PASSED"),
    ],
    ids=["for the window", "one fails in it", "one is credited in it", "one leaves in it", "none for long",
         "all leave and come back", "one recovers"],
)  # fmt: skip
def test_all_must_be_successful_for_the_whole_stability_window(looks: list[tuple[int, Look]], outcomes: str) -> None:
    assert [item.outcome.name for item in judged(GateCriteria(stable_after=WINDOW), *looks)] == outcomes.split()


def test_a_deployment_that_completed_must_complete_anew_after_a_failure_that_was_waited_out() -> None:
    criteria = GateCriteria(min_devices=2, stable_after=WINDOW)
    few = [(0, look(GOOD)), (60, look(GOOD)), (600, look(GOOD))]
    more = [(610, look(GOOD, GOOD)), (660, look(GOOD, GOOD)), (670, look(GOOD, GOOD))]
    outcomes = [item.outcome.name for item in judged(criteria, *few, *more)]
    assert outcomes == ["WAITING", "WAITING", "WAITING", "WAITING", "WAITING", "PASSED"]


def test_the_window_is_only_told_where_enough_devices_are_credited() -> None:
    one, none = judged(GateCriteria(min_devices=2), (0, look(GOOD)))[0], judged(GateCriteria(), (0, look()))[0]
    assert (one.stable_since, none.stable_since) == (None, None)
    assert judged(GateCriteria(), (0, look(GOOD)))[0].stable_since == NOW


def test_failed_devices_come_longest_first_and_by_name_where_equal() -> None:
    devices = [
        device("invalid", "c", since=1),
        device("module_failed", "b", stuck=5, since=90),
        device("invalid", "a", since=1),
        device("pending", "d", stuck=30),
    ]
    (judgement,) = judged(GateCriteria(), (0, look(*devices)))
    assert [item.device_id for item in judgement.failed] == ["d", "b", "a", "c"]


def test_a_device_that_changed_between_the_count_and_the_list_does_not_let_the_gate_pass() -> None:
    criteria = GateCriteria(max_failed=1, stable_after=AT_ONCE)
    seen = Look(devices=2, states={"successful": 2}, suspects=[device("invalid")])
    assert judged(criteria, (0, seen))[0].outcome is GateOutcome.WAITING
