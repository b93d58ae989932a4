"""JSON objects have no order: the same twin is judged the same, whatever the order of its keys."""

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import GONE, changed, load_cases, twin_with

from status_core import GracePolicy, Transition, advance, evaluate, flag_unverified

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CASES = {name: case["twin"] for name, case in load_cases().items()}
BOUNDED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = ["m1", "M1", "m2", "vision", "Vision", "edge-hub", "$edgeHub"]
"""Some differ in their case alone, some are like names of system modules."""
STEPS = [
    "Error calling prepare update for module {}: Could not pull image r.example/x:2",
    'Error calling start module {}: runtime operation error: start module "x"',
    "Error calling Create module {}: no space left on device",
    "The operation was canceled.",
]
modules = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(
        st.sampled_from(["running", "stopped", "failed", "backoff", "unknown", GONE]),
        st.sampled_from(["r.example/m:1", "r.example/m:2", GONE]),
        st.sampled_from([0, 1, 137]),
    ),
    min_size=2,
)
descriptions = st.lists(
    st.tuples(st.sampled_from(STEPS), st.sampled_from(NAMES)).map(lambda step: f"({step[0].format(step[1])})"),
    max_size=4,
).map(" ".join)
configurations = st.dictionaries(
    st.sampled_from(["base", "layer-1", "layer-2", "Base"]),
    st.sampled_from(["Applied", "Targeted", "applied"]).map(lambda status: {"status": status}),
)


@st.composite
def troubled(draw: st.DrawFn) -> Any:
    """A twin with several modules, each in a trouble of its own, and an agent that names some of them."""
    changes: dict[str, Any] = {
        "reported.lastDesiredStatus": {"code": draw(st.sampled_from([200, 500])), "description": draw(descriptions)},
        "configurations": draw(configurations),
    }
    for name, (status, image, exit_code) in draw(modules).items():
        changes[f"desired.modules.{name}"] = {
            "type": "docker",
            "status": "running",
            "restartPolicy": "always",
            "settings": {"image": "r.example/m:1", "createOptions": "{}"},
        }
        reported = {"runtimeStatus": status, "exitCode": exit_code, "settings": {"image": image}}
        changes[f"reported.modules.{name}"] = {key: value for key, value in reported.items() if value is not GONE}
        if image is GONE:
            changes[f"reported.modules.{name}"] = GONE
    return twin_with(changes)


def reordered(value: Any, random: Random) -> Any:
    """The same JSON value with the keys of each of its objects in another order."""
    if isinstance(value, dict):
        return {key: reordered(value[key], random) for key in random.sample(list(value), len(value))}
    return [reordered(inner, random) for inner in value] if isinstance(value, list) else value


def verdict(twin: Any) -> str:
    """All that is said of a twin, in the order in which it is said."""
    return json.dumps(evaluate(twin).as_json())


def news(before: Any, after: Any) -> tuple[Transition, ...]:
    """What is announced by two looks, by a third that finds it stuck, and where the hub does not answer it."""
    record, first = advance(None, evaluate(before), NOW, GracePolicy())
    record, second = advance(record, evaluate(after), NOW, GracePolicy())
    later = NOW.replace(year=2027)
    _, third = advance(record, evaluate(after), later, GracePolicy())
    _, fourth = flag_unverified(record, later)
    return (*first, *second, *third, *fourth)


@pytest.mark.parametrize("name", CASES)
def test_a_golden_twin_is_judged_the_same_in_any_order(name: str) -> None:
    for seed in range(2):
        other = reordered(CASES[name], Random(seed))  # noqa: S311 (nothing secret)
        assert verdict(other) == verdict(CASES[name])


@settings(BOUNDED, max_examples=200)
@given(troubled(), st.randoms(use_true_random=False))
def test_a_device_with_several_troubles_is_judged_the_same_in_any_order(twin: Any, random: Random) -> None:
    assert verdict(reordered(twin, random)) == verdict(twin)


@settings(BOUNDED, max_examples=100)
@given(troubled(), troubled(), st.randoms(use_true_random=False))
def test_what_changes_is_announced_the_same_in_any_order(before: Any, after: Any, random: Random) -> None:
    later = changed(after, {"desired.$version": 13, "reported.lastDesiredVersion": 13})
    assert news(reordered(before, random), reordered(later, random)) == news(before, later)
