"""From one look at a device to the next: sequence, times, versions, clocks of modules and of the device, deadlines."""

from dataclasses import replace
from datetime import timedelta

import pytest
from device import (
    COUNT,
    HOUR,
    RUNS,
    SECOND,
    STARTED,
    T0,
    Device,
    after,
    followed,
    lines,
    looked_at,
    taken,
    version,
)
from twins import AGENT, ASKED, GONE, MODULE, STATUS, STOPPING, judged

from status_core import GracePolicy, Kind, State, advance, deletion

OTHER_IMAGE = {f"{ASKED}.settings.image": "registry.example/m1:2.0"}


def test_the_first_look_writes_its_rows_and_one_transition_the_devices() -> None:
    device = Device()
    assert device.look(0, {RUNS: "backoff"}) == [("device", "", "module_failed", "backoff")]
    (initial,) = device.history
    assert (initial.sequence, initial.at, initial.duration) == (1, T0, 0.0)
    assert (initial.change.is_initial, initial.change.from_state) == (True, "")
    assert sorted(device.kept.modules) == ["$edgeHub", "m1"]
    assert (device.kept.sequence, device.kept.since, device.kept.observed) == (1, T0, T0)


def test_a_first_look_goes_on_after_an_earlier_life_of_the_device() -> None:
    end = after(60)
    record, transitions = advance(None, judged(), after(90), GracePolicy(), last_sequence=41, last_at=end)
    assert [(item.sequence, item.at) for item in transitions] == [(42, end)]
    assert (record.sequence, record.at, record.since) == (42, end, end)


@pytest.mark.parametrize("changes", [{}, {RUNS: "backoff"}, taken(11), STOPPING, {MODULE: GONE}])
def test_a_look_at_the_same_twin_announces_nothing_and_keeps_the_record_but_for_its_own_time(
    changes: dict[str, object],
) -> None:
    device = Device()
    device.look(0, changes)
    before = device.kept
    assert device.look(100) == []
    assert device.kept == replace(before, observed=after(100))


def test_a_change_is_announced_with_the_time_in_the_state_that_was_left() -> None:
    device = followed((90, {RUNS: "backoff"}))
    module, whole = device.history[1:]
    assert [(item.sequence, item.duration, item.at) for item in (module, whole)] == [
        (2, 90.0, after(90)),
        (3, 90.0, after(90)),
    ]
    assert module.change.evidence[-1].value == "backoff"
    assert whole.change.evidence == device.status.evidence
    assert (module.desired_version, module.deployments) == (12, ("at-scale1",))
    assert device.module().since == after(90)
    assert device.module("$edgeHub").since == T0


def test_a_transition_says_the_cause_the_deadline_the_restarts_and_the_image_hash_of_its_moment() -> None:
    device = looked_at(
        (0, {f"{MODULE}.settings.imageHash": "sha256:ab"}),
        (90, {RUNS: "backoff", COUNT: 3}),
        (90 + HOUR, None),
        (8000, {RUNS: "running", COUNT: 0}),
        (8600, None),
    )
    found = [
        (item.change.kind.value, item.change.cause, item.change.stuck_at, item.change.restart_count)
        for item in device.history
    ]
    cause, stuck_at = "backoff: m1, registry.example/m1:1.0, exit code 0", after(90 + 900)
    assert found == [
        ("device", None, None, None),
        ("module", cause, stuck_at, 3),
        ("device", cause, None, None),
        ("stuck", cause, stuck_at, 3),
        ("recovered", None, stuck_at, 0),
        ("module", None, None, 0),
        ("device", None, None, None),
    ]
    hashes = {(item.change.module, item.change.image_hash) for item in device.history}
    assert hashes == {("m1", "sha256:ab"), ("", None)}
    gone = deletion(device.kept, after(9000)).change
    assert (gone.cause, gone.stuck_at, gone.restart_count) == (None, None, None)


