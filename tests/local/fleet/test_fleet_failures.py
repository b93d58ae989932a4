"""A simulated edgeAgent whose calls to edged fail."""

from http import HTTPStatus

import pytest
from simulated_device import manifest, module, running, statuses

from local.fleet import ImageBehaviour

NOT_THERE = ImageBehaviour(pull_error=HTTPStatus.NOT_FOUND)
NO_START = ImageBehaviour(start_error=HTTPStatus.CONFLICT)
LIST_FAILS = "Error calling List modules: runtime operation error: list modules"
START_FAILS = (
    500,
    'One or more errors occurred. (Error calling start module m1: runtime operation error: start module "m1")',
)


def test_what_never_started_is_tried_at_every_reconcile_and_never_given_up() -> None:
    device = running(manifest(m1=module("vision:1")), {"vision:1": NO_START})
    device.until(3600)
    assert device.status == START_FAILS
    entry = device.reported["modules"]["m1"]
    assert (entry["runtimeStatus"], entry["restartCount"]) == ("backoff", 0)
    assert {entry[f"last{what}TimeUtc"] for what in ("Start", "Exit", "Restart")} == {"0001-01-01T00:00:00Z"}
    device.runtime.images.clear()
    device.until(3606)
    assert device.runtime.containers["m1"].started_at is not None


def test_what_never_started_under_another_policy_is_tried_after_growing_times() -> None:
    device = running(manifest(m1=module("vision:1", restartPolicy="on-failure")), {"vision:1": NO_START})
    device.until(3600)
    assert device.status == START_FAILS
    assert set(statuses(device)) == {"stopped"}
    device.runtime.images.clear()
    device.until(3606)
    assert device.runtime.containers["m1"].started_at is None
    device.until(6000)
    assert device.reported["modules"]["m1"]["runtimeStatus"] == "running"


def test_a_module_that_cannot_be_created_is_missing_and_the_others_go_on() -> None:
    images = {"vision:1": ImageBehaviour(create_error=HTTPStatus.BAD_REQUEST)}
    device = running(manifest(m1=module("vision:1"), m2=module("other:1")), images)
    assert device.status == (
        500,
        'One or more errors occurred. (Error calling Create module m1: runtime operation error: create module "m1")',
    )
    assert device.reported["modules"].keys() == {"m2"}


@pytest.mark.parametrize(("error", "seconds"), [(HTTPStatus.NOT_FOUND, 64), (HTTPStatus.BAD_GATEWAY, 83)])
def test_an_answer_of_500_or_more_is_tried_three_times_more_within_the_call(error: HTTPStatus, seconds: int) -> None:
    device = running(manifest(m1=module("vision:1")), {"vision:2": ImageBehaviour(pull_seconds=1, pull_error=error)})
    device.deploy(manifest(m1=module("vision:2")), 61)
    [(reported_at, patch)] = device.until(90)
    assert (reported_at, patch["lastDesiredStatus"]["code"]) == (seconds, 500)


def test_a_process_that_ignores_sigterm_holds_up_the_plan_for_ten_seconds() -> None:
    device = running(manifest(m1=module("vision:1")), {"vision:1": ImageBehaviour(sigterm_code=None)})
    device.deploy(manifest(), 61)
    assert [seconds for seconds, _ in device.until(120)] == [73, 78]


def test_a_list_that_fails_leaves_no_module_and_a_rejected_manifest_makes_it_two_errors() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.runtime.list_error = HTTPStatus.NOT_IMPLEMENTED
    device.until(120)
    assert device.status == (500, LIST_FAILS)
    assert "modules" not in device.reported or device.reported["modules"] == {}
    assert device.reported["systemModules"]["edgeAgent"] == {"type": "Unknown", "startupOrder": 4294967295}
    device.deploy(manifest("3.0", m1=module("vision:1")), 121)
    device.until(200)
    schema = "The desired properties schema version 3.0 is not compatible with the expected version 1.1.0"
    assert device.status == (500, f"One or more errors occurred. ({LIST_FAILS}) ({schema})")
    device.runtime.list_error = None
    device.until(300)
    assert device.status[0] == 412
    assert device.reported["modules"]["m1"]["runtimeStatus"] == "running"


