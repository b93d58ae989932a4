"""One module as desired beside the same module as reported."""

from datetime import UTC, datetime
from typing import Any

import pytest
from twins import AGENT, ASKED, GONE, MODULE, STATUS, judged, module

from status_core import Evidence, ModuleState, Reason

STATUS_OF = f"{MODULE}.runtimeStatus"
JOB = {f"{ASKED}.restartPolicy": "never", STATUS_OF: "stopped"}


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("running", ModuleState.SETTLED, Reason.AS_DESIRED),
        ("RUNNING", ModuleState.SETTLED, Reason.AS_DESIRED),
        ("backoff", ModuleState.WRONG_STATUS, Reason.BACKOFF),
        ("stopped", ModuleState.WRONG_STATUS, Reason.EXITED),
        ("failed", ModuleState.WRONG_STATUS, Reason.EXITED),
        ("dead", ModuleState.WRONG_STATUS, Reason.DEAD),
        ("unhealthy", ModuleState.WRONG_STATUS, Reason.UNHEALTHY),
        ("unknown", ModuleState.WRONG_STATUS, Reason.STATUS_UNKNOWN),
        ("paused", ModuleState.WRONG_STATUS, Reason.STATUS_UNKNOWN),
        (GONE, ModuleState.WRONG_STATUS, Reason.STATUS_UNKNOWN),
        (5, ModuleState.WRONG_STATUS, Reason.STATUS_UNKNOWN),
    ],
)
def test_a_desired_running_is_met_by_running_alone(status: Any, state: ModuleState, reason: Reason) -> None:
    seen = module({STATUS_OF: status})
    assert (state, reason) == (seen.state, seen.reason)


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("stopped", ModuleState.SETTLED, Reason.AS_DESIRED),
        ("failed", ModuleState.SETTLED, Reason.AS_DESIRED),
        ("running", ModuleState.WRONG_STATUS, Reason.STILL_RUNNING),
        ("backoff", ModuleState.WRONG_STATUS, Reason.BACKOFF),
        ("dead", ModuleState.WRONG_STATUS, Reason.DEAD),
        ("unknown", ModuleState.WRONG_STATUS, Reason.STATUS_UNKNOWN),
    ],
)
def test_a_desired_stopped_is_met_by_stopped_and_by_failed(status: str, state: ModuleState, reason: Reason) -> None:
    seen = module({f"{ASKED}.status": "Stopped", STATUS_OF: status, f"{MODULE}.exitCode": 137})
    assert (state, reason) == (seen.state, seen.reason)


def test_a_job_that_runs_once_and_ended_well_is_settled() -> None:
    seen = module(JOB)
    assert (seen.state, seen.reason) == (ModuleState.SETTLED, Reason.FINISHED)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({f"{MODULE}.exitCode": 1}, Reason.EXITED),
        ({f"{MODULE}.exitCode": GONE}, Reason.EXITED),
        ({f"{MODULE}.exitCode": False}, Reason.EXITED),
        ({f"{MODULE}.lastStartTimeUtc": "0001-01-01T00:00:00"}, Reason.NEVER_STARTED),
        ({f"{MODULE}.lastStartTimeUtc": GONE}, Reason.EXITED),
        ({f"{ASKED}.restartPolicy": "on-failure"}, Reason.EXITED),
        ({f"{ASKED}.restartPolicy": GONE}, Reason.EXITED),
        ({STATUS_OF: "failed"}, Reason.EXITED),
    ],
)
def test_a_job_that_failed_never_started_or_is_started_again_is_not_settled(
    changes: dict[str, Any], reason: Reason
) -> None:
    seen = module({**JOB, **changes})
    assert (seen.state, seen.reason) == (ModuleState.WRONG_STATUS, reason)