def test_times_never_run_back_whatever_the_hub_and_the_clock_of_the_app_say() -> None:
    device = Device()
    device.look(100, {})
    device.look(200, {RUNS: "backoff"}, at=50)
    device.look(90, {RUNS: "running"})
    device.look(300, {RUNS: "dead"}, at=90_000)
    device.look(9000)
    times = [item.at for item in device.history]
    assert times == sorted(times)
    assert device.module().clock.unsettled_since == after(100)
    assert all(item.duration >= 0 for item in device.history)


def test_a_change_has_the_time_of_the_hub_and_without_one_the_time_of_the_look() -> None:
    device = Device()
    device.look(60, {}, at=20)
    assert (device.kept.at, device.kept.since, device.kept.observed) == (after(20), after(20), after(60))
    without = {"desired.$metadata": GONE, "reported.$metadata": GONE}
    record, _ = advance(None, judged(without), T0, GracePolicy())
    assert record.at == T0


def test_another_reason_message_or_restart_count_never_restarts_a_clock() -> None:
    device = Device()
    device.look(0, {RUNS: "backoff"})
    for second, word in enumerate(["dead", "unhealthy", "backoff", "unknown"], 1):
        assert device.look(10 * second, {RUNS: word, COUNT: second}) == []
        assert device.module().verdict.runtime_status == word
    assert (device.module().verdict.reason, device.module().since, device.kept.since) == ("status_unknown", T0, T0)
    assert device.module().clock.unsettled_since == T0


def test_a_new_version_restarts_the_clock_of_the_device_and_of_modules_whose_image_or_status_changed() -> None:
    device = Device()
    m2 = {**SECOND, "settings": {"image": "m2:0"}}
    device.look(0, {"reported.modules.m2": m2, "desired.modules.m2": m2, RUNS: "backoff", **taken(11)})
    assert device.kept.clock.unsettled_since == T0
    device.look(100, {**version(13), "desired.modules.m2": SECOND})
    assert device.kept.clock.unsettled_since == after(100)
    assert device.module("m1").clock.unsettled_since == T0
    assert device.module("m2").clock.unsettled_since == after(100)
    device.look(200, {**version(14), f"{ASKED}.status": "stopped"})
    assert device.module("m1").clock.unsettled_since == after(200)
    assert device.module("m2").clock.unsettled_since == after(100)


def test_a_clock_that_ran_before_a_version_which_leaves_the_module_alone_goes_on() -> None:
    device = looked_at((0, {RUNS: "backoff"}), (100, version(13)))
    assert device.module().verdict.state == "pending"
    device.look(200, taken(13))
    assert device.module().clock.unsettled_since == T0


def test_what_ended_before_a_new_version_is_announced_under_the_version_before() -> None:
    device = followed((100, version(13)), (200, taken(13)), (900, version(14)))
    assert [(item.change.to_state, item.desired_version) for item in device.history[1:]] == [
        ("pending", 13),
        ("successful", 13),
        ("pending", 14),
    ]
    at_once = followed((100, version(13)), (200, taken(13)), (900, version(14) | taken(14)))
    assert [(item.at, item.change.to_state, item.desired_version) for item in at_once.history[2:]] == [
        (after(260), "successful", 13),
    ]


def test_a_module_that_was_settled_before_a_new_version_is_announced_under_the_version_before() -> None:
    device = followed()
    device.crash(100, back=10)
    device.look(900, version(13) | taken(13))
    settled = next(item for item in device.history if item.change.to_state == "settled")
    assert (settled.at, settled.desired_version) == (after(710), 12)


def test_a_recovery_before_a_change_is_announced_as_it_was_at_the_end_of_the_window() -> None:
    device = followed(
        (100, {RUNS: "backoff"}),
        (1000, None),
        (1100, {RUNS: "running"}),
        (9000, {RUNS: "dead", **version(13), **taken(13)}),
    )
    recovered, settled, successful = (item for item in device.history if item.at == after(1700))
    assert lines([recovered, settled, successful]) == [
        ("recovered", "m1", "settled", "as_desired"),
        ("module", "m1", "settled", "as_desired"),
        ("device", "", "successful", "as_desired"),
    ]
    for item in (recovered, settled):
        assert (item.desired_version, item.change.since, item.change.cause) == (12, after(1100), None)
    assert (recovered.change.stuck_at, settled.change.stuck_at) == (after(1000), None)


