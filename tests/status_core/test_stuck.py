"""What gets stuck, when, and why; what it is once it is; and what a look that cannot be taken flags."""

from dataclasses import replace
from datetime import timedelta

import pytest
from device import COUNT, RUNS, SECOND, STARTED, Device, after, followed, lines, looked_at, taken, version
from twins import AGENT, ASKED, GONE, MODULE, STATUS, STOPPING

from status_core import DeviceRecord, GracePolicy, Kind, flag_unverified

LABEL = '{"Labels": {"deployment-status.grace": "PT1H"}}'
OLD_AGENT = {f"{AGENT}.settings.image": "registry.example/agent:1.4"}


def failing(module: str, words: str = "pull access denied") -> dict[str, object]:
    text = f"Error calling Create module {module}: x caused by: {words} for r/x, repository does not exist"
    return {f"{STATUS}.code": 500, f"{STATUS}.description": text}


REFUSED = failing("m1")
PULL_FAILED = {
    f"{STATUS}.code": 500,
    f"{STATUS}.description": 'Error calling Create module m1: registry operation error: pull image "x"',
}
OTHER_FAILED = failing("m2")
SUCCESS = {f"{STATUS}.code": 200, f"{STATUS}.description": ""}


def flags(device: Device) -> list[tuple[str, ...]]:
    """Each time something became stuck or recovered."""
    return [item for item in device.news if item[1] in {"stuck", "recovered"}]


def test_it_is_stuck_at_the_end_of_its_grace_whenever_somebody_looks() -> None:
    for seconds in (1000, 1060, 90_000):
        device = followed((100, {RUNS: "backoff"}), (seconds, None))
        assert flags(device) == [("1000", "stuck", "m1", "wrong_status", "backoff")]
        assert device.module().clock.stuck_since == device.kept.at == after(1000)
        assert device.history[-1].duration == 900
        assert device.history[-1].change.evidence[-1].value == "backoff"


def test_any_look_flags_what_it_finds_away_and_says_what_it_was_then() -> None:
    device = followed((100, {RUNS: "backoff"}), (5000, {RUNS: "dead", **version(13), **taken(13)}))
    assert flags(device) == [("1000", "stuck", "m1", "wrong_status", "backoff")]
    stuck = next(item for item in device.history if item.change.kind is Kind.STUCK)
    assert (stuck.desired_version, stuck.change.since, stuck.change.evidence) == (12, after(100), ())
    assert device.module().verdict.reason == "dead"


def test_what_changes_at_the_end_of_its_grace_is_flagged_as_what_it_is_then() -> None:
    device = followed((100, {RUNS: "backoff"}), (1000, {RUNS: "dead"}))
    assert flags(device) == [("1000", "stuck", "m1", "wrong_status", "dead")]


def test_an_extra_module_is_not_flagged_while_its_agent_is_stopped() -> None:
    device = followed((100, {"reported.modules.m2": SECOND}), (200, STOPPING), (5000, None))
    assert flags(device) == [("1100", "stuck", "", "agent_unavailable", "agent_stopped")]


def test_nothing_is_flagged_before_its_time_and_nothing_twice() -> None:
    assert flags(followed((100, {RUNS: "backoff"}), (999.9, None))) == []
    assert len(flags(followed((100, {RUNS: "backoff"}), (1000, None), (5000, None), (6000, {RUNS: "dead"})))) == 1


def test_what_is_away_only_at_the_first_look_is_flagged_by_the_next() -> None:
    device = Device()
    device.look(90_000, {RUNS: "backoff"}, at=0)
    assert device.due == after(900)
    device.look(90_060)
    assert flags(device) == [("900", "stuck", "m1", "wrong_status", "backoff")]


def test_what_looks_settled_and_waits_for_its_clock_is_not_flagged() -> None:
    device = followed((100, {RUNS: "backoff"}), (900, {RUNS: "running"}), (1200, None))
    assert flags(device) == []
    assert device.due == after(1500)


def test_what_leaves_again_with_its_grace_over_is_flagged_by_that_look_at_the_time_of_that_leave() -> None:
    device = followed((100, {RUNS: "backoff"}), (900, {RUNS: "running"}), (1200, None))
    device.look(1350, {RUNS: "backoff"}, at=1300)
    assert flags(device) == [("1300", "stuck", "m1", "wrong_status", "backoff")]
    assert device.module().clock.stuck_since == device.history[-1].change.stuck_at == after(1300)