NEVER_STARTED = {f"{MODULE}.lastStartTimeUtc": "0001-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({STATUS_OF: "failed", f"{MODULE}.restartCount": 20}, Reason.GAVE_UP),
        ({STATUS_OF: "failed", f"{MODULE}.restartCount": 1, f"{ASKED}.restartPolicy": GONE}, Reason.GAVE_UP),
        ({STATUS_OF: "failed", f"{MODULE}.restartCount": 1, f"{ASKED}.restartPolicy": "On-Failure"}, Reason.GAVE_UP),
        ({STATUS_OF: "failed", f"{MODULE}.restartCount": 20, **NEVER_STARTED}, Reason.GAVE_UP),
        ({STATUS_OF: "failed", f"{MODULE}.restartCount": 20, f"{ASKED}.restartPolicy": "never"}, Reason.EXITED),
        ({STATUS_OF: "failed", f"{MODULE}.restartCount": 0}, Reason.EXITED),
        ({STATUS_OF: "failed", f"{MODULE}.restartCount": "20"}, Reason.EXITED),
        ({STATUS_OF: "backoff", f"{MODULE}.restartCount": 20}, Reason.BACKOFF),
        ({STATUS_OF: "stopped", f"{MODULE}.restartCount": 20}, Reason.EXITED),
        ({STATUS_OF: "stopped", **NEVER_STARTED}, Reason.NEVER_STARTED),
        ({STATUS_OF: "failed", **NEVER_STARTED}, Reason.NEVER_STARTED),
        ({STATUS_OF: "backoff", **NEVER_STARTED}, Reason.NEVER_STARTED),
        ({STATUS_OF: "backoff", f"{MODULE}.lastStartTimeUtc": GONE}, Reason.BACKOFF),
        ({STATUS_OF: "backoff", f"{MODULE}.lastStartTimeUtc": "soon"}, Reason.BACKOFF),
        ({STATUS_OF: "dead", **NEVER_STARTED}, Reason.DEAD),
        ({STATUS_OF: "unknown", **NEVER_STARTED}, Reason.STATUS_UNKNOWN),
        ({STATUS_OF: "backoff", f"{ASKED}.status": "stopped", **NEVER_STARTED}, Reason.BACKOFF),
    ],
)
def test_a_module_was_given_up_or_never_started_where_its_counts_and_times_say_so(
    changes: dict[str, Any], reason: Reason
) -> None:
    assert module(changes).reason is reason


REJECTED = {f"{STATUS}.code": 400}
EMPTY = {f"{STATUS}.code": 417}
NO_DEPLOYMENT = {"desired": {"$version": 12}}


@pytest.mark.parametrize("unmanaged", [REJECTED, EMPTY, NO_DEPLOYMENT], ids=["invalid", "empty", "no deployment"])
@pytest.mark.parametrize(
    ("changes", "is_unmanaged"),
    [
        ({STATUS_OF: "backoff"}, True),
        ({STATUS_OF: "Failed", f"{MODULE}.status": "Running"}, True),
        ({STATUS_OF: "stopped"}, True),
        ({STATUS_OF: "stopped", f"{MODULE}.restartPolicy": "never", f"{MODULE}.exitCode": 1}, True),
        ({STATUS_OF: "stopped", f"{MODULE}.restartPolicy": "Never"}, False),
        ({STATUS_OF: "running"}, False),
        ({STATUS_OF: "unknown"}, False),
        ({STATUS_OF: GONE}, False),
        ({STATUS_OF: "failed", f"{MODULE}.status": "stopped"}, False),
        ({STATUS_OF: "failed", f"{MODULE}.status": GONE}, False),
        ({MODULE: GONE, "reported.modules.other": {}}, False),
    ],
)
def test_what_exits_while_nothing_is_managed_is_started_by_nobody(
    unmanaged: dict[str, Any], changes: dict[str, Any], *, is_unmanaged: bool
) -> None:
    status = judged({**changes, **unmanaged})
    seen = status.modules.get("m1")
    left_alone = seen is not None and (seen.state, seen.reason) == (ModuleState.WRONG_STATUS, Reason.UNMANAGED)
    assert left_alone is is_unmanaged
    assert ("not restarted while this lasts" in status.message) is is_unmanaged
    if seen is not None and left_alone:
        assert "m1" in status.message
        assert seen.evidence[-1].path == f"properties.{MODULE}.runtimeStatus"
        assert (seen.evidence[-1].value, seen.evidence[-1].expected) == (seen.runtime_status, "running")