def test_a_recovery_that_a_look_sees_has_what_was_compared_in_it() -> None:
    device = looked_at((0, {RUNS: "backoff"}), (900, None), (1000, {RUNS: "running"}), (1600, None))
    recovered = next(item.change for item in device.history if item.change.kind is Kind.RECOVERED)
    assert recovered.evidence == device.status.modules["m1"].evidence
    later = looked_at(
        (0, {RUNS: "backoff"}),
        (900, None),
        (1000, {RUNS: "running"}),
        (1700, {"reported.systemModules.edgeHub.runtimeStatus": "backoff"}),
    )
    recovered = next(item.change for item in later.history if item.change.kind is Kind.RECOVERED)
    assert recovered.evidence == later.status.modules["m1"].evidence


@pytest.mark.parametrize("left", [1160, 3000])
def test_a_recovery_of_a_device_before_it_left_again_is_announced_as_it_was_at_the_end_of_the_window(left: int) -> None:
    device = looked_at(
        (0, {f"{STATUS}.code": 418}),
        (1000, None),
        (1100, {f"{STATUS}.code": 200}),
        (left, {f"{STATUS}.code": 418, **version(13), **taken(13)}),
    )
    assert device.news == [
        ("900", "stuck", "", "unclassified", "unknown_code"),
        ("1160", "recovered", "", "successful", "as_desired"),
        ("1160", "device", "", "successful", "as_desired"),
        (str(left), "device", "", "unclassified", "unknown_code"),
    ]
    for item in device.history[2:4]:
        assert (item.desired_version, item.change.since, item.change.evidence) == (12, after(1100), ())


def test_a_device_that_got_stuck_before_it_changed_is_flagged_as_it_was_then() -> None:
    device = looked_at((0, {f"{STATUS}.code": 418}), (1500, {f"{STATUS}.code": 500, f"{STATUS}.description": "no"}))
    assert device.news_of("")[0] == ("900", "stuck", "unclassified", "unknown_code")


def test_a_module_that_leaves_again_at_the_end_of_its_window_was_settled_until_then() -> None:
    device = followed()
    device.crash(100, back=10)
    device.look(710, {RUNS: "dead"})
    assert device.news_of("m1") == [
        ("100", "module", "wrong_status", "backoff"),
        ("710", "module", "settled", "as_desired"),
        ("710", "module", "wrong_status", "dead"),
    ]


def test_a_module_that_stops_as_desired_did_not_leave() -> None:
    device = followed(
        (100, {**version(13), f"{ASKED}.status": "stopped"}),
        (110, {RUNS: "failed", COUNT: 3, **taken(13)}),
        (170, None),
    )
    assert device.news == [
        ("100", "device", "", "pending", "waiting_for_device"),
        ("170", "device", "", "successful", "as_desired"),
    ]


def test_a_job_that_is_finished_did_not_leave() -> None:
    device = looked_at(
        (0, {f"{ASKED}.restartPolicy": "never"}), (100, {RUNS: "stopped", f"{MODULE}.exitCode": 0}), (5000, None)
    )
    assert device.news == []


def test_a_module_that_was_away_between_two_looks_is_cared_for_and_nothing_is_announced() -> None:
    device = looked_at((0, {COUNT: 0}), (100, {COUNT: 1}))
    assert device.due == after(700)
    device.look(700)
    assert device.news == []
    assert not device.module().clock.is_running


