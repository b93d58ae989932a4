"""What the agent's own description of a failed plan means. The texts are those of several agent generations."""

import pytest

from status_core import Reason
from status_core.descriptions import explain

AGGREGATE = "One or more errors occurred."


@pytest.mark.parametrize("outstanding", [True, False])
@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("Error calling List modules: connection refused", Reason.RUNTIME_UNREACHABLE),
        (f"{AGGREGATE} (Error calling prepare update for module m1: Could not pull image r/m1:1)", Reason.PULL_FAILED),
        ("Could not pull image r/m1:1, manifest unknown", Reason.PULL_FAILED),
        ("pull access denied for r/m1, repository does not exist", Reason.PULL_FAILED),
        ("manifest for r/m1:9 not found", Reason.PULL_FAILED),
        ("Error calling prepare update for module m1: denied", Reason.PULL_FAILED),
        ("Error calling prepare update for module m1: A task was canceled.", Reason.PULL_TIMED_OUT),
        (f"{AGGREGATE} (Error calling start module m1: port is already allocated)", Reason.START_FAILED),
        ("Could not start module m1", Reason.START_FAILED),
        (f"{AGGREGATE} (Error calling stop module m1: No such container)", Reason.STOP_FAILED),
        ("Error calling remove module m1: conflict", Reason.STOP_FAILED),
        ("Error calling delete module m1: conflict", Reason.STOP_FAILED),
        ("Error calling create module m1: invalid mount", Reason.CREATE_FAILED),
        ("Error calling update module m1: invalid mount", Reason.CREATE_FAILED),
        ("ModuleStatus unknown is not a valid status.", Reason.STATUS_UNREADABLE),
        ("Unable to process module m1: identity could not be obtained", Reason.IDENTITY_FAILED),
        ("Could not get identities", Reason.IDENTITY_FAILED),
        ("Object reference not set to an instance of an object.", Reason.PLAN_FAILED),
        ("", Reason.PLAN_FAILED),
    ],
)
def test_a_step_that_is_named_is_the_reason_whatever_is_outstanding(
    description: str, reason: Reason, *, outstanding: bool
) -> None:
    assert explain(description, image_outstanding=outstanding).reason is reason
    assert explain(description.upper(), image_outstanding=outstanding).reason is reason


@pytest.mark.parametrize(
    "description",
    [
        f"{AGGREGATE} (The operation was canceled.) (The operation was canceled.)",
        "The request was canceled due to the configured HttpClient.Timeout of 100 seconds elapsing.",
        "The request was canceled due to the configured HttpClient.Timeout of 300 seconds elapsing.",
        "A task was canceled.",
        "The connection timed out",
        "time-out",
    ],
)
def test_a_canceled_call_is_a_pull_while_an_image_is_outstanding_and_else_a_slow_step(description: str) -> None:
    assert explain(description, image_outstanding=True).reason is Reason.PULL_TIMED_OUT
    assert explain(description, image_outstanding=False).reason is Reason.STEP_TIMED_OUT


def test_of_several_causes_the_one_that_hides_the_others_is_the_reason() -> None:
    both = f"{AGGREGATE} (Error calling List modules: no answer) (Error calling start module m1: no answer)"
    assert explain(both, image_outstanding=False).reason is Reason.RUNTIME_UNREACHABLE
    timed_out = "Error calling stop module m1: The operation was canceled."
    assert explain(timed_out, image_outstanding=True).reason is Reason.STOP_FAILED


@pytest.mark.parametrize(
    ("description", "modules"),
    [
        ("Error calling start module Camera-1: port", {"camera-1"}),
        ("(Error calling start module a: x) (Error calling prepare update for module 'b': y)", {"a", "b"}),
        ("Error calling List modules: no answer", set()),
        ("The operation was canceled.", set()),
    ],
)
def test_the_modules_that_a_text_names_are_found_without_case(description: str, modules: set[str]) -> None:
    assert modules == explain(description, image_outstanding=True).modules.keys()