def test_a_module_that_is_not_desired_is_unmanaged_too_and_one_under_a_deployment_is_extra() -> None:
    old = {"type": "docker", "status": "running", "runtimeStatus": "failed", "settings": {"image": "old:1"}}
    assert judged({**NO_DEPLOYMENT, "reported.modules.old": old}).modules["old"].reason is Reason.UNMANAGED
    assert judged({"reported.modules.old": old}).modules["old"].state is ModuleState.EXTRA
    pending = judged({"reported.lastDesiredVersion": 11, "reported.modules.old": old})
    assert pending.modules["old"].state is ModuleState.EXTRA


def test_another_image_is_updating_whatever_the_status() -> None:
    for status in ("running", "backoff", "failed"):
        seen = module({f"{MODULE}.settings.image": "registry.example/m1:0.9", STATUS_OF: status})
        assert (seen.state, seen.reason) == (ModuleState.UPDATING, Reason.SETTLING)


def test_a_module_that_is_not_reported_or_without_image_is_missing() -> None:
    for changes in ({MODULE: GONE}, {f"{MODULE}.settings": GONE}, {f"{MODULE}.settings.image": 5}):
        seen = module(changes)
        assert (seen.state, seen.reason) == (ModuleState.MISSING, Reason.SETTLING)


def test_a_desired_module_without_anything_in_it_is_missing_until_it_is_reported() -> None:
    assert module({ASKED: 5, MODULE: GONE}).state is ModuleState.MISSING
    assert module({ASKED: {}, MODULE: {}}).state is ModuleState.SETTLED


def test_the_agent_is_judged_by_its_image_alone() -> None:
    for status in ("unknown", "failed", GONE):
        assert module({f"{AGENT}.runtimeStatus": status}, "$edgeAgent").state is ModuleState.SETTLED
    older = module({f"{AGENT}.settings.image": "registry.example/agent:1.4"}, "$edgeAgent")
    assert (older.state, older.reason) == (ModuleState.UPDATING, Reason.AGENT_UPDATING)
    for unsaid in ({AGENT: GONE}, {f"{AGENT}.settings": GONE}):
        seen = module(unsaid, "$edgeAgent")
        assert (seen.state, seen.reason) == (ModuleState.UNKNOWN, Reason.NOT_REPORTED)


def test_a_module_that_is_not_desired_is_extra() -> None:
    seen = module({"reported.modules.old": {"settings": {"image": "old:1"}}}, "old")
    assert (seen.state, seen.reason) == (ModuleState.EXTRA, Reason.NOT_DESIRED)
    assert (seen.desired_image, seen.desired_status, seen.reported_image) == (None, None, "old:1")


def test_the_twins_own_keys_removed_keys_and_empty_names_are_no_modules() -> None:
    odd = {"$metadata": {}, "gone": None, "": {"settings": {"image": "x"}}}
    status = judged({"desired.modules": odd, "reported.modules": odd})
    assert list(status.modules) == ["$edgeAgent", "$edgeHub"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reported.lastDesiredVersion": 11}, Reason.WAITING_FOR_DEVICE),
        ({f"{STATUS}.code": 400}, Reason.CONFIG_REJECTED),
        ({f"{STATUS}.code": 417}, Reason.EMPTY_REPORTED),
    ],
)
def test_before_the_device_takes_the_version_desired_modules_are_pending_and_extra_ones_extra(
    changes: dict[str, Any], reason: Reason
) -> None:
    status = judged({**changes, "reported.modules.old": {"runtimeStatus": "running"}})
    desired = [seen for name, seen in status.modules.items() if name != "old"]
    assert {(ModuleState.PENDING, reason)} == {(seen.state, seen.reason) for seen in desired}
    assert status.modules["old"].state is ModuleState.EXTRA


def test_what_modules_do_is_unknown_while_the_agent_is_stopped() -> None:
    status = judged({f"{STATUS}.code": 406, f"{STATUS}.description": "Agent is not running"})
    assert {(ModuleState.UNKNOWN, Reason.AGENT_STOPPED)} == {
        (seen.state, seen.reason) for seen in status.modules.values()
    }


