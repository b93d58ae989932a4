"""The borders between rules that no golden case crosses."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from status_core import DeploymentStatus, GracePolicy, Kind, ModuleState, Reason, State, advance, deletion, evaluate

SUCCESS = json.loads(next((Path(__file__).parents[1] / "cases").glob("003_*.json")).read_bytes())["twin"]
BEFORE, AFTER = "2024-05-02T08:00:00Z", "2024-05-02T10:00:00Z"


def judge(
    code: Any = 200, description: str = "", version: int = 11, agent: str | None = "running", reported: str = AFTER
) -> DeploymentStatus:
    """The status of the document's successful twin with another report."""
    twin = copy.deepcopy(SUCCESS)
    properties = twin["properties"]
    properties["desired"]["$version"] = version
    properties["reported"]["lastDesiredStatus"] = {"code": code, "description": description}
    properties["reported"]["$metadata"]["lastDesiredStatus"]["$lastUpdated"] = reported
    properties["reported"]["systemModules"]["edgeAgent"]["runtimeStatus"] = agent
    return evaluate(twin)


def test_a_rejection_from_before_the_version_is_about_an_older_one() -> None:
    assert judge(400, version=12, reported=BEFORE).state is State.PENDING
    assert judge(400, version=12, reported="").state is State.PENDING
    assert judge(412, version=12).state is State.INVALID
    assert judge(412, version=12).reason is Reason.SCHEMA_VERSION_REJECTED


def test_a_later_version_than_the_desired_is_pending_and_flagged() -> None:
    status = judge(version=10)
    assert (status.state, status.reason, status.flags) == (State.PENDING, "version_regressed", ("version_regressed",))


def test_406_without_description_from_an_agent_that_runs_is_an_old_agent_between_two_tries() -> None:
    assert judge(406).state is State.IN_PROGRESS
    assert judge(406).reason is Reason.RETRYING
    assert judge(406, agent="unknown").state is State.AGENT_UNAVAILABLE
    assert judge(406, agent=None).state is State.AGENT_UNAVAILABLE
    assert judge(406, "Agent is not running").state is State.AGENT_UNAVAILABLE


def test_417_for_a_version_that_is_not_empty_is_empty() -> None:
    assert judge(417).state is State.EMPTY


@pytest.mark.parametrize("code", [True, "200", 201, None, {}, 200.5])
def test_a_code_that_no_agent_reports_is_unclassified(code: Any) -> None:
    assert judge(code).state is State.UNCLASSIFIED


def test_a_missing_status_of_a_version_that_is_taken_is_in_progress() -> None:
    twin = copy.deepcopy(SUCCESS)
    del twin["properties"]["reported"]["lastDesiredStatus"]
    status = evaluate(twin)
    assert (status.state, status.reason) == (State.IN_PROGRESS, Reason.STATUS_MISSING)


def test_an_agent_whose_image_is_not_reported_does_not_keep_the_device_from_success() -> None:
    twin = copy.deepcopy(SUCCESS)
    del twin["properties"]["reported"]["systemModules"]["edgeAgent"]["settings"]
    status = evaluate(twin)
    assert status.state is State.SUCCESSFUL
    assert status.modules["$edgeAgent"].state is ModuleState.UNKNOWN


def test_a_job_that_ran_once_and_ended_well_is_settled() -> None:
    twin = copy.deepcopy(SUCCESS)
    twin["properties"]["desired"]["modules"]["m1"]["restartPolicy"] = "Never"
    module = twin["properties"]["reported"]["modules"]["m1"]
    module |= {"runtimeStatus": "stopped", "exitCode": 0}
    assert evaluate(twin).modules["m1"].reason is Reason.FINISHED
    module["lastStartTimeUtc"] = "0001-01-01T00:00:00"
    assert evaluate(twin).state is State.MODULE_FAILED


def test_a_module_that_asks_for_no_image_and_is_not_there_is_missing() -> None:
    twin = copy.deepcopy(SUCCESS)
    twin["properties"]["desired"]["modules"]["m2"] = {"status": "running"}
    assert evaluate(twin).modules["m2"].state is ModuleState.MISSING


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("Error calling prepare update for module m1: A task was canceled.", Reason.PULL_TIMED_OUT),
        ("Error calling prepare update for module m1: denied", Reason.PULL_FAILED),
        ("Error calling stop module m1: No such container", Reason.STOP_FAILED),
        ("Error calling List modules: no answer", Reason.RUNTIME_UNREACHABLE),
        ("ModuleStatus unknown is not a valid status.", Reason.STATUS_UNREADABLE),
        ("The operation was canceled.", Reason.STEP_TIMED_OUT),
        ("something else", Reason.PLAN_FAILED),
    ],
)
def test_a_text_of_the_agent_gives_a_reason(description: str, reason: Reason) -> None:
    status = judge(500, description)
    assert (status.state, status.reason) == (State.IN_PROGRESS, reason)


def test_what_can_be_no_module_is_none() -> None:
    twin = copy.deepcopy(SUCCESS)
    twin["properties"]["desired"]["modules"] |= {"": {}, "$metadata": {}, "removed": None}
    assert set(evaluate(twin).modules) == {"$edgeAgent", "$edgeHub", "m1"}


@pytest.mark.parametrize("stamp", ["yesterday", 5, "9999-12-31T23:59:59-14:00", "0500-01-01T00:00:00Z"])
def test_a_stamp_that_is_no_time_of_a_hub_reads_as_absent(stamp: Any) -> None:
    twin = copy.deepcopy(SUCCESS)
    for section in ("desired", "reported"):
        twin["properties"][section]["$metadata"]["$lastUpdated"] = stamp
    assert evaluate(twin).changed is None


def test_a_number_that_no_column_holds_is_shown_by_its_kind() -> None:
    assert judge(10**400).evidence[0].value == "<number>"


def test_a_deletion_is_the_last_transition_of_a_device() -> None:
    now = datetime(2024, 5, 2, 12, tzinfo=UTC)
    record, transitions = advance(None, judge(), now, GracePolicy(), last_sequence=7)
    last = deletion(record, now)
    assert [item.sequence for item in transitions] == [8, 9, 10]
    assert (last.sequence, last.change.kind, last.change.to_state) == (11, Kind.DELETED, "")
    assert last.duration == (now - record.since).total_seconds()
