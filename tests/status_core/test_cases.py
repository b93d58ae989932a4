"""The golden cases: twins with the state and the document's rules that each must get."""

import json
import subprocess
import sys
from typing import Any

import pytest
from twins import load_cases

from status_core import Flag, ModuleState, Portal, State, evaluate

CASES = load_cases()
FLAGS = {
    "018_no_deployment_targeted_only_417": (Flag.NOT_CREDITED,),
    "022_agent_stopped_self_update": (Flag.AGENT_UNAVAILABLE,),
    "094_only_targeted_manual_deployment_in_force": (Flag.NOT_CREDITED,),
    "096_configuration_status_unknown_word": (Flag.NOT_CREDITED,),
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_gets_its_state_and_the_documents_literal_rules(name: str) -> None:
    status = evaluate(CASES[name]["twin"])
    expected = CASES[name]["expected"]
    assert expected["state"] == status.state
    assert set(expected["documented_rules"]) == set(status.documented)


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_the_flags_that_are_due_and_no_other(name: str) -> None:
    assert FLAGS.get(name, ()) == evaluate(CASES[name]["twin"]).flags


@pytest.mark.parametrize("name", CASES)
def test_the_modules_of_a_case_bear_its_state_out(name: str) -> None:
    status = evaluate(CASES[name]["twin"])
    states = {module.state for module in status.modules.values()} - {ModuleState.EXTRA}
    if status.state is State.SUCCESSFUL:
        assert states == {ModuleState.SETTLED}
    elif status.state is State.MODULE_FAILED:
        assert states <= {ModuleState.SETTLED, ModuleState.WRONG_STATUS}
        assert ModuleState.WRONG_STATUS in states
    elif status.state in {State.PENDING, State.INVALID, State.EMPTY}:
        assert states <= {ModuleState.PENDING}
    elif status.state is State.AGENT_UNAVAILABLE:
        assert states == {ModuleState.UNKNOWN}
    elif status.state is State.NO_DEPLOYMENT:
        assert not states


def test_the_hubs_own_counters_differ_from_the_state_where_they_look_at_no_module() -> None:
    counted = {name: evaluate(case["twin"]).portal for name, case in CASES.items()}
    assert counted["026_500_image_pull_timed_out_net6"] is Portal.FAILED
    assert counted["046_200_wait_for_all_pulls_false_success"] is Portal.SUCCESSFUL
    assert counted["048_200_module_backoff"] is Portal.SUCCESSFUL
    assert counted["010_invalid_400_real_version_lag"] is Portal.APPLIED
    assert counted["094_only_targeted_manual_deployment_in_force"] is None


def test_the_command_gives_every_case_the_status_that_the_function_gives() -> None:
    twins: list[Any] = [case["twin"] for case in CASES.values()]
    command = [sys.executable, "-m", "status_core"]
    lines = "\n".join(json.dumps(twin) for twin in twins)
    result = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    statuses = [json.loads(line) for line in result.stdout.splitlines()]
    assert [case["expected"]["state"] for case in CASES.values()] == [status["state"] for status in statuses]
    assert [evaluate(twin).as_json() for twin in twins] == statuses
    assert result.stderr == ""