def test_an_unknown_state_is_no_error_of_a_module_that_is_to_be_stopped() -> None:
    device = running(manifest(m1=module("vision:1", status="stopped"), m2=module("other:1")))
    device.runtime.unreadable.add("m1")
    device.until(120)
    assert device.status[0] == 200
    assert device.reported["modules"]["m1"]["runtimeStatus"] == "unknown"
    device.runtime.unreadable.add("m2")
    device.until(180)
    assert device.status == (500, "ModuleStatus unknown is not a valid status. (Parameter 'status')")


def test_without_identities_an_environment_counts_as_set_though_no_container_has_it() -> None:
    device = running(manifest(m1=module("vision:1")))
    started_at = device.runtime.containers["m1"].started_at
    device.runtime.identity_error = HTTPStatus.INTERNAL_SERVER_ERROR
    device.deploy(manifest(m1=module("vision:1", env={"A": {"value": "1"}})), 61)
    device.until(120)
    assert (device.reported["lastDesiredVersion"], device.status[0]) == (3, 200)
    device.runtime.identity_error = None
    device.until(600)
    assert device.reported["modules"]["m1"]["env"] == {"A": {"value": "1"}}
    assert device.runtime.containers["m1"].started_at == started_at


def test_without_identities_no_module_is_made_and_those_that_crash_are_restarted() -> None:
    device = running(manifest(m1=module("flaky:1")), {"flaky:1": ImageBehaviour(exits_after=100, exit_code=1)})
    device.runtime.identity_error = HTTPStatus.INTERNAL_SERVER_ERROR
    device.deploy(manifest(m1=module("flaky:1"), m2=module("other:1")), 61)
    device.until(180)
    assert (device.reported["lastDesiredVersion"], device.status[0]) == (3, 200)
    assert device.reported["modules"].keys() == {"m1"}
    assert device.reported["modules"]["m1"]["restartCount"] == 1


def test_a_missing_image_stops_the_whole_plan_of_an_agent_that_waits_for_all_pulls() -> None:
    flaky = ImageBehaviour(exits_after=100, exit_code=1)
    images = {"flaky:1": flaky, "vision:1": NOT_THERE}
    device = running(manifest(m1=module("flaky:1")), images, pulls_first=True)
    device.deploy(manifest(m1=module("flaky:1"), m2=module("vision:1")), 61)
    codes = [patch["lastDesiredStatus"]["code"] for _, patch in device.until(600) if "lastDesiredStatus" in patch]
    assert codes == [500, 200] * (len(codes) // 2)
    assert len(codes) > 6
    entry = device.reported["modules"]["m1"]
    assert (entry["runtimeStatus"], entry["restartCount"]) == ("backoff", 0)


def test_an_agent_that_waits_for_all_pulls_does_not_name_its_own_missing_image() -> None:
    device = running(manifest(), {"agent:9": NOT_THERE}, pulls_first=True)
    device.deploy(manifest(agent="agent:9"), 61)
    [(_, patch)] = device.until(69)
    assert patch["lastDesiredStatus"] == {
        "code": 500,
        "description": "One or more errors occurred. (Failed to execute ExecutionPrerequisite command)",
    }


def test_a_list_that_fails_does_not_reset_restart_counts() -> None:
    device = running(manifest(m1=module("flaky:1")), {"flaky:1": ImageBehaviour(exits_after=7, exit_code=1)})
    device.until(200)
    count = device.reported["modules"]["m1"]["restartCount"]
    device.runtime.images.clear()
    device.runtime.list_error = HTTPStatus.NOT_IMPLEMENTED
    device.until(260)
    device.runtime.list_error = None
    device.until(300)
    assert device.reported["modules"]["m1"]["restartCount"] >= count > 0