def test_it_recovers_before_it_is_settled_when_its_clock_ends() -> None:
    device = followed((100, {RUNS: "backoff"}), (1000, None), (1100, {RUNS: "running"}), (9000, None))
    assert device.news_of("m1")[-2:] == [
        ("1700", "recovered", "settled", "as_desired"),
        ("1700", "module", "settled", "as_desired"),
    ]
    assert device.history[-3].duration == 1600
    assert device.due is None


def test_a_crash_loop_is_flagged_once_and_never_recovers_between_two_crashes() -> None:
    device = followed()
    for crash in range(60, 20_000, 360):
        device.crash(crash, back=60)
        device.look(crash + 359)
    assert flags(device) == [("1140", "stuck", "m1", "wrong_status", "backoff")]


def test_a_new_version_that_changes_what_was_stuck_clears_it() -> None:
    device = followed(
        (100, {RUNS: "backoff"}),
        (1000, None),
        (1100, {**version(13), f"{ASKED}.settings.image": "registry.example/m1:2.0"}),
    )
    assert flags(device)[1:] == [("1100", "recovered", "m1", "pending", "waiting_for_device")]
    assert not device.module().clock.is_stuck


def test_a_device_that_is_off_has_one_flag_on_itself_and_none_on_its_modules() -> None:
    device = followed((100, {**version(13), f"{ASKED}.settings.image": "registry.example/m1:2.0"}))
    for second in range(200, 20_000, 600):
        device.look(second)
    assert flags(device) == [("1000", "stuck", "", "pending", "waiting_for_device")]
    device.look(30_000, version(14))
    assert flags(device)[1:] == [("30000", "recovered", "", "pending", "waiting_for_device")]
    assert device.kept.clock.stuck_at == after(30_900)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({f"{STATUS}.code": 400}, "config_rejected"),
        ({f"{STATUS}.code": 412}, "schema_version_rejected"),
    ],
)
def test_a_rejected_deployment_is_stuck_after_two_minutes(changes: dict[str, object], reason: str) -> None:
    assert flags(followed((100, changes), (5000, None))) == [("220", "stuck", "", "invalid", reason)]


def test_what_only_a_person_can_change_is_stuck_two_minutes_after_it_was_first_so_whatever_its_label_says() -> None:
    device = followed((100, {MODULE: GONE, f"{ASKED}.settings.createOptions": LABEL}), (300, REFUSED), (500, None))
    assert flags(device) == [("420", "stuck", "m1", "missing", "registry_refused")]
    clock = device.module().clock
    assert (clock.grace, clock.grace_source, clock.hopeless_since) == (timedelta(minutes=2), "hopeless", after(300))


def test_a_grace_by_reason_wins_over_the_label_and_over_what_is_hopeless() -> None:
    rejected = GracePolicy(periods={"reason:config_rejected": timedelta(hours=1)})
    assert followed((100, {f"{STATUS}.code": 400}), policy=rejected).kept.clock.stuck_at == after(100 + 3600)
    policy = GracePolicy(periods={"reason:registry_refused": timedelta(minutes=30)})
    device = followed(
        (100, {MODULE: GONE, f"{ASKED}.settings.createOptions": LABEL, **REFUSED}), (2000, None), policy=policy
    )
    assert flags(device) == [("1900", "stuck", "m1", "missing", "registry_refused")]
    assert device.module().clock.grace_source == "reason:registry_refused"


