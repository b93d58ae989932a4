"""What is news: what is not as desired at once and once, and what is as desired when its clocks have ended."""

import pytest
from device import COUNT, RUNS, SECOND, STARTED, Device, after, followed, taken, version
from twins import ASKED, GONE, MODULE, STATUS, STOPPING

from status_core import News

GAVE_UP = {RUNS: "failed", COUNT: 20, f"{MODULE}.exitCode": 1}
NAMED = {
    f"{STATUS}.code": 500,
    f"{STATUS}.description": 'Error calling Create module m1: registry operation error: pull image "x"',
}
UNNAMED = {f"{STATUS}.code": 500, f"{STATUS}.description": "Failed to execute ExecutionPrerequisite command"}
STOP_FAILED = {
    f"{STATUS}.code": 500,
    f"{STATUS}.description": "Error calling stop module old: No such container: old",
}


def asked(number: int, image: str = "registry.example/m1:2.0") -> dict[str, object]:
    return {**version(number), f"{ASKED}.settings.image": image}


def has(image: str) -> dict[str, object]:
    return {f"{MODULE}.settings.image": image}


def test_what_is_not_as_desired_is_news_at_once() -> None:
    device = followed((100, {RUNS: "backoff"}))
    assert device.news == [
        ("100", "module", "m1", "wrong_status", "backoff"),
        ("100", "device", "", "module_failed", "backoff"),
    ]


def test_each_state_is_news_once_until_all_is_well_again() -> None:
    device = followed(*((100 + 50 * turn, {RUNS: word}) for turn, word in enumerate(["backoff", "running"] * 5)))
    assert [item[0] for item in device.news] == ["100", "100"]
    device.look(2000)
    device.look(9000, {RUNS: "backoff"})
    assert device.news_of("m1")[1:] == [
        ("1150", "module", "settled", "as_desired"),
        ("9000", "module", "wrong_status", "backoff"),
    ]


def test_a_device_whose_runtime_flaps_announces_each_state_once() -> None:
    unreachable = {
        f"{STATUS}.code": 500,
        f"{STATUS}.description": "Error calling List modules: runtime operation error: list modules",
    }
    changes = [unreachable, STOPPING, STARTED, unreachable, STARTED, STOPPING, unreachable]
    device = followed(*((100 + 60 * turn, change) for turn, change in enumerate(changes)))
    assert device.news == [
        ("100", "device", "", "in_progress", "runtime_unreachable"),
        ("160", "device", "", "agent_unavailable", "agent_stopped"),
    ]


def test_a_new_version_restarts_the_news_of_the_device_and_of_the_modules_that_it_changes() -> None:
    device = followed(
        (100, {RUNS: "backoff", "desired.modules.m2": SECOND, "reported.modules.m2": {**SECOND, RUNS: "dead"}}),
        (200, asked(13)),
        (210, {**taken(13), **has("registry.example/m1:2.0")}),
    )
    assert device.news_of("m1") == [
        ("100", "module", "wrong_status", "backoff"),
        ("210", "module", "wrong_status", "backoff"),
    ]
    assert [item[0] for item in device.news_of("m2")] == ["100"]
    assert [item[2] for item in device.news_of("")] == ["module_failed", "pending", "module_failed"]


def test_the_first_reason_that_only_a_person_can_change_is_news_too() -> None:
    device = followed((100, {RUNS: "backoff"}), (200, GAVE_UP), (300, {RUNS: "dead"}), (400, GAVE_UP))
    assert device.news == [
        ("100", "module", "m1", "wrong_status", "backoff"),
        ("100", "device", "", "module_failed", "backoff"),
        ("200", "module", "m1", "wrong_status", "gave_up"),
        ("200", "device", "", "module_failed", "gave_up"),
        ("320", "stuck", "m1", "wrong_status", "dead"),
    ]


def test_a_module_is_settled_at_the_end_of_its_window_since_the_beginning_of_the_state() -> None:
    device = followed((100, {RUNS: "backoff"}), (150, {RUNS: "running"}), (2000, None))
    settled = device.history[-2]
    assert (settled.change.to_state, settled.at, settled.change.since) == ("settled", after(750), after(150))
    assert (settled.change.from_state, settled.change.previous_since) == ("wrong_status", after(100))


