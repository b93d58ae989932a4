"""From one look at a device to the next: what is kept, and the transitions between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from twins import AGENT, ASKED, GONE, MODULE, STATUS, judged

from status_core import DeviceRecord, GracePolicy, Kind, ModuleState, Reason, State, Transition, advance, deletion, flag

T0 = datetime(2026, 1, 1, 10, tzinfo=UTC)
STATUS_OF = f"{MODULE}.runtimeStatus"
STOPPING = {f"{STATUS}.code": 406, f"{STATUS}.description": "Agent is not running", f"{AGENT}.runtimeStatus": "unknown"}
SECOND = {"status": "running", "settings": {"image": "m2:1"}}


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


class Device:
    """A device that is looked at again and again. What was changed in its twin stays changed."""

    def __init__(self, policy: GracePolicy | None = None) -> None:
        self.policy = policy or GracePolicy()
        self.changes: dict[str, Any] = {}
        self.record: DeviceRecord | None = None
        self.history: list[Transition] = []

    def look(
        self, seconds: float, changes: dict[str, Any] | None = None, *, at: float | None = None
    ) -> tuple[Transition, ...]:
        """Look as a timer does, `seconds` after the start; no changes: the same twin.

        A change is of that moment, or of `at`.
        """
        if changes is not None:
            stamp = after(seconds if at is None else at).isoformat()
            self.changes |= {**changes, "reported.$metadata.$lastUpdated": stamp}
        status, now = judged(self.changes), after(seconds)
        record, transitions = advance(self.record, status, now, self.policy)
        self.record, turns = flag(record, status, now, self.policy.stable_after)
        self.history += [*transitions, *turns]
        return (*transitions, *turns)

    @property
    def kept(self) -> DeviceRecord:
        assert self.record is not None
        return self.record

    @property
    def due(self) -> datetime | None:
        return self.kept.due(self.policy.stable_after)

    def unsettled_since(self, module: str = "m1") -> datetime | None:
        return self.kept.modules[module].clock.unsettled_since


def told(transitions: tuple[Transition, ...] | list[Transition]) -> list[tuple[str, str, str, str]]:
    """Kind, module, state left and state entered."""
    return [
        (item.change.kind, item.change.module, item.change.from_state, item.change.to_state) for item in transitions
    ]


def turns(device: Device) -> list[tuple[str, str]]:
    """Each time something became stuck or recovered."""
    kinds = {Kind.STUCK, Kind.RECOVERED}
    return [(item.change.kind, item.change.module) for item in device.history if item.change.kind in kinds]


def test_the_first_look_tells_each_module_and_then_the_device() -> None:
    device = Device()
    assert told(device.look(0, {})) == [
        ("module", "$edgeHub", "", "settled"),
        ("module", "m1", "", "settled"),
        ("device", "", "", "successful"),
    ]
    assert [item.sequence for item in device.history] == [1, 2, 3]
    assert {item.at for item in device.history} == {T0}
    assert {item.duration for item in device.history} == {0.0}
    assert (device.kept.verdict.state, device.kept.verdict.rule, device.kept.sequence) == (
        "successful",
        "as_desired",
        3,
    )
    assert (device.kept.since, device.kept.at, device.kept.observed) == (T0, T0, T0)


def test_a_first_look_goes_on_after_an_earlier_life_of_the_device() -> None:
    end = after(60)
    record, transitions = advance(None, judged(), after(90), GracePolicy(), last_sequence=41, last_at=end)
    assert [(item.sequence, item.at) for item in transitions] == [(42, end), (43, end), (44, end)]
    assert (record.sequence, record.at, record.since) == (44, end, end)


def test_a_look_at_the_same_twin_tells_nothing_and_keeps_the_record_but_for_the_time_of_the_look() -> None:
    for changes in ({}, {STATUS_OF: "backoff"}, {"reported.lastDesiredVersion": 11}, STOPPING, {MODULE: GONE}):
        device = Device()
        device.look(0, changes)
        before = device.kept
        assert device.look(100) == ()
        assert device.kept == replace(before, observed=after(100))


def test_a_change_of_state_is_told_once_with_the_time_in_the_state_that_was_left() -> None:
    device = Device()
    device.look(0, {})
    transitions = device.look(90, {STATUS_OF: "backoff"})
    assert told(transitions) == [
        ("module", "m1", "settled", "wrong_status"),
        ("device", "", "successful", "module_failed"),
    ]
    assert [(item.sequence, item.duration) for item in transitions] == [(4, 90.0), (5, 90.0)]
    assert transitions[0].change.evidence[-1].value == "backoff"
    assert (transitions[0].desired_version, transitions[0].deployments) == (12, ("at-scale1",))
    assert device.kept.modules["m1"].since == after(90)
    assert device.kept.modules["$edgeHub"].since == T0


def test_another_reason_message_or_restart_in_the_same_state_is_kept_and_not_told() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff"})
    for second, word in enumerate(["dead", "unhealthy", "backoff", "unknown"], 1):
        assert device.look(10 * second, {STATUS_OF: word, f"{MODULE}.restartCount": second}) == ()
        assert device.kept.modules["m1"].verdict.runtime_status == word
    assert device.kept.modules["m1"].verdict.reason == "status_unknown"
    assert device.kept.modules["m1"].since == T0
    assert device.unsettled_since() == T0


def test_a_module_that_comes_and_one_that_goes_are_told() -> None:
    device = Device()
    device.look(0, {})
    came = device.look(10, {"desired.modules.m2": SECOND})
    assert told(came)[0] == ("module", "m2", "", "missing")
    gone = device.look(20, {"desired.modules.m2": GONE})
    assert told(gone)[0] == ("module", "m2", "missing", "")
    assert (gone[0].change.reason, gone[0].duration) == ("removed", 10.0)
    assert "m2" not in device.kept.modules


def test_a_stuck_module_that_is_removed_has_recovered_and_leaves_no_clock() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff"})
    device.look(1000)
    device.look(1100, {ASKED: GONE, MODULE: GONE})
    assert told(device.history)[-3:] == [
        ("recovered", "m1", "wrong_status", "wrong_status"),
        ("module", "m1", "wrong_status", ""),
        ("device", "", "module_failed", "successful"),
    ]
    assert device.due is None


def test_times_never_run_back_whatever_the_hub_and_the_clock_of_the_app_say() -> None:
    device = Device()
    device.look(100, {})
    device.look(200, {STATUS_OF: "backoff"}, at=50)
    device.look(90, {STATUS_OF: "running"})
    device.look(300, {STATUS_OF: "dead"}, at=90_000)
    times = [item.at for item in device.history]
    assert times == sorted(times)
    assert times[-1] == after(300)
    assert all(item.duration >= 0 for item in device.history)


def test_a_change_has_the_time_of_the_hub_and_without_one_the_time_of_the_look() -> None:
    device = Device()
    device.look(60, {}, at=20)
    assert (device.kept.at, device.kept.since, device.kept.observed) == (after(20), after(20), after(60))
    without = {"desired.$metadata": GONE, "reported.$metadata": GONE}
    record, _ = advance(None, judged(without), T0, GracePolicy())
    assert record.at == T0


def test_a_new_version_restarts_the_clock_of_the_device_and_of_the_modules_that_it_touches() -> None:
    device = Device()
    m2 = {**SECOND, "settings": {"image": "m2:0"}, "runtimeStatus": "backoff"}
    old = {"reported.modules.m2": m2, "desired.modules.m2": {**SECOND, "settings": {"image": "m2:0"}}}
    device.look(0, {**old, STATUS_OF: "backoff", "reported.lastDesiredVersion": 11})
    assert device.kept.clock.unsettled_since == T0
    device.look(100, {"desired.$version": 13, "desired.modules.m2": SECOND})
    assert device.kept.clock.unsettled_since == after(100)
    assert device.unsettled_since("m1") == T0
    assert device.unsettled_since("m2") == after(100)
    device.look(200, {"desired.$version": 14, f"{ASKED}.status": "stopped"})
    assert device.unsettled_since("m1") == after(200)
    assert device.unsettled_since("m2") == after(100)


def test_a_clock_that_ran_before_a_version_which_leaves_the_module_alone_goes_on() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff"})
    device.look(100, {"desired.$version": 13})
    assert device.kept.modules["m1"].verdict.state == "pending"
    device.look(200, {"reported.lastDesiredVersion": 13})
    assert device.unsettled_since() == T0


def test_a_module_becomes_stuck_once_and_recovers_once() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff"})
    stuck = device.look(900)
    assert told(stuck) == [("stuck", "m1", "wrong_status", "wrong_status")]
    device.look(5000, {STATUS_OF: "dead"})
    device.look(6000, {STATUS_OF: "running"})
    device.look(6059)
    assert turns(device) == [("stuck", "m1")]
    recovered = device.look(6060)
    assert told(recovered) == [("recovered", "m1", "settled", "settled")]
    device.look(9000)
    assert turns(device) == [("stuck", "m1"), ("recovered", "m1")]


def test_a_crash_loop_is_flagged_once_and_never_recovers_between_two_crashes() -> None:
    device = Device()
    device.look(0, {})
    for crash in range(60, 3000, 60):
        device.look(crash, {STATUS_OF: "backoff"})
        device.look(crash + 50, {STATUS_OF: "running"})
    assert turns(device) == [("stuck", "m1")]
    assert device.unsettled_since() == after(60)


def test_a_stuck_module_of_which_a_new_version_asks_something_else_has_recovered() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff"})
    device.look(900)
    device.look(1000, {"desired.$version": 13, f"{ASKED}.settings.image": "registry.example/m1:2.0"})
    assert turns(device) == [("stuck", "m1"), ("recovered", "m1")]
    assert device.kept.modules["m1"].clock.stuck_since is None


def test_a_device_that_is_off_has_one_flag_on_itself_and_none_on_its_modules() -> None:
    device = Device()
    device.look(0, {})
    device.look(100, {"desired.$version": 13, f"{ASKED}.settings.image": "registry.example/m1:2.0"})
    for second in range(200, 20_000, 600):
        device.look(second)
    assert turns(device) == [("stuck", "")]
    assert device.kept.clock.stuck_since == after(100) + timedelta(minutes=15)


def test_a_module_of_which_nothing_was_heard_for_its_whole_grace_gets_a_new_one_with_the_first_word() -> None:
    asked = {"desired.$version": 13, f"{ASKED}.settings.image": "registry.example/m1:2.0"}
    taken = {"reported.lastDesiredVersion": 13}
    device = Device()
    device.look(0, {})
    device.look(100, asked)
    device.look(5000)
    device.look(6000, taken)
    assert device.unsettled_since() == after(6000)
    device.look(6010, {f"{MODULE}.settings.image": "registry.example/m1:2.0"})
    device.look(6100)
    assert turns(device) == [("stuck", ""), ("recovered", "")]
    assert device.unsettled_since() is None
    sooner = Device()
    sooner.look(0, {})
    sooner.look(100, asked)
    sooner.look(600, taken)
    assert sooner.unsettled_since() == after(100)


def test_a_module_that_was_stuck_before_its_agent_stopped_stays_so_when_the_agent_is_back() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff"})
    device.look(900)
    device.look(1000, STOPPING)
    device.look(5000)
    device.look(6000, {f"{STATUS}.code": 200, f"{AGENT}.runtimeStatus": "running"})
    assert turns(device) == [("stuck", "m1"), ("stuck", "")]
    assert device.kept.modules["m1"].clock.stuck_since == after(900)


def test_a_short_silence_over_the_end_of_its_grace_does_not_restart_the_clock_of_a_crash_loop() -> None:
    device = Device()
    device.look(0, {})
    device.look(100, {STATUS_OF: "backoff"})
    device.look(990, STOPPING)
    device.look(1010, {f"{STATUS}.code": 200, f"{AGENT}.runtimeStatus": "running"})
    assert device.unsettled_since() == after(100)
    assert turns(device) == [("stuck", "m1")]
    left_over = Device()
    left_over.look(0, {"reported.modules.m2": SECOND})
    left_over.look(890, STOPPING)
    left_over.look(910, {f"{STATUS}.code": 200, f"{AGENT}.runtimeStatus": "running"})
    assert left_over.unsettled_since("m2") == after(0)


def test_a_stuck_device_of_which_another_version_is_desired_has_recovered_and_waits_anew() -> None:
    device = Device()
    device.look(0, {})
    device.look(100, {"desired.$version": 13})
    device.look(5000)
    device.look(6000, {"desired.$version": 14})
    assert turns(device) == [("stuck", ""), ("recovered", "")]
    assert device.kept.clock.stuck_at == after(6000) + timedelta(minutes=15)


def test_a_device_whose_agent_is_unavailable_has_one_flag_on_itself() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff"})
    device.look(100, STOPPING)
    device.look(5000)
    assert turns(device) == [("stuck", "")]
    assert device.unsettled_since() == T0


def test_a_rejected_deployment_flags_the_device_and_of_its_modules_those_that_exited_meanwhile() -> None:
    device = Device()
    device.look(0, {f"{STATUS}.code": 400})
    device.look(100, {f"{STATUS}.code": 400, STATUS_OF: "backoff"})
    device.look(5000)
    assert turns(device) == [("stuck", "m1"), ("stuck", "")]
    assert device.kept.modules["m1"].reason == Reason.UNMANAGED


def test_modules_that_are_unsettled_have_their_own_flags_and_the_device_none() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff", "desired.modules.m2": SECOND})
    assert device.kept.verdict.state == State.IN_PROGRESS
    device.look(5000)
    assert turns(device) == [("stuck", "m1"), ("stuck", "m2")]
    assert device.kept.clock.unsettled_since is None


def test_a_failure_that_no_module_shows_flags_the_device() -> None:
    for changes in (
        {f"{STATUS}.code": 500},
        {f"{STATUS}.code": 500, f"{AGENT}.type": "Unknown", "reported.modules": GONE},
        {f"{STATUS}.code": 418},
        {STATUS: GONE},
        {f"{AGENT}.settings.image": "registry.example/agent:1.4"},
    ):
        device = Device()
        device.look(0, changes)
        device.look(5000)
        assert turns(device) == [("stuck", "")]


def test_a_module_that_stays_after_its_removal_becomes_stuck_and_only_while_something_is_deployed() -> None:
    device = Device()
    device.look(0, {"reported.modules.old": {"runtimeStatus": "running"}})
    assert device.kept.modules["old"].verdict.state == ModuleState.EXTRA
    device.look(5000)
    assert turns(device) == [("stuck", "old")]
    nothing = Device()
    nothing.look(0, {"desired": {"$version": 12}})
    nothing.look(5000)
    assert turns(nothing) == []
    waiting = Device()
    waiting.look(0, {"reported.modules.old": {}, "reported.lastDesiredVersion": 11})
    waiting.look(5000)
    assert turns(waiting) == [("stuck", "")]


def test_a_grace_of_its_own_holds_for_a_module_and_for_the_device() -> None:
    hours = GracePolicy(periods={"m1": timedelta(hours=1), "$edgeAgent": timedelta(hours=2)})
    device = Device(hours)
    device.look(0, {STATUS_OF: "backoff", f"{AGENT}.settings.image": "registry.example/agent:1.4"})
    device.look(3599)
    assert turns(device) == []
    device.look(3600)
    assert turns(device) == [("stuck", "m1")]
    device.look(7200)
    assert turns(device) == [("stuck", "m1"), ("stuck", "")]


def test_a_label_on_the_agent_is_the_grace_of_the_device() -> None:
    device = Device()
    options = '{"Labels": {"deployment-status.grace": "PT1H"}}'
    path = "desired.systemModules.edgeAgent.settings.createOptions"
    device.look(0, {path: options, f"{STATUS}.code": 417})
    assert device.kept.clock.stuck_at == T0 + timedelta(hours=1)
    without_agent = Device()
    without_agent.look(0, {"desired.systemModules.edgeAgent": GONE, AGENT: GONE, f"{STATUS}.code": 417})
    assert without_agent.kept.clock.stuck_at == T0 + timedelta(minutes=15)


def test_a_grace_that_grows_clears_no_flag_and_one_that_shrinks_sets_it_at_the_next_look() -> None:
    device = Device(GracePolicy(default=timedelta(hours=1)))
    device.look(0, {STATUS_OF: "backoff"})
    device.look(1000)
    device.policy = GracePolicy(default=timedelta(minutes=5))
    device.look(1001)
    device.policy = GracePolicy(default=timedelta(hours=1))
    device.look(1002)
    assert turns(device) == [("stuck", "m1")]


def test_the_device_is_due_when_the_first_of_its_clocks_is() -> None:
    device = Device(GracePolicy(periods={"m2": timedelta(minutes=5)}))
    device.look(0, {})
    assert device.due is None
    device.look(10, {STATUS_OF: "backoff"})
    assert device.due == after(910)
    device.look(20, {"desired.modules.m2": SECOND})
    assert device.due == after(320)
    device.look(30, {"desired.modules.m2": GONE, STATUS_OF: "running"})
    assert device.due == after(90)


def test_a_deletion_is_the_last_transition_and_never_before_the_one_before() -> None:
    device = Device()
    device.look(0, {STATUS_OF: "backoff"})
    last = deletion(device.kept, after(50))
    assert told([last]) == [("deleted", "", "module_failed", "")]
    assert (last.sequence, last.at, last.duration) == (4, after(50), 50.0)
    assert (last.change.reason, last.desired_version, last.deployments) == ("deleted", 12, ("at-scale1",))
    assert deletion(device.kept, after(-50)).at == T0