def test_what_modules_do_is_unknown_after_the_module_list_was_wiped() -> None:
    changes = {f"{STATUS}.code": 500, f"{AGENT}.type": "Unknown", "reported.modules": GONE}
    status = judged(changes)
    assert {(ModuleState.UNKNOWN, Reason.RUNTIME_UNREACHABLE)} == {
        (seen.state, seen.reason) for seen in status.modules.values()
    }


def test_a_failed_step_is_the_reason_of_the_module_that_the_text_names_and_of_no_other() -> None:
    second = {"status": "running", "settings": {"image": "m2:1"}}
    changes = {
        f"{STATUS}.code": 500,
        f"{STATUS}.description": "One or more errors occurred. (Error calling start module M1: port is taken)",
        STATUS_OF: "stopped",
        "desired.modules.m2": second,
        "desired.modules.m3": second,
        "reported.modules.m3": {**second, "runtimeStatus": "running"},
    }
    modules = judged(changes).modules
    assert (modules["m1"].state, modules["m1"].reason) == (ModuleState.WRONG_STATUS, Reason.START_FAILED)
    assert (modules["m2"].state, modules["m2"].reason) == (ModuleState.MISSING, Reason.SETTLING)
    assert (modules["m3"].state, modules["m3"].reason) == (ModuleState.SETTLED, Reason.AS_DESIRED)


def test_a_step_that_names_a_module_which_is_as_desired_is_not_its_reason() -> None:
    seen = module({f"{STATUS}.code": 500, f"{STATUS}.description": "Error calling start module m1: no"})
    assert (seen.state, seen.reason) == (ModuleState.SETTLED, Reason.AS_DESIRED)


def test_what_keeps_a_version_from_being_taken_is_not_the_reason_of_a_module_that_is_only_reported() -> None:
    unknown = "Unable to process module old: identity could not be obtained"
    changes = {
        f"{STATUS}.code": 500,
        f"{STATUS}.description": unknown,
        "reported.lastDesiredVersion": 11,
        "reported.modules.old": {"settings": {"image": "old:1"}},
    }
    status = judged(changes)
    assert (status.reason, status.modules["m1"].reason) == (Reason.IDENTITY_FAILED, Reason.IDENTITY_FAILED)
    assert (status.modules["old"].state, status.modules["old"].reason) == (ModuleState.EXTRA, Reason.NOT_DESIRED)


def test_the_name_of_an_image_in_the_twin_is_no_cause() -> None:
    changes = {
        f"{STATUS}.code": 500,
        f"{STATUS}.description": "Error calling prepare update for module m1: r.example/x509-proxy:1 says no",
        f"{ASKED}.settings.image": "r.example/x509-proxy:1",
    }
    assert judged(changes).reason is Reason.PULL_FAILED
    assert judged({**changes, f"{ASKED}.settings.image": "r.example/other:1"}).reason is Reason.REGISTRY_UNREACHABLE


def test_each_module_has_the_reason_of_the_failed_step_that_names_it() -> None:
    changes = {
        f"{STATUS}.code": 500,
        f"{STATUS}.description": "One or more errors occurred. (Error calling prepare update for module m2: Could not "
        "pull image m2:1) (Error calling start module m1: port is taken)",
        STATUS_OF: "stopped",
        "desired.modules.m2": {"status": "running", "settings": {"image": "m2:1"}},
    }
    status = judged(changes)
    assert status.reason is Reason.PULL_FAILED
    assert status.modules["m1"].reason is Reason.START_FAILED
    assert status.modules["m2"].reason is Reason.PULL_FAILED


def test_a_failed_step_that_names_no_module_is_the_reason_of_every_module_without_its_image() -> None:
    changes = {
        f"{STATUS}.code": 500,
        f"{STATUS}.description": "The request was canceled due to the configured HttpClient.Timeout of 100 seconds",
        MODULE: GONE,
        "reported.systemModules.edgeHub.runtimeStatus": "stopped",
    }
    modules = judged(changes).modules
    assert modules["m1"].reason is Reason.PULL_TIMED_OUT
    assert modules["$edgeHub"].reason is Reason.EXITED
    assert modules["$edgeAgent"].reason is Reason.AS_DESIRED