def test_the_grace_is_that_of_the_label_else_of_the_name_else_the_default() -> None:
    policy = GracePolicy(periods={"m1": timedelta(minutes=30), "$edgeAgent": timedelta(hours=2)})
    named = followed((0, {RUNS: "backoff", **OLD_AGENT}), (8000, None), policy=policy)
    assert [(item[0], item[2]) for item in flags(named)] == [("1800", "m1"), ("7200", "")]
    assert named.module().clock.grace_source == "m1"
    labelled = Device(policy)
    labelled.look(0, {RUNS: "backoff", f"{ASKED}.settings.createOptions": LABEL})
    assert labelled.module().clock.grace_source == "label"
    labelled.look(8000)
    assert [item[0] for item in flags(labelled)] == ["3600"]
    by_image = GracePolicy(
        periods={"registry.example/m": timedelta(hours=1), "registry.example/agent": timedelta(hours=2)}
    )
    prefixed = followed((0, {RUNS: "backoff", **OLD_AGENT}), policy=by_image)
    assert prefixed.module().clock.grace_source == "registry.example/m"
    assert prefixed.kept.clock.grace_source == "registry.example/agent"
    assert followed((0, {RUNS: "backoff"})).module().clock.grace_source == "default"


def test_a_label_on_the_agent_is_the_grace_of_the_device() -> None:
    path = "desired.systemModules.edgeAgent.settings.createOptions"
    assert followed((0, {path: LABEL, f"{STATUS}.code": 417})).kept.clock.stuck_at == after(3600)
    without = {"desired.systemModules.edgeAgent": GONE, AGENT: GONE, f"{STATUS}.code": 417}
    assert followed((0, without)).kept.clock.stuck_at == after(900)


def test_a_grace_that_grows_clears_no_flag_and_one_that_shrinks_sets_it_at_the_next_look() -> None:
    device = looked_at((0, {RUNS: "backoff"}), (1000, None), policy=GracePolicy(default=timedelta(hours=1)))
    device.policy = GracePolicy(default=timedelta(minutes=5))
    device.look(1001)
    device.policy = GracePolicy(default=timedelta(hours=1))
    device.look(1002)
    assert flags(device) == [("300", "stuck", "m1", "wrong_status", "backoff")]


def test_a_module_keeps_the_reason_of_its_last_failed_step_though_later_reports_name_others_or_none() -> None:
    m2 = {"desired.modules.m2": SECOND}
    device = followed((100, {MODULE: GONE, **m2, **PULL_FAILED}), (200, OTHER_FAILED), (300, SUCCESS), (2000, None))
    verdict = device.module().verdict
    assert (verdict.reason, verdict.cause) == ("pull_failed", "pull_failed: m1, registry.example/m1:1.0")
    assert device.module("m2").verdict.reason == "registry_refused"
    assert flags(device) == [
        ("320", "stuck", "m2", "missing", "registry_refused"),
        ("1000", "stuck", "m1", "missing", "pull_failed"),
    ]


def test_what_is_stuck_and_looks_settled_keeps_its_cause_until_its_window_has_ended() -> None:
    cause = "backoff: m1, registry.example/m1:1.0, exit code 0"
    device = followed((0, {RUNS: "backoff"}), (1000, None), (1100, {RUNS: "running"}))
    assert (device.module().verdict.state, device.module().verdict.cause) == ("settled", cause)
    assert device.kept.verdict.cause is None
    device.look(2000)
    assert device.module().verdict.cause is None
    assert [(item.change.kind, item.change.cause) for item in device.history[1:]] == [
        ("module", cause),
        ("device", cause),
        ("stuck", cause),
        ("recovered", None),
        ("module", None),
        ("device", None),
    ]


def test_a_device_that_is_stuck_and_looks_successful_keeps_its_cause_until_its_window_has_ended() -> None:
    device = followed((0, {f"{STATUS}.code": 418}), (1000, None), (1100, SUCCESS))
    assert (device.kept.verdict.state, device.kept.verdict.cause) == ("successful", "unknown_code")
    device.look(3000)
    assert device.kept.verdict.cause is None
    assert {item.change.cause for item in device.history if item.change.to_state == "successful"} == {None}


def test_what_is_stuck_and_fails_in_another_way_has_the_cause_of_now() -> None:
    device = followed((0, {RUNS: "backoff"}), (1000, None), (1100, {RUNS: "dead"}))
    assert device.module().verdict.cause == "dead: m1, registry.example/m1:1.0, exit code 0"
    rejected = followed((0, {f"{STATUS}.code": 400}), (1000, None), (1100, {f"{STATUS}.code": 418}))
    assert (rejected.kept.clock.is_stuck, rejected.kept.verdict.cause) == (True, "unknown_code")


