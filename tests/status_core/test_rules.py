"""The rules in their order, and the borders between them. V is 12 in the healthy twin."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twins import AGENT, ASKED, DESIRED_AT, GONE, MODULE, REPORTED_AT, STATUS, STOPPING, judged, twin_with

from status_core import Evidence, Flag, Portal, Reason, State
from status_core.rules import RULES
from status_core.twin import read_twin

EARLIER = {"reported.lastDesiredVersion": 11}
OTHER_IMAGE = {f"{MODULE}.settings.image": "registry.example/m1:0.9"}
CRASHED = {f"{MODULE}.runtimeStatus": "failed", f"{MODULE}.exitCode": 139}


def code(number: Any) -> dict[str, Any]:
    return {f"{STATUS}.code": number}


FIRST_TO_HOLD: dict[str, tuple[dict[str, Any], State, Reason]] = {
    "other_module": ({"moduleId": "$edgeHub", "desired": {}}, State.UNCLASSIFIED, Reason.NOT_EDGE_AGENT),
    "nothing_desired": (
        {"desired": {"$version": 12, "$metadata": {}}, **code(400)},
        State.NO_DEPLOYMENT,
        Reason.NOTHING_DESIRED,
    ),
    "rejected": ({**EARLIER, **code(400)}, State.INVALID, Reason.CONFIG_REJECTED),
    "version_not_taken": ({**EARLIER, **OTHER_IMAGE}, State.PENDING, Reason.WAITING_FOR_DEVICE),
    "agent_alive_without_a_result": (code(406), State.IN_PROGRESS, Reason.RETRYING),
    "agent_stopped": (STOPPING, State.AGENT_UNAVAILABLE, Reason.AGENT_STOPPED),
    "empty_reported": (code(417), State.EMPTY, Reason.EMPTY_REPORTED),
    "plan_failed": ({**code(500), **OTHER_IMAGE}, State.IN_PROGRESS, Reason.PLAN_FAILED),
    "status_missing": ({STATUS: GONE}, State.IN_PROGRESS, Reason.STATUS_MISSING),
    "images_outstanding": ({**OTHER_IMAGE, **CRASHED}, State.IN_PROGRESS, Reason.SETTLING),
    "wrong_status": (CRASHED, State.MODULE_FAILED, Reason.EXITED),
    "as_desired": ({}, State.SUCCESSFUL, Reason.AS_DESIRED),
    "unknown_code": (code(418), State.UNCLASSIFIED, Reason.UNKNOWN_CODE),
}


@pytest.mark.parametrize("rule", FIRST_TO_HOLD)
def test_each_rule_decides_where_it_is_the_first_that_holds(rule: str) -> None:
    changes, state, reason = FIRST_TO_HOLD[rule]
    status = judged(changes)
    assert (rule, state, reason) == (status.rule, status.state, status.reason)
    assert status.flags == ()
    assert status.evidence


def test_every_rule_has_an_example_in_the_order_of_the_rules() -> None:
    assert [*(rule.__name__ for rule in RULES), "unknown_code"] == list(FIRST_TO_HOLD)


@pytest.mark.parametrize("number", [200, 400, 406, 412, 417, 500])
def test_without_a_deployment_no_code_counts(number: int) -> None:
    for desired in ({"$version": 12}, {}, None, "text", [1]):
        assert judged({"desired": desired, **code(number)}).state is State.NO_DEPLOYMENT


def test_any_key_that_is_not_the_twins_own_makes_a_deployment() -> None:
    assert judged({"desired": {"schemaVersion": "1.1", "$version": 12}}).state is not State.NO_DEPLOYMENT


@pytest.mark.parametrize(("number", "reason"), [(400, Reason.CONFIG_REJECTED), (412, Reason.SCHEMA_VERSION_REJECTED)])
def test_a_rejection_of_this_version_is_invalid_whatever_its_times(number: int, reason: Reason) -> None:
    status = judged({**code(number), "reported.$metadata": GONE})
    assert (State.INVALID, reason) == (status.state, status.reason)


@pytest.mark.parametrize("number", [400, 412])
@pytest.mark.parametrize(("seconds", "state"), [(-1, State.PENDING), (0, State.INVALID), (1, State.INVALID)])
def test_a_rejection_with_another_version_counts_from_the_moment_the_hub_changed(
    number: int, seconds: int, state: State
) -> None:
    updated = (DESIRED_AT + timedelta(seconds=seconds)).isoformat()
    times = {"reported.$metadata.lastDesiredStatus.$lastUpdated": updated}
    assert judged({**EARLIER, **code(number), **times}).state is state
    never_taken = {"reported.lastDesiredVersion": GONE}
    assert judged({**never_taken, **code(number), **times}).state is state


@pytest.mark.parametrize(
    "missing",
    [
        "reported.$metadata",
        "reported.$metadata.lastDesiredStatus",
        "reported.$metadata.lastDesiredStatus.$lastUpdated",
        "desired.$metadata",
        "desired.$metadata.$lastUpdated",
    ],
)
def test_a_rejection_without_its_times_is_not_held_against_another_version(missing: str) -> None:
    assert judged({**EARLIER, **code(400), missing: GONE}).state is State.PENDING


FRESH = {"reported.$metadata.lastDesiredStatus.$lastUpdated": (DESIRED_AT + timedelta(seconds=1)).isoformat()}
STALE = {"reported.$metadata.lastDesiredStatus.$lastUpdated": (DESIRED_AT - timedelta(seconds=1)).isoformat()}
NEVER_TAKEN = {"reported.lastDesiredVersion": GONE}
OFFLINE = {"connectionState": "Disconnected"}
OTHER_AGENT = {f"{AGENT}.settings.image": "registry.example/agent:1.4"}


def text(description: str) -> dict[str, Any]:
    return {f"{STATUS}.description": description}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({**EARLIER, **OFFLINE, "reported.lastDesiredVersion": 13, **code(406)}, Reason.VERSION_REGRESSED),
        ({**EARLIER, **OFFLINE, **code(406), **FRESH}, Reason.AGENT_STOPPED),
        ({**EARLIER, **OFFLINE, **code(406), **FRESH, **OTHER_AGENT}, Reason.AGENT_UPDATING),
        ({**EARLIER, **OFFLINE, **code(406), **OTHER_AGENT, "reported.$metadata": GONE}, Reason.AGENT_UPDATING),
        ({**EARLIER, **OFFLINE, **code(406), **STALE, **OTHER_AGENT}, Reason.AGENT_STOPPED),
        ({**EARLIER, **OFFLINE, **code(406), **FRESH, AGENT: GONE}, Reason.AGENT_STOPPED),
        ({**EARLIER, **OFFLINE, **code(406), **FRESH, "desired.systemModules.edgeAgent": GONE}, Reason.AGENT_STOPPED),
        ({**EARLIER, **OFFLINE, **code(417), **FRESH}, Reason.EMPTY_REPORTED),
        ({**EARLIER, **OFFLINE, **code(500), **FRESH, **text("A task was canceled.")}, Reason.STEP_TIMED_OUT),
        (
            {**EARLIER, **OFFLINE, **code(500), **FRESH, **text("Error calling List modules: no")},
            Reason.RUNTIME_UNREACHABLE,
        ),
        ({**EARLIER, **code(500), **FRESH, **text("Error calling start module m1: no")}, Reason.WAITING_FOR_DEVICE),
        ({**EARLIER, **OFFLINE, **code(500), **STALE, **text("A task was canceled.")}, Reason.DEVICE_DISCONNECTED),
        ({**EARLIER, **OFFLINE, **code(500), **FRESH, **text(" ")}, Reason.DEVICE_DISCONNECTED),
        ({**EARLIER, **OFFLINE, **code(400), **STALE}, Reason.REJECTED_BEFORE),
        ({**NEVER_TAKEN, **OFFLINE, **code(412), **STALE}, Reason.REJECTED_BEFORE),
        ({**NEVER_TAKEN, **OFFLINE, **code(417), **STALE}, Reason.EMPTY_REPORTED),
        ({**EARLIER, **code(417), **STALE}, Reason.WAITING_FOR_DEVICE),
        ({**NEVER_TAKEN, **OFFLINE}, Reason.NEVER_REPORTED),
        ({**EARLIER, **OFFLINE}, Reason.DEVICE_DISCONNECTED),
        ({**EARLIER, "connectionState": "Connected"}, Reason.WAITING_FOR_DEVICE),
        (EARLIER, Reason.WAITING_FOR_DEVICE),
    ],
)
def test_a_version_that_is_not_taken_has_the_first_reason_that_is_known(
    changes: dict[str, Any], reason: Reason
) -> None:
    status = judged(changes)
    assert (status.state, status.reason) == (State.PENDING, reason)
    assert {module.reason for name, module in status.modules.items() if module.state != "extra"} == {reason}


def test_a_wiped_list_while_a_version_waits_is_an_unreachable_runtime_or_a_status_that_nobody_can_read() -> None:
    wiped = {**EARLIER, **code(500), **FRESH, f"{AGENT}.type": "Unknown", "reported.modules": GONE}
    assert judged({**wiped, **text("A task was canceled.")}).reason is Reason.RUNTIME_UNREACHABLE
    unreadable = "ModuleStatus unknown is not a valid status. (Parameter 'status')"
    assert judged({**wiped, **text(unreadable)}).reason is Reason.STATUS_UNREADABLE


def test_an_agent_that_took_the_version_and_stops_is_replacing_itself_where_its_image_is_another() -> None:
    status = judged({**STOPPING, **OTHER_AGENT})
    assert (status.state, status.reason) == (State.AGENT_UNAVAILABLE, Reason.AGENT_UPDATING)
    assert judged({**STOPPING, **OTHER_AGENT, **STALE}).reason is Reason.AGENT_UPDATING


def test_a_twin_of_another_module_has_no_modules_no_rule_of_the_document_and_no_counter() -> None:
    status = judged({"moduleId": "$edgeHub"})
    assert (status.modules, status.documented, status.portal, status.lint) == ({}, (), None, ())
    assert judged({"moduleId": "$edgeHub", "desired": {"routes": {}}}).lint == ()
    for unsaid in (GONE, None, 5):
        assert judged({"moduleId": unsaid}).state is State.SUCCESSFUL


def test_an_agent_that_reports_success_and_an_unknown_status_of_its_own_has_a_flag() -> None:
    unknown = {f"{AGENT}.runtimeStatus": "Unknown"}
    assert judged(unknown).flags == (Flag.AGENT_STATUS_UNKNOWN,)
    assert judged({**unknown, **EARLIER}).flags == (Flag.AGENT_STATUS_UNKNOWN,)
    assert judged({**unknown, **code(500)}).flags == ()
    assert judged({**unknown, "configurations": {"a": {"status": "Targeted"}}}).flags == (
        Flag.AGENT_STATUS_UNKNOWN,
        Flag.NOT_CREDITED,
    )


@pytest.mark.parametrize("number", [200, 417, 418, 500])
def test_the_version_comes_before_any_other_code(number: int) -> None:
    status = judged({**EARLIER, **code(number)})
    assert status.state is State.PENDING
    assert status.flags == ()


@pytest.mark.parametrize("version", [GONE, None, "12", True, [], 12.5])
def test_a_version_that_is_no_whole_number_was_never_reported(version: Any) -> None:
    status = judged({"reported.lastDesiredVersion": version})
    assert (status.state, status.reason) == (State.PENDING, Reason.NEVER_REPORTED)


def test_the_evidence_holds_a_version_that_is_no_whole_number_as_it_stands() -> None:
    evidence = judged({"reported.lastDesiredVersion": "12", "desired.$version": 12.5}).evidence
    assert [(item.value, item.expected) for item in evidence] == [("12", 12.5)]


def test_two_absent_versions_are_not_equal() -> None:
    status = judged({"reported.lastDesiredVersion": GONE, "desired.$version": GONE})
    assert (status.state, status.reason) == (State.PENDING, Reason.NEVER_REPORTED)


def test_a_reported_version_without_a_desired_one_is_pending_and_no_regression() -> None:
    status = judged({"desired.$version": GONE})
    assert (status.state, status.reason) == (State.PENDING, Reason.WAITING_FOR_DEVICE)
    assert status.flags == ()


def test_a_version_of_twelve_point_zero_is_twelve() -> None:
    assert judged({"reported.lastDesiredVersion": 12.0}).state is State.SUCCESSFUL


def test_a_later_reported_version_is_pending_with_a_flag() -> None:
    status = judged({"reported.lastDesiredVersion": 13})
    assert (status.state, status.reason) == (State.PENDING, Reason.VERSION_REGRESSED)
    assert status.flags == (Flag.VERSION_REGRESSED,)


def test_a_stopped_agent_with_another_version_is_pending_with_a_flag() -> None:
    status = judged({**EARLIER, **STOPPING})
    assert (status.state, status.reason) == (State.PENDING, Reason.AGENT_STOPPED)
    assert status.flags == (Flag.AGENT_UNAVAILABLE,)
    both = judged({"reported.lastDesiredVersion": 13, **STOPPING})
    assert both.flags == (Flag.AGENT_UNAVAILABLE, Flag.VERSION_REGRESSED)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.IN_PROGRESS),
        ({f"{STATUS}.description": GONE}, State.IN_PROGRESS),
        ({f"{STATUS}.description": " \n"}, State.IN_PROGRESS),
        ({f"{STATUS}.description": None}, State.IN_PROGRESS),
        ({f"{STATUS}.description": "Agent is not running"}, State.AGENT_UNAVAILABLE),
        ({f"{AGENT}.runtimeStatus": "unknown"}, State.AGENT_UNAVAILABLE),
        ({f"{AGENT}.runtimeStatus": "Unknown"}, State.AGENT_UNAVAILABLE),
        ({f"{AGENT}.runtimeStatus": GONE}, State.AGENT_UNAVAILABLE),
        ({f"{AGENT}.runtimeStatus": 1}, State.AGENT_UNAVAILABLE),
        ({AGENT: GONE}, State.AGENT_UNAVAILABLE),
        ({"reported.systemModules": None}, State.AGENT_UNAVAILABLE),
    ],
)
def test_a_406_is_a_live_agent_only_without_description_and_with_a_known_status(
    changes: dict[str, Any], state: State
) -> None:
    assert judged({**code(406), **changes}).state is state


@pytest.mark.parametrize("absent", [GONE, None])
def test_a_status_that_is_absent_is_in_progress_and_one_without_a_known_code_is_unclassified(absent: Any) -> None:
    assert judged({STATUS: absent}).rule == "status_missing"
    oddities: list[Any] = [{}, "Ok", [], 200, {"code": None}, {"code": "200"}, {"code": True}, {"code": 200.5}]
    for odd in oddities:
        assert judged({STATUS: odd}).state is State.UNCLASSIFIED


def test_a_500_is_in_progress_though_every_module_is_as_desired() -> None:
    status = judged(code(500))
    assert (status.state, status.reason) == (State.IN_PROGRESS, Reason.PLAN_FAILED)


def test_a_wiped_module_list_is_an_unreachable_runtime_whatever_the_text() -> None:
    wiped = {**code(500), f"{AGENT}.type": "Unknown", "reported.modules": GONE}
    assert judged({**wiped, f"{STATUS}.description": "odd"}).reason is Reason.RUNTIME_UNREACHABLE
    assert judged({**wiped, "reported.modules": {"m1": None}}).reason is Reason.RUNTIME_UNREACHABLE
    assert judged({**wiped, f"{AGENT}.type": "docker"}).reason is Reason.PLAN_FAILED
    assert judged({**wiped, "reported.modules": {"m1": {}}}).reason is Reason.PLAN_FAILED


def test_with_a_200_another_image_of_the_agent_alone_is_in_progress() -> None:
    status = judged({f"{AGENT}.settings.image": "registry.example/agent:1.4"})
    assert (
        status.state,
        status.rule,
        status.reason,
    ) == (State.IN_PROGRESS, "images_outstanding", Reason.AGENT_UPDATING)


def test_an_agent_whose_image_is_not_reported_does_not_hold_a_deployment_back() -> None:
    assert judged({AGENT: GONE}).state is State.SUCCESSFUL
    assert judged({f"{AGENT}.settings": GONE, f"{AGENT}.runtimeStatus": "unknown"}).state is State.SUCCESSFUL


@pytest.mark.parametrize(
    "changes",
    [
        {MODULE: GONE},
        {MODULE: None},
        {MODULE: "running"},
        {"reported.modules": GONE},
        {"reported.systemModules.edgeHub": GONE},
        {"reported.systemModules.edgeHub": {"type": "Unknown", "status": "unknown"}},
    ],
)
def test_with_a_200_a_desired_module_that_is_missing_is_in_progress(changes: dict[str, Any]) -> None:
    status = judged(changes)
    assert (status.state, status.reason) == (State.IN_PROGRESS, Reason.SETTLING)


def test_edge_hub_is_judged_by_its_runtime_status_and_not_by_the_echo() -> None:
    hub = "reported.systemModules.edgeHub"
    assert judged({f"{hub}.status": "stopped"}).state is State.SUCCESSFUL
    status = judged({f"{hub}.runtimeStatus": "backoff"})
    assert (status.state, status.reason) == (State.MODULE_FAILED, Reason.BACKOFF)


def test_the_most_severe_module_gives_a_failed_device_its_reason() -> None:
    other = {"type": "docker", "status": "running", "settings": {"image": "m2"}}
    changes = {
        **CRASHED,
        "desired.modules.m2": other,
        "reported.modules.m2": {**other, "settings": {"image": "m2:latest"}, "runtimeStatus": "backoff"},
    }
    assert judged(changes).reason is Reason.BACKOFF


def test_a_deployment_without_user_modules_is_successful_by_its_system_modules() -> None:
    assert judged({"desired.modules": {}, "reported.modules": {}}).state is State.SUCCESSFUL
    assert judged({"desired.modules": GONE, "reported.modules": GONE}).state is State.SUCCESSFUL


def test_a_module_that_is_not_desired_changes_no_state() -> None:
    extra = {"type": "docker", "status": "unknown", "runtimeStatus": "failed", "settings": {"image": "old:1"}}
    assert judged({"reported.modules.old": extra}).state is State.SUCCESSFUL


@pytest.mark.parametrize(
    "configurations",
    [GONE, None, {}, [], {"a": {"status": "Targeted"}}, {"a": {"status": "Rolled"}}, {"a": 5}],
)
def test_configurations_never_change_the_state(configurations: Any) -> None:
    for changes, state, reason in FIRST_TO_HOLD.values():
        status = judged({**changes, "configurations": configurations})
        assert (state, reason) == (status.state, status.reason)


def test_a_section_in_which_nothing_is_applied_is_flagged_and_no_section_is_not() -> None:
    targeted = judged({"configurations": {"b": {"status": "Targeted"}, "a": {"status": "TARGETED "}}})
    assert targeted.flags == (Flag.NOT_CREDITED,)
    assert targeted.targeted == ("a", "b")
    assert targeted.deployments == ()
    for individual in (GONE, {}, None):
        assert judged({"configurations": individual}).flags == ()


def test_all_applied_names_are_credited() -> None:
    layers = {name: {"status": "applied"} for name in ("layer2", "base", "layer1")}
    assert judged({"configurations": layers}).deployments == ("base", "layer1", "layer2")


def test_the_evidence_of_a_verdict_names_both_paths_and_both_values() -> None:
    status = judged({**EARLIER, **code(400)})
    assert [item.as_json() for item in status.evidence] == [
        {"path": f"properties.{STATUS}.code", "value": 400, "expected": 200, "expectedPath": None},
        {
            "path": "properties.reported.lastDesiredVersion",
            "value": 11,
            "expected": 12,
            "expectedPath": "properties.desired.$version",
        },
        {
            "path": "properties.reported.$metadata.lastDesiredStatus.$lastUpdated",
            "value": "2026-01-01T09:02:00+00:00",
            "expected": "2026-01-01T09:00:00+00:00",
            "expectedPath": "properties.desired.$metadata.$lastUpdated",
        },
    ]
    image = judged(OTHER_IMAGE).evidence[-1]
    assert (f"properties.{MODULE}.settings.image", f"properties.{ASKED}.settings.image") == (
        image.path,
        image.expected_path,
    )
    assert (image.value, image.expected) == ("registry.example/m1:0.9", "registry.example/m1:1.0")


def code_is(number: int) -> Evidence:
    return Evidence(f"properties.{STATUS}.code", number, 200)


def version_is(number: int | None) -> Evidence:
    return Evidence("properties.reported.lastDesiredVersion", number, 12, "properties.desired.$version")


def reported_at(time: datetime) -> Evidence:
    path = "properties.reported.$metadata.lastDesiredStatus.$lastUpdated"
    return Evidence(path, time.isoformat(), DESIRED_AT.isoformat(), "properties.desired.$metadata.$lastUpdated")


IMAGE_IS_OTHER = Evidence(
    f"properties.{MODULE}.settings.image",
    "registry.example/m1:0.9",
    "registry.example/m1:1.0",
    f"properties.{ASKED}.settings.image",
)
COMPARED_BY_RULE: dict[str, list[Evidence]] = {
    "other_module": [Evidence("moduleId", "$edgeHub", "$edgeAgent")],
    "nothing_desired": [Evidence("properties.desired", "<empty>", "<deployment>")],
    "rejected": [code_is(400), version_is(11), reported_at(REPORTED_AT)],
    "version_not_taken": [version_is(11)],
    "agent_alive_without_a_result": [
        code_is(406),
        Evidence(f"properties.{AGENT}.runtimeStatus", "running", "unknown"),
    ],
    "agent_stopped": [code_is(406)],
    "empty_reported": [code_is(417)],
    "plan_failed": [code_is(500), IMAGE_IS_OTHER],
    "status_missing": [Evidence(f"properties.{STATUS}", None, "<object>")],
    "images_outstanding": [code_is(200), IMAGE_IS_OTHER],
    "wrong_status": [
        code_is(200),
        Evidence(f"properties.{MODULE}.runtimeStatus", "failed", "running", f"properties.{ASKED}.status"),
    ],
    "as_desired": [version_is(12), code_is(200)],
    "unknown_code": [code_is(418)],
}


@pytest.mark.parametrize("rule", FIRST_TO_HOLD)
def test_the_evidence_of_each_rule_is_what_it_compared(rule: str) -> None:
    assert list(judged(FIRST_TO_HOLD[rule][0]).evidence) == COMPARED_BY_RULE[rule]


FRESH_AT = DESIRED_AT + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({**EARLIER, "reported.lastDesiredVersion": 13}, [version_is(13)]),
        ({**EARLIER, **code(406), **FRESH}, [version_is(11), code_is(406)]),
        ({**EARLIER, **code(417), **FRESH}, [version_is(11), code_is(417), reported_at(FRESH_AT)]),
        (
            {**EARLIER, **code(500), **FRESH, **text("A task was canceled.")},
            [version_is(11), code_is(500), reported_at(FRESH_AT)],
        ),
        ({**EARLIER, **code(400), **STALE}, [version_is(11), code_is(400)]),
        ({**NEVER_TAKEN, **code(417), **STALE}, [version_is(None), code_is(417)]),
        (NEVER_TAKEN, [version_is(None)]),
        ({**EARLIER, **OFFLINE}, [version_is(11), Evidence("connectionState", "Disconnected", "Connected")]),
    ],
)
def test_the_evidence_of_a_version_that_is_not_taken_has_what_its_reason_comes_from(
    changes: dict[str, Any], evidence: list[Evidence]
) -> None:
    assert list(judged(changes).evidence) == evidence


def test_a_status_has_what_the_twin_says_of_the_device() -> None:
    exited = datetime(2026, 1, 1, 8, tzinfo=UTC)
    status = judged(
        {
            "connectionState": "Connected",
            "lastActivityTime": "2026-01-01T09:03:00Z",
            f"{MODULE}.lastExitTimeUtc": "2026-01-01T08:00:00Z",
        }
    )
    assert (status.device_id, status.twin_version, status.connection_state) == ("edge-01", 200, "Connected")
    assert status.last_activity == datetime(2026, 1, 1, 9, 3, tzinfo=UTC)
    assert (status.desired_version, status.last_desired_version, status.status_code) == (12, 12, 200)
    assert (status.agent_version, status.portal, status.is_lagging) == ("1.5.0", Portal.SUCCESSFUL, False)
    assert (status.desired_at, status.reported_at, status.changed) == (DESIRED_AT, REPORTED_AT, REPORTED_AT)
    assert (status.modules["m1"].last_exit, status.modules["m1"].evidence[-1].value) == (exited, "running")
    taken_at = {"reported.$metadata.lastDesiredVersion.$lastUpdated": REPORTED_AT.isoformat()}
    assert read_twin(twin_with(taken_at)).tried_since is None  # no step failed
    unsaid = judged({"deviceId": GONE, "version": GONE, "reported": {}})
    assert (unsaid.device_id, unsaid.twin_version, unsaid.agent_version, unsaid.changed) == ("", None, None, DESIRED_AT)


def test_a_status_as_json_has_its_findings_as_lines() -> None:
    linted = judged({**code(400), f"{ASKED}.type": GONE})
    assert linted.as_json()["lint"] == ["properties.desired.modules.m1.type: missing; it must be docker"]