def test_beside_steps_that_name_modules_one_without_a_name_is_the_reason_of_what_else_is_outstanding() -> None:
    aggregate = "One or more errors occurred. (Error calling start module m1: no) (The operation was canceled.)"
    other = {"status": "running", "settings": {"image": "m2:1"}}
    changes = {f"{STATUS}.code": 500, f"{STATUS}.description": aggregate, STATUS_OF: "stopped"}
    modules = judged({**changes, "desired.modules.m2": other}).modules
    assert modules["m1"].reason is Reason.START_FAILED
    assert modules["m2"].reason is Reason.PULL_TIMED_OUT


def test_a_module_that_is_only_reported_has_the_reason_of_the_step_that_names_it() -> None:
    old = {"status": "unknown", "runtimeStatus": "running", "settings": {"image": "old:1"}}
    text = 'One or more errors occurred. (Error calling stop module old: runtime operation error: get module "old")'
    status = judged({f"{STATUS}.code": 500, f"{STATUS}.description": text, "reported.modules.old": old})
    assert (status.modules["old"].state, status.modules["old"].reason) == (ModuleState.EXTRA, Reason.STOP_FAILED)
    assert status.reason is Reason.STOP_FAILED


def test_modules_that_differ_in_their_case_alone_have_each_its_own_step() -> None:
    twin = {"status": "running", "settings": {"image": "m2:1"}}
    text = "One or more errors occurred. (Error calling prepare update for module M1: unauthorized)"
    changes = {f"{STATUS}.code": 500, f"{STATUS}.description": text, STATUS_OF: "stopped", "desired.modules.M1": twin}
    modules = judged(changes).modules
    assert (modules["M1"].reason, modules["m1"].reason) == (Reason.REGISTRY_REFUSED, Reason.EXITED)


def test_the_status_of_a_module_keeps_both_sides_and_the_exit_code() -> None:
    seen = module({STATUS_OF: "Failed", f"{MODULE}.exitCode": 139, f"{ASKED}.settings.image": "registry.example/m1"})
    assert (seen.desired_status, seen.runtime_status, seen.exit_code) == ("running", "failed", 139)
    assert (seen.desired_image, seen.reported_image) == ("registry.example/m1", "registry.example/m1:1.0")


def test_the_restarts_of_a_module_are_kept_with_their_times_in_utc() -> None:
    times = {
        f"{MODULE}.lastStartTimeUtc": "2026-01-01T09:00:00.1234567",
        f"{MODULE}.lastExitTimeUtc": "0001-01-01T00:00:00Z",
    }
    seen = module({**times, f"{MODULE}.restartCount": 7})
    assert (seen.restart_count, seen.last_exit) == (7, None)
    assert seen.last_start == datetime(2026, 1, 1, 9, 0, 0, 123456, tzinfo=UTC)
    assert seen.as_json()["reported"]["lastStartAt"] == "2026-01-01T09:00:00.123456+00:00"
    assert module({f"{MODULE}.restartCount": -1}).restart_count is None
    unsaid = module({MODULE: GONE})
    assert (unsaid.restart_count, unsaid.last_start, unsaid.last_exit) == (None, None, None)


def test_the_evidence_of_a_module_has_the_values_that_were_compared_and_their_places() -> None:
    image, reported, desired = (
        "registry.example/m1:1.0",
        "properties.reported.modules.m1",
        "properties.desired.modules.m1",
    )
    images = Evidence(f"{reported}.settings.image", image, image, f"{desired}.settings.image")
    status = Evidence(f"{reported}.runtimeStatus", "failed", "running", f"{desired}.status")
    assert module({f"{MODULE}.runtimeStatus": "failed"}).evidence == (images, status)
    assert module({MODULE: GONE}).evidence == (Evidence(images.path, None, image, images.expected_path),)
    left_alone = module({f"{STATUS}.code": 400, f"{MODULE}.runtimeStatus": "failed"}).evidence
    assert left_alone[-1] == Evidence(status.path, "failed", "running", f"{reported}.status")
    named = module({"desired.modules.desired": {"settings": {"image": "m2"}}}, "desired").evidence
    assert named[0].path == "properties.reported.modules.desired.settings.image"