def test_a_count_of_which_nothing_was_known_before_starts_no_clock() -> None:
    device = looked_at(
        (0, {COUNT: 1}),
        (100, {MODULE: GONE, f"{STATUS}.code": 500, f"{AGENT}.type": "Unknown", "reported.modules": GONE}),
    )
    for key in (MODULE, "reported.modules", f"{AGENT}.type"):
        device.changes.pop(key)
    device.look(200, {f"{STATUS}.code": 200, COUNT: 1})
    assert not device.module().clock.is_running


def test_a_module_that_goes_with_a_new_version_did_not_leave_by_itself() -> None:
    device = followed((100, {**version(13), **taken(13), MODULE: GONE}))
    device.changes.pop(MODULE)
    device.look(200, {})
    assert device.due == after(260)
    by_itself = followed((100, {MODULE: GONE}))
    by_itself.changes.pop(MODULE)
    by_itself.look(200, {})
    assert by_itself.due == after(800)


def test_a_loop_of_any_rhythm_is_found() -> None:
    for runs in (45, 300, 1200, 3000):
        device = followed()
        for crash in range(100, 8 * HOUR, runs + 20):
            device.crash(crash, back=20)
            for second in range(crash + 20, crash + 20 + runs, 60):
                device.look(second)
        assert next(item for item in device.news_of("m1") if item[1] == "stuck")[2:] == ("wrong_status", "backoff")
        assert len(device.history) <= 22


def test_a_loop_that_was_mended_is_not_held_against_the_module_for_long() -> None:
    device = followed()
    device.crash(100, back=10)
    device.look(710)
    device.crash(1000, back=10)
    assert device.module().clock.window == timedelta(minutes=20)
    device.look(1010 + 1200)
    device.crash(2210 + HOUR + 1, back=10)
    assert device.module().clock.window == timedelta(minutes=10)


def test_a_module_of_which_no_report_spoke_for_its_grace_begins_its_clock_with_the_first_that_does() -> None:
    device = followed((100, version(13) | OTHER_IMAGE), (5000, None), (6000, taken(13)))
    assert device.module().clock.unsettled_since == after(6000)
    sooner = followed((100, version(13) | OTHER_IMAGE))
    sooner.look(5000, taken(13), at=600)
    assert sooner.module().clock.unsettled_since == after(100)


@pytest.mark.parametrize("ends", [1100, 2000])
def test_such_a_silence_makes_no_news_of_what_was_news_before(ends: int) -> None:
    device = followed((100, {RUNS: "backoff"}), (200, STOPPING), (ends, STARTED))
    assert device.module().clock.unsettled_since == after(ends)
    assert device.news_of("m1") == [("100", "module", "wrong_status", "backoff")]


def test_a_silence_begins_with_the_state_of_the_module_and_not_with_that_of_the_device() -> None:
    device = looked_at(
        (0, {MODULE: GONE}), (200, {f"{STATUS}.code": 500, f"{AGENT}.type": "Unknown", "reported.modules": GONE})
    )
    for key in ("reported.modules", f"{AGENT}.type"):
        device.changes.pop(key)
    device.look(1000, {f"{STATUS}.code": 200})
    assert device.module().clock.unsettled_since == T0


def test_a_short_silence_over_the_end_of_its_grace_does_not_restart_the_clock_of_a_crash_loop() -> None:
    device = followed((100, {RUNS: "backoff"}), (990, STOPPING), (1010, STARTED))
    assert device.module().clock.unsettled_since == after(100)
    assert ("1010", "stuck", "wrong_status", "backoff") in device.news_of("m1")
    left_over = looked_at((0, {"reported.modules.m2": SECOND}), (890, STOPPING), (910, STARTED))
    assert left_over.module("m2").clock.unsettled_since == T0


def test_a_module_that_was_stuck_before_its_agent_stopped_stays_so_when_the_agent_is_back() -> None:
    device = looked_at((0, {RUNS: "backoff"}), (900, None), (1000, STOPPING), (5000, None), (6000, STARTED))
    assert device.module().clock.stuck_since == after(900)