def test_a_step_that_failed_in_another_version_gives_no_reason() -> None:
    device = followed((100, {MODULE: GONE, **PULL_FAILED}), (200, {**version(13), **taken(13), **SUCCESS}))
    assert device.module().verdict.reason == "settling"


def test_a_module_for_which_no_step_ever_failed_is_skipped_when_it_gets_stuck_and_as_long_as_it_is() -> None:
    device = followed((100, {MODULE: GONE}), (1000, None))
    verdict = device.module().verdict
    assert (verdict.reason, verdict.cause) == ("skipped", "skipped: m1, registry.example/m1:1.0")
    assert "Restart iotedge" in verdict.message
    device.look(1100, {**version(13), **taken(13)})
    assert device.module().verdict.reason == "skipped"
    device.look(1200, STOPPING)
    device.look(1300, STARTED)
    assert device.module().verdict.reason == "skipped"
    device.look(1400, PULL_FAILED)
    assert device.module().verdict.reason == "pull_failed"
    assert flags(device) == [("1000", "stuck", "m1", "missing", "skipped")]


def test_an_agent_that_does_not_update_itself_is_not_updated_once_it_is_stuck() -> None:
    device = followed((100, OLD_AGENT), (1000, None))
    assert flags(device) == [("1000", "stuck", "", "in_progress", "agent_not_updated")]
    device.look(1100, {RUNS: "backoff"})
    assert device.kept.verdict.reason == "agent_not_updated"
    device.look(1200, {**version(13), **taken(13)})
    assert device.kept.verdict.reason == "agent_updating"


def test_a_device_that_was_stuck_and_waits_for_a_module_alone_has_the_reason_of_what_is_away() -> None:
    device = followed((100, version(13)), (1100, None), (1200, {**taken(13), MODULE: GONE}))
    assert device.kept.clock.is_stuck
    assert device.kept.verdict.reason == "settling"
    device.look(1300)
    assert [(kind, name, reason) for _, kind, name, _, reason in flags(device)] == [
        ("stuck", "", "waiting_for_device"),
        ("recovered", "", "settling"),
    ]


def test_a_reason_that_this_release_does_not_know_is_the_last_of_those_that_a_device_can_have() -> None:
    device = followed((100, {MODULE: GONE, "desired.modules.m2": SECOND}), (200, None))
    strange = replace(device.module(), verdict=replace(device.module().verdict, reason="of_tomorrow"))
    device.record = replace(device.kept, modules={**device.kept.modules, "m1": strange})
    device.look(1000)
    assert device.news_of("") == [("1000", "device", "in_progress", "skipped")]
    assert [item[4] for item in flags(device)] == ["of_tomorrow", "skipped"]


def unverified(device: Device, seconds: float) -> list[tuple[str, ...]]:
    """What is flagged while IoT Hub does not answer."""
    device.record, transitions = flag_unverified(device.kept, after(seconds))
    device.history += transitions
    times = [str(round((item.at - after(0)).total_seconds())) for item in transitions]
    return [(time, *item) for time, item in zip(times, lines(transitions), strict=True)]


def test_what_is_due_while_the_hub_does_not_answer_is_flagged_as_unverified_and_stays_due() -> None:
    device = followed((100, {RUNS: "backoff"}))
    assert unverified(device, 999) == []
    assert unverified(device, 1000) == [("1000", "stuck", "m1", "wrong_status", "backoff_unverified")]
    assert (device.history[-1].desired_version, device.history[-1].deployments) == (12, ("at-scale1",))
    change = device.history[-1].change
    assert change.message.startswith("IoT Hub did not answer; as last seen: ")
    assert change.evidence == ()
    assert device.due == after(1000)
    assert unverified(device, 2000) == []


def test_a_look_that_can_be_taken_later_gives_the_reason_again_and_announces_nothing_more() -> None:
    device = followed((100, {RUNS: "backoff"}))
    unverified(device, 1200)
    assert device.look(1300) == []
    assert device.module().verdict.reason == "backoff"
    assert device.due is None


def test_a_reason_in_doubt_is_still_that_of_the_last_failed_step() -> None:
    device = followed((100, {MODULE: GONE, **PULL_FAILED}))
    before = device.module().verdict
    unverified(device, 1200)
    device.look(1300, SUCCESS)
    after_it = device.module().verdict
    assert (after_it.reason, after_it.message) == ("pull_failed", before.message)