def test_a_device_is_successful_when_its_own_clock_and_those_of_all_its_modules_have_ended() -> None:
    device = followed(
        (100, {**asked(13), "desired.modules.m2": SECOND, "reported.modules.m2": SECOND}),
        (200, {**taken(13), **has("registry.example/m1:2.0"), RUNS: "backoff"}),
        (210, {RUNS: "running"}),
        (500, None),
    )
    m2 = {**SECOND, "runtimeStatus": "running"}
    device.look(600, {"reported.modules.m2": m2})
    device.look(2000)
    assert device.news_of("")[-1] == ("1200", "device", "successful", "as_desired")
    assert device.news_of("m1")[-1] == ("810", "module", "settled", "as_desired")


def test_a_device_is_successful_at_once_where_a_new_version_removes_the_module_that_it_waits_for() -> None:
    device = followed(
        (100, {RUNS: "backoff"}),
        (200, {RUNS: "running"}),
        (300, {ASKED: GONE, MODULE: GONE, **version(13), **taken(13)}),
    )
    assert device.news_of("") == [
        ("100", "device", "module_failed", "backoff"),
        ("300", "device", "successful", "as_desired"),
    ]


def test_an_extra_module_holds_nothing_back_and_has_its_own_clock() -> None:
    device = followed(
        (100, version(13)), (200, {**taken(13), "reported.modules.old": {"runtimeStatus": "running"}}), (2000, None)
    )
    assert device.news == [
        ("100", "device", "", "pending", "waiting_for_device"),
        ("260", "device", "", "successful", "as_desired"),
        ("1100", "stuck", "old", "extra", "not_desired"),
    ]


def test_an_extra_module_that_is_stuck_gives_the_device_no_news() -> None:
    device = followed(
        (100, {"reported.modules.old": {"runtimeStatus": "running"}}), (2000, None), (2100, {MODULE: GONE})
    )
    assert device.news_of("") == []


def test_what_follows_from_the_version_alone_is_the_devices_news() -> None:
    device = followed(
        (100, asked(13)),
        (200, taken(13)),
        (300, {MODULE: GONE}),
    )
    assert device.news == [("100", "device", "", "pending", "waiting_for_device")]


def test_modules_that_nobody_can_see_are_the_devices_news() -> None:
    assert followed((100, STOPPING)).news == [("100", "device", "", "agent_unavailable", "agent_stopped")]


@pytest.mark.parametrize("failure", [NAMED, UNNAMED])
def test_a_reason_of_the_agents_makes_a_missing_module_news(failure: dict[str, object]) -> None:
    device = followed((100, {MODULE: GONE, **failure}))
    assert device.news_of("m1") == [("100", "module", "missing", "pull_failed")]


def test_an_extra_module_that_the_agent_cannot_stop_is_news() -> None:
    device = followed((100, {"reported.modules.old": {"runtimeStatus": "running"}, **STOP_FAILED}))
    assert device.news_of("old") == [("100", "module", "extra", "stop_failed")]


def test_a_device_that_only_settles_is_news_once_a_module_is_stuck_and_has_its_reason() -> None:
    device = followed((100, {MODULE: GONE}), (999, None))
    assert device.news == []
    device.look(1060)
    assert device.news == [
        ("1000", "device", "", "in_progress", "skipped"),
        ("1000", "stuck", "m1", "missing", "skipped"),
    ]
    assert {item.change.cause for item in device.history[1:]} == {"skipped: m1, registry.example/m1:1.0"}
    assert {item.change.message for item in device.history[1:]} == {device.module().verdict.message}
    assert device.look(2000, {COUNT: 1}) == []


def test_a_device_that_only_settles_has_the_gravest_reason_of_what_is_stuck_and_away() -> None:
    device = followed((100, {RUNS: "backoff"}), (1000, None), (1100, {RUNS: "running", "desired.modules.m2": SECOND}))
    assert device.news_of("") == [("100", "device", "module_failed", "backoff")]
    device.look(3000)
    assert device.news_of("")[-1] == ("2000", "device", "in_progress", "skipped")


def test_without_a_deployment_the_device_is_news_at_once_and_its_clock_is_off() -> None:
    device = followed((100, {RUNS: "backoff", f"{MODULE}.status": "stopped"}), (200, {"desired": {"$version": 13}}))
    assert device.news_of("")[-1] == ("200", "device", "no_deployment", "nothing_desired")
    assert not device.kept.clock.is_running
    device.look(5000)
    assert device.news_of("")[-1][0] == "200"


