"""The step of the timer: what becomes stuck and what recovers, when it says so, and what it cannot see."""

from datetime import UTC, datetime, timedelta
from typing import Any

from twins import ASKED, MODULE, STATUS, judged

from status_core import DeviceRecord, GracePolicy, Kind, Transition, advance, flag

T0 = datetime(2026, 1, 1, 10, tzinfo=UTC)
POLICY = GracePolicy()
GRACE, WINDOW = POLICY.default, POLICY.stable_after
BACKOFF = {f"{MODULE}.runtimeStatus": "backoff"}
M2 = {"desired.modules.m2": {"status": "running", "settings": {"image": "m2:1"}}}


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def look(
    record: DeviceRecord | None, seconds: float, changes: dict[str, Any], policy: GracePolicy = POLICY
) -> DeviceRecord:
    """The record after a look at a change of that moment."""
    stamp = {"reported.$metadata.$lastUpdated": after(seconds).isoformat()}
    return advance(record, judged(changes | stamp), after(seconds), policy)[0]


def told(transitions: tuple[Transition, ...]) -> list[tuple[str, str, str, datetime]]:
    return [(item.change.kind, item.change.module, item.change.reason, item.at) for item in transitions]


def test_nothing_is_flagged_before_its_time_and_nothing_twice() -> None:
    record = look(None, 0, BACKOFF)
    assert flag(record, judged(BACKOFF), after(899.9), WINDOW) == (record, ())
    stuck, transitions = flag(record, judged(BACKOFF), after(900), WINDOW)
    assert told(transitions) == [("stuck", "m1", "backoff", T0 + GRACE)]
    assert flag(stuck, judged(BACKOFF), after(5000), WINDOW) == (stuck, ())


def test_it_is_stuck_since_the_end_of_its_grace_whenever_the_timer_comes() -> None:
    stuck, transitions = flag(look(None, 0, BACKOFF), judged(BACKOFF), after(9000), WINDOW)
    assert stuck.modules["m1"].clock.stuck_since == stuck.at == T0 + GRACE
    assert [item.duration for item in transitions] == [GRACE.total_seconds()]
    assert transitions[0].change.evidence[-1].value == "backoff"


def test_it_has_recovered_at_the_end_of_the_window_whenever_the_timer_comes() -> None:
    stuck, _ = flag(look(None, 0, BACKOFF), judged(BACKOFF), after(900), WINDOW)
    settled = look(stuck, 1000, {})
    assert flag(settled, judged(), after(1059), WINDOW) == (settled, ())
    recovered, transitions = flag(settled, judged(), after(5000), WINDOW)
    assert told(transitions) == [("recovered", "m1", "as_desired", after(1060))]
    assert transitions[0].duration == 1060
    assert recovered.modules["m1"].clock.unsettled_since is None
    assert recovered.due(WINDOW) is None


def test_a_module_that_runs_for_a_moment_when_its_grace_ends_is_flagged_all_the_same() -> None:
    running = look(look(None, 0, BACKOFF), 890, {})
    stuck, transitions = flag(running, judged(), after(900), WINDOW)
    assert told(transitions) == [("stuck", "m1", "as_desired", after(900))]
    assert transitions[0].change.message.startswith("It was unsettled for its grace period")
    assert stuck.modules["m1"].verdict.message == running.modules["m1"].verdict.message


def test_modules_are_told_in_the_order_of_their_times_and_the_device_last_and_no_time_runs_back() -> None:
    policy = GracePolicy(default=timedelta(minutes=5), periods={"m1": timedelta(minutes=20)})
    changes = {**BACKOFF, **M2, f"{STATUS}.code": 418}
    record = look(None, 0, changes, policy)
    stuck, transitions = flag(record, judged(changes), after(5000), WINDOW)
    assert told(transitions) == [
        ("stuck", "m2", "settling", after(300)),
        ("stuck", "m1", "backoff", after(1200)),
        ("stuck", "", "unknown_code", after(1200)),
    ]
    assert [item.sequence for item in transitions] == [record.sequence + number for number in (1, 2, 3)]
    assert (stuck.sequence, stuck.at) == (record.sequence + 3, after(1200))
    assert stuck.clock.stuck_since == after(300)


def test_what_is_due_while_the_hub_does_not_answer_is_flagged_as_unverified_and_stays_due() -> None:
    record = look(None, 0, BACKOFF)
    stuck, transitions = flag(record, None, after(1000), WINDOW)
    assert told(transitions) == [("stuck", "m1", "backoff_unverified", T0 + GRACE)]
    assert transitions[0].change.message.startswith("IoT Hub did not answer; as last seen: ")
    assert transitions[0].change.evidence == ()
    assert stuck.modules["m1"].verdict.reason == "backoff_unverified"
    assert stuck.due(WINDOW) == T0 + GRACE
    assert flag(stuck, None, after(2000), WINDOW) == (stuck, ())


def test_a_look_that_can_be_taken_later_gives_the_reason_again_and_tells_nothing_more() -> None:
    stuck, _ = flag(look(None, 0, BACKOFF), None, after(1000), WINDOW)
    record, transitions = advance(stuck, judged(BACKOFF), after(1100), POLICY)
    assert transitions == ()
    assert record.modules["m1"].verdict.reason == "backoff"
    assert record.due(WINDOW) is None


def test_nothing_is_cleared_while_the_hub_does_not_answer() -> None:
    stuck, _ = flag(look(None, 0, BACKOFF), judged(BACKOFF), after(900), WINDOW)
    settled = look(stuck, 1000, {})
    assert flag(settled, None, after(5000), WINDOW) == (settled, ())


def test_a_device_that_is_unverified_is_flagged_itself_and_not_its_modules() -> None:
    changes = {"desired.$version": 13, f"{ASKED}.settings.image": "registry.example/m1:2.0"}
    stuck, transitions = flag(look(None, 0, changes), None, after(1000), WINDOW)
    assert told(transitions) == [(Kind.STUCK, "", "waiting_for_device_unverified", T0 + GRACE)]
    assert stuck.due(WINDOW) == T0 + GRACE
