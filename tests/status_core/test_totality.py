"""Any JSON value at any place of a twin gives a status, any history is whole, and no secret leaves."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from history import History
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import load_cases, outputs

from status_core import (
    DeploymentStatus,
    DeviceRecord,
    GracePolicy,
    ModuleStatus,
    State,
    advance,
    evaluate,
    flag_unverified,
)
from status_core.kinds import lint_document, not_an_agent_twin
from status_core.messages import MESSAGE_LIMIT
from status_core.rules import RULES

RULE_IDS = {rule.__name__ for rule in RULES} | {"unknown_code"}
START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "hunter2-correct-horse"
BOUNDED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

type Path = tuple[str, ...]


def with_secrets(twin: dict[str, Any]) -> dict[str, Any]:
    """The twin with a secret wherever one may stand, and an agent that quotes it."""
    for section in ("desired", "reported"):
        properties = twin["properties"][section]
        properties.setdefault("modules", {})["keeper"] = {}
        for group in ("modules", "systemModules"):
            for module in properties.setdefault(group, {}).values():
                module["env"] = {"PASSWORD": {"value": f"{SECRET}-env"}}
                module.setdefault("settings", {})["createOptions"] = json.dumps(
                    {
                        "Env": [f"TOKEN={SECRET}-options"],
                        "Cmd": ["run", "--token", f"{SECRET}-command"],
                        "Labels": {"key": f"{SECRET}-label"},
                        "HostConfig": {"LogConfig": {"Config": {"key": f"{SECRET}-log"}}},
                    }
                )
        registry = {"address": "r.example", "username": f"{SECRET}-user", "password": f"{SECRET}-registry"}
        properties.setdefault("runtime", {})["settings"] = {"registryCredentials": {"r": registry}}
    quoted = (f"{SECRET}-{place}" for place in ("env", "options", "command", "label", "log", "user", "registry"))
    described = f"{' '.join(quoted)} SharedAccessKey={SECRET} (Error calling start module keeper: {SECRET}-env)"
    status = twin["properties"]["reported"].setdefault("lastDesiredStatus", {})
    status["description"] = f"{status.get('description', '')} {described}"
    return twin


def places(value: Any, path: Path = ()) -> list[Path]:
    """The path of every value of a twin, but for the many times inside `$metadata`."""
    found = [path]
    if isinstance(value, dict):
        for key, part in value.items():
            if "$metadata" not in path or key in {"$lastUpdated", "lastDesiredStatus"}:
                found += places(part, (*path, key))
    return found


def put(value: Any, path: Path, new: Any) -> Any:
    """A copy of a JSON value with another value at a path, or the same value where the path leads nowhere."""
    if not path:
        return new
    if not isinstance(value, dict):
        return value
    return {**value, path[0]: put(value.get(path[0]), path[1:], new)}


def nested(depth: int) -> Any:
    value: Any = "deep"
    for level in range(depth):
        value = [value] if level % 2 else {"modules": value}
    return value


CASES = [(case["twin"], places(case["twin"])) for case in load_cases().values()]
WITH_SECRETS = [(twin, places(twin)) for twin in (with_secrets(case["twin"]) for case in load_cases().values())]

words = ["running", "stopped", "failed", "backoff", "unknown", "never", "Applied", "$upstream:", "0001-01-01T00:00:00"]
hostile = ["", "$", "\ud800", "\x00\x1b[2J\r\n", "x" * 3000, "{version} {0} %s", "9999-12-31T23:59:59-14:00"]
numbers = [0, -1, 11, 12, 200, 400, 406, 412, 417, 500, 2**53, 2**63, 10**400, float("nan"), float("-inf")]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
known = st.sampled_from([*words, *hostile, *numbers])
# Made from a number: neither a great number nor a deep list can be written down.
great, deep = st.integers(400, 10_000).map(lambda digits: 10**digits), st.integers(20, 3000).map(nested)
keys = st.text(max_size=5) | st.sampled_from(
    ["modules", "systemModules", "edgeAgent", "image", "code", "$version", "\udfff"]
)
values = st.recursive(
    scalars | known | great | deep,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn, twins: list[tuple[Any, list[Path]]], most: int = 3) -> Any:
    """One of the twins with other values at one to `most` of its places."""
    twin, paths = twins[draw(st.integers(0, len(twins) - 1))]
    for _ in range(draw(st.integers(1, most))):
        twin = put(twin, draw(st.sampled_from(paths)), draw(values))
    return twin


@settings(BOUNDED, max_examples=800)
@given(mutated(CASES) | values)
def test_any_twin_gets_one_state_by_a_rule_that_exists_in_json_that_is_valid(twin: Any) -> None:
    status = evaluate(twin)
    assert status.rule in RULE_IDS
    assert status.state in State
    assert 0 < len(status.message) <= MESSAGE_LIMIT
    assert status.message.isprintable()
    text = json.dumps(status.as_json(), allow_nan=False)
    assert json.loads(text) == status.as_json()
    assert evaluate(twin) == status
    parts: list[DeploymentStatus | ModuleStatus] = [status, *status.modules.values()]
    for part in parts:
        assert part.message.isprintable()
        assert len(str(part.cause)) < 700
        assert str(part.cause).isprintable()
    assert len("".join(map(str, status.lint))) <= 8000


@settings(BOUNDED, max_examples=200)
@given(mutated(CASES), st.datetimes(timezones=st.just(UTC)))
def test_the_time_changes_messages_alone(twin: Any, now: datetime) -> None:
    timed, status = evaluate(twin, now=now), evaluate(twin)
    plain = [replace(part, message="") for part in (*timed.modules.values(), *status.modules.values())]
    half = len(plain) // 2
    assert plain[:half] == plain[half:]
    assert replace(timed, message="", modules={}) == replace(status, message="", modules={})


@settings(BOUNDED, max_examples=300)
@given(st.dictionaries(keys, values, max_size=3) | mutated(CASES))
def test_any_document_is_taken_or_refused_with_words_and_has_findings_that_fit_a_line(document: Any) -> None:
    if isinstance(document, dict):
        refused = not_an_agent_twin(document)
        assert refused is None or (refused.isprintable() and refused)
        for wrapped in (document, {"modulesContent": {"$edgeAgent": {"properties.desired": document}}}):
            for finding in lint_document(wrapped):
                assert str(finding).isprintable()
                assert len(str(finding)) <= 400


@settings(BOUNDED, max_examples=400)
@given(mutated(WITH_SECRETS, most=1))  # each secret stands in both sections: one is left, or the text is gone too
def test_no_secret_of_a_twin_leaves_the_core_in_whatever_state_the_rest_of_it_is(twin: Any) -> None:
    assert SECRET not in outputs(twin)


@settings(BOUNDED, max_examples=200)
@given(st.lists(st.tuples(mutated(CASES), st.integers(-100, 4000), st.booleans()), min_size=1, max_size=6))
def test_any_history_has_gapless_sequences_chained_states_and_times_that_never_run_back(
    looks: list[tuple[Any, int, bool]],
) -> None:
    record: DeviceRecord | None = None
    life, now = History(), START
    for twin, seconds, hub_answers in looks:
        now += timedelta(seconds=seconds)
        if hub_answers or record is None:
            record, transitions = advance(record, evaluate(twin), now, GracePolicy())
        else:
            record, transitions = flag_unverified(record, now)
        life.follow(record, transitions)


@settings(BOUNDED, max_examples=200)
@given(mutated(CASES), st.integers(1, 100_000))
def test_another_look_at_the_same_twin_at_the_same_moment_changes_nothing(twin: Any, seconds: int) -> None:
    status, now = evaluate(twin), START + timedelta(seconds=seconds)
    record, _ = advance(None, status, now, GracePolicy())
    record, _ = advance(record, status, now, GracePolicy())  # flags what was away for long at the first
    assert advance(record, status, now, GracePolicy()) == (record, ())