def test_what_was_left_out_is_skipped_though_the_hub_does_not_answer() -> None:
    device = followed((100, {MODULE: GONE}))
    assert unverified(device, 1200) == [("1000", "stuck", "m1", "missing", "skipped_unverified")]
    device.look(1300)
    assert device.module().verdict.reason == "skipped"


def test_what_was_stored_without_a_cause_is_flagged_without_one() -> None:
    device = followed((100, {MODULE: GONE}))
    bare = replace(device.module(), verdict=replace(device.module().verdict, cause=None))
    device.record = replace(device.kept, modules={**device.kept.modules, "m1": bare})
    assert unverified(device, 1200) == [("1000", "stuck", "m1", "missing", "skipped_unverified")]
    assert device.history[-1].change.cause is None


def test_what_nobody_manages_is_flagged_though_the_hub_does_not_answer() -> None:
    device = followed((100, {f"{STATUS}.code": 400}), (200, {RUNS: "failed", f"{MODULE}.exitCode": 1}))
    assert unverified(device, 1200) == [
        ("1100", "stuck", "m1", "wrong_status", "unmanaged_unverified"),
        ("1100", "stuck", "", "invalid", "config_rejected_unverified"),
    ]


def test_a_module_that_is_only_reported_is_not_flagged_while_neither_agent_nor_hub_answers() -> None:
    device = followed((100, {"reported.modules.m2": SECOND}), (200, STOPPING))
    assert unverified(device, 5000) == [("1100", "stuck", "", "agent_unavailable", "agent_stopped_unverified")]


def test_no_clock_ends_while_the_hub_does_not_answer_and_nothing_that_looked_settled_is_flagged() -> None:
    device = followed((100, {RUNS: "backoff"}), (1000, None), (1100, {RUNS: "running"}))
    before: DeviceRecord = device.kept
    assert unverified(device, 90_000) == []
    assert device.kept == before


def test_a_device_that_is_unverified_is_flagged_itself_and_not_its_modules() -> None:
    device = followed((100, {**version(13), f"{ASKED}.settings.image": "registry.example/m1:2.0"}))
    assert unverified(device, 1200) == [("1000", "stuck", "", "pending", "waiting_for_device_unverified")]
    assert device.due == after(1000)


def test_flags_without_a_look_are_in_the_order_of_their_times_and_the_device_is_last() -> None:
    policy = GracePolicy(default=timedelta(minutes=5), periods={"m1": timedelta(minutes=20)})
    device = followed((0, {RUNS: "backoff", "desired.modules.m2": SECOND, f"{STATUS}.code": 418}), policy=policy)
    assert unverified(device, 5000) == [
        ("300", "stuck", "m2", "missing", "skipped_unverified"),
        ("1200", "stuck", "m1", "wrong_status", "backoff_unverified"),
        ("1200", "stuck", "", "unclassified", "unknown_code_unverified"),
    ]
    assert [item.sequence for item in device.history] == list(range(1, len(device.history) + 1))
    assert (device.kept.sequence, device.kept.at) == (len(device.history), after(1200))
    assert device.kept.clock.stuck_since == after(300)


def test_what_does_not_lag_is_flagged_without_a_look_beside_modules_that_do() -> None:
    device = followed(policy=GracePolicy(default=timedelta(seconds=30)))
    device.look(100, {f"{STATUS}.code": 418, RUNS: "backoff"}, lags=True)
    assert unverified(device, 140) == [("130", "stuck", "", "unclassified", "unknown_code_unverified")]


def test_a_lagging_report_counts_without_a_look_once_no_other_has_come_in_time() -> None:
    device = followed(
        (100, {**version(13), f"{ASKED}.settings.image": "registry.example/m1:2.0"}),
        policy=GracePolicy(default=timedelta(seconds=30), periods={"$edgeHub": timedelta(hours=1)}),
    )
    device.look(105, {**taken(13), COUNT: 0}, lags=True)
    assert unverified(device, 150) == []
    assert unverified(device, 165) == [("130", "stuck", "m1", "updating", "skipped_unverified")]
