"""The document's own rules, literally, beside the state that the app gives."""

from typing import Any

import pytest
from twins import ASKED, GONE, MODULE, STATUS, STOPPING, judged

from status_core import State


def documented(changes: dict[str, Any]) -> tuple[str, ...]:
    return judged(changes).documented


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "successful"),
        ({f"{MODULE}.runtimeStatus": "failed"}, "module_failed"),
        ({f"{STATUS}.code": 500, f"{MODULE}.settings.image": "old"}, "in_progress"),
        ({f"{STATUS}.code": 400}, "invalid"),
        ({f"{STATUS}.code": 412}, "invalid"),
        (STOPPING, "agent_unavailable"),
        ({f"{STATUS}.code": 417}, "empty"),
        ({"reported.lastDesiredVersion": 11}, "pending"),
        ({"desired": {}, "reported": {}}, "no_deployment"),
    ],
)
def test_document_and_app_agree_on_a_plain_twin(changes: dict[str, Any], state: str) -> None:
    status = judged(changes)
    assert (status.documented, status.state) == ((state,), state)


@pytest.mark.parametrize(
    ("changes", "rules", "state"),
    [
        ({"reported.lastDesiredVersion": 11, f"{STATUS}.code": 400}, ("pending",), State.INVALID),
        ({f"{MODULE}.settings.image": "registry.example/m1:0.9"}, (), State.IN_PROGRESS),
        ({f"{STATUS}.code": 500}, (), State.IN_PROGRESS),
        ({f"{ASKED}.settings.image": "m1", f"{MODULE}.settings.image": "m1:latest"}, (), State.SUCCESSFUL),
        ({f"{ASKED}.status": "stopped", f"{MODULE}.runtimeStatus": "failed"}, ("module_failed",), State.SUCCESSFUL),
        ({"reported.systemModules.edgeHub.runtimeStatus": "backoff"}, ("successful",), State.MODULE_FAILED),
        ({f"{MODULE}.runtimeStatus": "Running"}, ("module_failed",), State.SUCCESSFUL),
        ({"reported.systemModules.edgeHub.settings.image": "hub:0"}, ("successful",), State.IN_PROGRESS),
        (
            {f"{ASKED}.restartPolicy": "never", f"{MODULE}.runtimeStatus": "stopped"},
            ("module_failed",),
            State.SUCCESSFUL,
        ),
        ({"configurations": {"a": {"status": "Targeted"}}}, (), State.SUCCESSFUL),
        ({f"{STATUS}.code": 406}, ("agent_unavailable",), State.IN_PROGRESS),
        ({f"{STATUS}.code": 418}, (), State.UNCLASSIFIED),
        ({STATUS: GONE}, (), State.IN_PROGRESS),
    ],
)
def test_a_difference_between_document_and_app_is_visible(
    changes: dict[str, Any], rules: tuple[str, ...], state: State
) -> None:
    status = judged(changes)
    assert (rules, state) == (status.documented, status.state)


def test_both_an_empty_deployment_and_a_version_that_is_not_taken_may_hold() -> None:
    assert documented({"desired": {"$version": 13}}) == ("no_deployment", "pending")


def test_an_individual_deployment_is_judged_without_the_applied_clause() -> None:
    for configurations in (GONE, None, {}):
        assert documented({"configurations": configurations}) == ("successful",)


def test_a_section_in_which_nothing_is_applied_meets_no_rule() -> None:
    targeted = {"configurations": {"a": {"status": "Targeted"}}}
    assert documented(targeted) == ()
    assert documented({**targeted, "desired": {"$version": 13}}) == ("no_deployment",)


def test_an_absent_operand_equals_only_another_absent_one() -> None:
    versions = {"desired.$version": GONE, "reported.lastDesiredVersion": GONE}
    assert documented(versions) == ("successful",)
    assert documented({"desired.$version": GONE}) == ("pending",)
    assert documented({f"{ASKED}.settings.image": GONE, f"{MODULE}.settings": 5}) == ("successful",)


@pytest.mark.parametrize("odd", [{}, [], {"a": 1}, [200]])
def test_objects_and_lists_equal_nothing_not_even_themselves(odd: Any) -> None:
    assert documented({"desired.$version": odd, "reported.lastDesiredVersion": odd}) == ("pending",)
    assert documented({f"{STATUS}.code": odd}) == ()


def test_a_truth_value_is_no_number() -> None:
    assert documented({"desired.$version": 1, "reported.lastDesiredVersion": True}) == ("pending",)
    assert documented({"desired.$version": True, "reported.lastDesiredVersion": True}) == ("successful",)


def test_a_code_in_text_is_no_code() -> None:
    assert documented({f"{STATUS}.code": "200"}) == ()
    assert documented({f"{STATUS}.code": 200.0}) == ("successful",)
