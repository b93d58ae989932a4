"""Any JSON value at any place of a twin gives a status, and no secret leaves."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from status_core import DeviceRecord, GracePolicy, Kind, advance, evaluate
from status_core.rules import RULES

CASES = [json.loads(path.read_bytes())["twin"] for path in sorted((Path(__file__).parents[1] / "cases").glob("*.json"))]
RULE_IDS = {rule.__name__ for rule in RULES} | {"unknown_code"}
START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "hunter2-correct-horse"

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars | st.sampled_from([200, 400, 406, 412, 417, 500, "running", "stopped", "backoff", "\ud800", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, part in value.items():
            if key != "$metadata" or len(path) < 3:
                found += places(part, (*path, key))
    return found


PLACES = [places(case) for case in CASES]


@st.composite
def mutated_twins(draw: st.DrawFn) -> Any:
    index = draw(st.integers(0, len(CASES) - 1))
    twin = copy.deepcopy(CASES[index])
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PLACES[index]))
        value = draw(values)
        if not path:
            return value
        parent = twin
        for key in path[:-1]:
            parent = parent.get(key) if isinstance(parent, dict) else None
        if isinstance(parent, dict):
            parent[path[-1]] = value
    return twin


@settings(max_examples=400, deadline=None)
@given(mutated_twins())
def test_any_twin_gets_one_state_by_a_rule_and_valid_json(twin: Any) -> None:
    status = evaluate(twin)
    assert status.rule in RULE_IDS
    assert len(status.message) <= 1024
    assert status.message.isprintable()
    json.loads(json.dumps(status.as_json(), allow_nan=False))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(mutated_twins(), st.integers(0, 4000)), min_size=1, max_size=5))
def test_any_history_has_gapless_sequences_chained_states_and_times_that_never_run_back(
    history: list[tuple[Any, int]],
) -> None:
    record: DeviceRecord | None = None
    now, sequence, last_at = START, 0, None
    states: dict[str, str] = {}
    for twin, seconds in history:
        now += timedelta(seconds=seconds)
        record, transitions = advance(record, evaluate(twin), now, GracePolicy())
        for transition in transitions:
            change = transition.change
            sequence += 1
            assert transition.sequence == sequence
            assert last_at is None or transition.at >= last_at
            last_at = transition.at
            if change.kind in {Kind.DEVICE, Kind.MODULE}:
                assert change.from_state == states.get(change.module, "")
                assert change.to_state != change.from_state
                states[change.module] = change.to_state
        assert record.sequence == sequence


def test_no_secret_of_a_twin_is_in_its_status_even_where_the_agent_quotes_it() -> None:
    twin = copy.deepcopy(CASES[27])
    options = json.dumps({"Env": [f"TOKEN={SECRET}-option"]})
    properties = twin["properties"]
    for section in ("desired", "reported"):
        for module in properties[section]["modules"].values():
            module["env"] = {"PASSWORD": {"value": f"{SECRET}-env"}}
            module["settings"]["createOptions"] = options
        registry = {"address": "r.azurecr.io", "username": "puller", "password": f"{SECRET}-registry"}
        properties[section]["runtime"]["settings"]["registryCredentials"] = {"r": registry}
    properties["reported"]["lastDesiredStatus"] = {
        "code": 500,
        "description": f"bad {SECRET}-env and {SECRET}-option and {SECRET}-registry at r.azurecr.io",
    }
    status = evaluate(twin)
    record, transitions = advance(None, status, START, GracePolicy())
    seen = json.dumps(status.as_json()) + repr(status) + repr(record) + repr(transitions)
    assert SECRET not in seen
    assert "r.azurecr.io" in status.message