@pytest.mark.parametrize(
    "changes", [{f"{STATUS}.code": 400}, {f"{STATUS}.code": 417}, {"desired": {"$version": 13}, "configurations": {}}]
)
def test_no_clock_of_a_module_runs_while_nothing_is_managed(changes: dict[str, object]) -> None:
    device = looked_at((0, {RUNS: "backoff", f"{MODULE}.status": "stopped"}), (1000, None))
    assert device.module().clock.is_stuck
    device.look(1100, changes)
    assert not device.module().clock.is_running
    assert ("recovered", "m1") in [(item.change.kind, item.change.module) for item in device.history]


def test_an_unmanaged_module_has_its_clock_from_when_it_left() -> None:
    device = followed((100, {f"{STATUS}.code": 400}), (200, {RUNS: "failed", f"{MODULE}.exitCode": 1}))
    assert device.module().clock.unsettled_since == after(200)
    device.look(5000)
    assert device.news_of("m1") == [
        ("200", "module", "wrong_status", "unmanaged"),
        ("1100", "stuck", "wrong_status", "unmanaged"),
    ]


def test_a_module_that_is_well_again_while_nothing_is_managed_is_settled_with_the_next_deployment() -> None:
    device = followed(
        (100, {RUNS: "backoff"}), (200, {f"{STATUS}.code": 400, RUNS: "running"}), (300, {f"{STATUS}.code": 200})
    )
    assert device.news_of("m1") == [
        ("100", "module", "wrong_status", "backoff"),
        ("300", "module", "settled", "as_desired"),
    ]


def test_modules_that_are_unsettled_have_their_own_clocks_and_the_device_none() -> None:
    device = Device()
    device.look(0, {RUNS: "backoff", "desired.modules.m2": SECOND})
    assert device.kept.verdict.state == State.IN_PROGRESS
    device.look(5000)
    assert [item[:2] for item in device.news if item[1] == "stuck"] == [("900", "stuck"), ("900", "stuck")]
    assert not device.kept.clock.is_running


@pytest.mark.parametrize(
    "changes",
    [
        {f"{STATUS}.code": 500},
        {f"{STATUS}.code": 500, f"{AGENT}.type": "Unknown", "reported.modules": GONE},
        {f"{STATUS}.code": 418},
        {STATUS: GONE},
        {f"{AGENT}.settings.image": "registry.example/agent:1.4"},
    ],
)
def test_a_failure_that_no_module_shows_flags_the_device(changes: dict[str, object]) -> None:
    device = looked_at((0, changes), (5000, None))
    assert [(item.change.kind, item.change.module) for item in device.history] == [("device", ""), ("stuck", "")]


def test_the_device_is_due_when_the_first_of_its_clocks_is() -> None:
    device = followed(policy=GracePolicy(periods={"m2": timedelta(minutes=5)}))
    assert device.due is None
    device.look(10, {RUNS: "backoff"})
    assert device.due == after(910)
    device.look(20, {"desired.modules.m2": SECOND})
    assert device.due == after(320)
    device.look(30, {"desired.modules.m2": GONE, RUNS: "running"})
    assert device.due == after(630)


def test_what_a_module_is_while_no_report_speaks_of_it_is_not_due() -> None:
    device = followed((100, version(13) | OTHER_IMAGE), policy=GracePolicy(periods={"m1": timedelta(minutes=1)}))
    assert device.due == after(1000)


def test_a_deletion_is_the_last_transition_and_never_before_the_one_before() -> None:
    device = Device()
    device.look(0, {RUNS: "backoff"})
    last = deletion(device.kept, after(50))
    assert lines([last]) == [("deleted", "", "", "deleted")]
    assert (last.sequence, last.at, last.duration) == (2, after(50), 50.0)
    assert (last.change.message, last.change.evidence) == ("The device is no longer in the hub.", ())
    assert (last.change.previous_since, last.change.since) == (T0, after(50))
    assert (last.change.from_state, last.desired_version, last.deployments) == ("module_failed", 12, ("at-scale1",))
    assert deletion(device.kept, after(-50)).at == T0