def test_transitions_chain_by_what_was_announced_and_recoveries_leave_it() -> None:
    device = followed((100, {RUNS: "backoff"}), (1000, None), (1100, {RUNS: "running"}), (2000, None))
    module = [item for item in device.history if item.change.module == "m1"]
    assert [(item.change.kind, item.change.from_state, item.change.to_state) for item in module] == [
        ("module", "settled", "wrong_status"),
        ("stuck", "wrong_status", "wrong_status"),
        ("recovered", "settled", "settled"),
        ("module", "wrong_status", "settled"),
    ]
    assert module[2].at == module[3].at == after(1700)
    assert device.module().news == News("settled", after(1100))


def test_at_the_first_look_the_news_of_a_module_counts_as_announced_and_else_it_is_settled() -> None:
    device = Device()
    device.look(0, {RUNS: "backoff", "desired.modules.m2": SECOND})
    assert device.module("m1").news == News("wrong_status", after(0), ("wrong_status",))
    assert device.module("m2").news == News("settled", after(0))
    device.look(100, {RUNS: "dead"})
    assert device.news == []
    device.look(200, {RUNS: "running", "reported.modules.m2": {**SECOND, "runtimeStatus": "running"}})
    device.look(900)
    assert device.news == [
        ("800", "module", "m1", "settled", "as_desired"),
        ("800", "device", "", "successful", "as_desired"),
    ]


def test_a_module_that_comes_later_begins_as_settled_and_goes_without_a_word() -> None:
    device = followed((100, {"desired.modules.m2": SECOND}))
    assert device.module("m2").news == News("settled", after(100))
    device.look(200, {"desired.modules.m2": GONE})
    assert device.news == []
    assert "m2" not in device.kept.modules


def test_the_removal_of_a_module_is_news_where_something_else_was_announced_of_it() -> None:
    device = followed((100, {RUNS: "backoff"}), (1000, None), (1100, {ASKED: GONE, MODULE: GONE}))
    assert device.news_of("m1") == [
        ("100", "module", "wrong_status", "backoff"),
        ("1000", "stuck", "wrong_status", "backoff"),
        ("1100", "recovered", "wrong_status", "removed"),
        ("1100", "module", "", "removed"),
    ]
    assert device.news_of("")[-1] == ("1100", "device", "successful", "as_desired")
    assert device.due is None
    recovered, removed = (item.change for item in device.history if item.change.reason == "removed")
    for change in (recovered, removed):
        assert (change.message, change.evidence) == ("The module is neither desired nor reported any more.", ())
    assert (removed.from_state, removed.previous_since, removed.since) == ("wrong_status", after(100), after(1100))


def test_a_removal_is_announced_under_the_version_that_removes_it() -> None:
    device = followed((100, {RUNS: "backoff"}), (200, {ASKED: GONE, MODULE: GONE, **version(13), **taken(13)}))
    removed = next(item for item in device.history if item.change.reason == "removed")
    assert removed.desired_version == 13


def test_a_window_that_was_over_before_a_change_is_announced_before_it() -> None:
    device = followed((100, {RUNS: "backoff"}), (110, {RUNS: "running"}), (5000, {RUNS: "dead"}))
    assert device.news == [
        ("100", "module", "m1", "wrong_status", "backoff"),
        ("100", "device", "", "module_failed", "backoff"),
        ("710", "module", "m1", "settled", "as_desired"),
        ("710", "device", "", "successful", "as_desired"),
        ("5000", "module", "m1", "wrong_status", "dead"),
        ("5000", "device", "", "module_failed", "dead"),
    ]
    assert device.module().clock.unsettled_since == after(5000)


def test_a_device_is_not_successful_before_it_was_so() -> None:
    device = followed(
        (100, {RUNS: "backoff", "desired.modules.m2": SECOND, "reported.modules.m2": {**SECOND, RUNS: "dead"}}),
        (150, {RUNS: "running"}),
        (900, {"desired.modules.m2": GONE, "reported.modules.m2": GONE}),
    )
    assert device.news_of("m1")[-1] == ("750", "module", "settled", "as_desired")
    assert device.news_of("")[-1] == ("900", "device", "successful", "as_desired")


def test_a_device_that_was_successful_to_the_end_of_a_window_says_so_though_another_began_since() -> None:
    other = {**SECOND, "runtimeStatus": "running", "restartCount": 0}
    device = followed(
        (10, {"desired.modules.m2": SECOND, "reported.modules.m2": other}),
        (100, {RUNS: "backoff"}),
        (110, {RUNS: "running"}),
        (800, {"reported.modules.m2": {**other, "restartCount": 1}}),
    )
    assert device.news_of("")[-1] == ("710", "device", "successful", "as_desired")
    assert device.module("m2").clock.is_running
