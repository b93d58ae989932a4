"""Twins as no hub should send them are judged all the same, and nothing secret of them is in any output."""

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import STATUS, changed, load_cases, outputs, twin_with

from status_core import State, evaluate
from status_core.__main__ import main
from status_core.kinds import not_an_agent_twin
from status_core.messages import MESSAGE_LIMIT

CASES = [case["twin"] for case in load_cases().values()]
BOUNDED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MARK = "hunter2"
GREAT = 18446744073709551616000007
SECRETS: dict[str, Any] = {
    "a text": f"{MARK}-correct-horse",
    "a text with half a character": f"\ud800{MARK}-\udfff-horse",
    "a text of many lines": f"begin\r\n{MARK}-first\r\n{MARK}-second\nend",
    "a number of more than 64 bits": GREAT,
}
"""What is hidden in a twin; the agent quotes it."""
SCHEMAS = ["2.0", "1.2", "99.1.7", "1", "", "\ud800", None, 3, 10**30, 1.5, True, ["1.0"], {"major": 1}]
HOSTILE: list[Any] = [None, {}, [], "", "\udfff", 2**64, -(10**40), 10**400, 1e308, True, {"$version": 2**65}]


def hiding(twin: Any, secret: Any) -> Any:
    """The twin with a secret wherever one may stand, in both sections, and an agent that quotes it."""
    changes: dict[str, Any] = {}
    for section in ("desired", "reported"):
        properties = twin["properties"][section]
        changes[f"{section}.runtime"] = {
            "settings": {"registryCredentials": {"r": {"address": "r.example", "password": secret}}}
        }
        for group in ("modules", "systemModules"):
            for name, module in {"keeper": {}, **(properties.get(group) or {})}.items():
                options = json.dumps({"Env": [secret], "Labels": {"key": secret}})
                changes[f"{section}.{group}.{name}"] = {
                    **module,
                    "env": {"PASSWORD": {"value": secret}},
                    "settings": {**module.get("settings", {}), "createOptions": options},
                }
    status = {"code": 200, **twin["properties"]["reported"].get("lastDesiredStatus", {})}
    lines = secret.splitlines() if isinstance(secret, str) else [str(secret)]
    return changed(twin, {**changes, STATUS: {**status, "description": f"cannot start with '{"' or '".join(lines)}'"}})


def printed_for(text: str) -> tuple[int, str]:
    """What `python -m status_core` makes of a text: its exit code, and all that it printed."""
    out = io.StringIO()
    with tempfile.NamedTemporaryFile() as file, redirect_stdout(out), redirect_stderr(out):
        file.write(text.encode("utf-8", "surrogatepass"))
        file.flush()
        return main([file.name]), out.getvalue()


def assert_nothing_secret(output: str) -> None:
    assert MARK not in output
    assert str(GREAT) not in output


def with_duplicates(value: Any, random: Random, *, last: bool = True) -> str:
    """JSON in which some keys are there twice, with an odd value before what was there, or after it.

    Args:
        last: Whether it may come after. Not so within the reported section, which has the text that quotes a secret:
            nothing could know that what is overwritten there is one.
    """
    if isinstance(value, dict):
        return "{" + ",".join(_members(value, random, last=last)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(with_duplicates(inner, random, last=last) for inner in value) + "]"
    return json.dumps(value)


def _members(value: dict[str, Any], random: Random, *, last: bool) -> Iterator[str]:
    for key, inner in value.items():
        true = f"{json.dumps(key)}:{with_duplicates(inner, random, last=last and key != 'reported')}"
        odd = f"{json.dumps(key)}:{json.dumps(random.choice(HOSTILE))}"
        chance = random.random()
        if chance < 0.1:
            yield from (odd, true)
        elif chance < 0.15 and last:
            yield from (true, odd)
        else:
            yield true


twins = st.sampled_from(CASES)
secrets = st.sampled_from(sorted(SECRETS))
randoms = st.integers(min_value=0).map(Random)


@settings(BOUNDED, max_examples=150)
@given(twins, secrets, randoms)
def test_a_twin_with_keys_that_are_there_twice_is_judged_by_the_last_of_them_and_gives_nothing_away(
    twin: Any, secret: str, random: Random
) -> None:
    text = with_duplicates(hiding(twin, SECRETS[secret]), random)
    code, printed = printed_for(text)
    last = json.loads(text)
    assert_nothing_secret(printed + outputs(last))
    if not_an_agent_twin(last) is None:
        assert (code, json.loads(printed)) == (0, json.loads(json.dumps(evaluate(last).as_json())))
    else:
        assert code == 2


@settings(BOUNDED, max_examples=150)
@given(twins, secrets, st.sampled_from(SCHEMAS), st.sampled_from(SCHEMAS))
def test_a_schema_version_that_nobody_knows_changes_no_state_and_gives_nothing_away(
    twin: Any, secret: str, desired: Any, reported: Any
) -> None:
    hidden = hiding(twin, SECRETS[secret])
    odd = changed(hidden, {"desired.schemaVersion": desired, "reported.schemaVersion": reported})
    assert states(odd) == states(hidden)
    assert_nothing_secret(outputs(odd))


def states(twin: Any) -> tuple[State, dict[str, str]]:
    status = evaluate(twin)
    return status.state, {name: module.state for name, module in status.modules.items()}


NUMBERS = ["18446744073709551616", "-" + "9" * 40, "1e400", "-1e400", "0.1e-400", "9" * 4299, "NaN", "-Infinity"]
PLACES = [
    "desired.$version",
    "reported.lastDesiredVersion",
    "reported.$version",
    "reported.lastDesiredStatus.code",
    "reported.modules.m1.exitCode",
    "reported.modules.m1.restartCount",
    "reported.modules.m1.lastExitTimeUtc",
    "reported.modules.m1.settings.image",
    "desired.modules.m1.status",
    "desired.modules.m1.startupOrder",
    "desired.$metadata.$lastUpdated",
    "version",
    "deviceId",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_numbers_that_no_column_holds_stand_anywhere_and_give_nothing_away(place: str, secret: str) -> None:
    marked = changed(hiding(twin_with(), SECRETS[secret]), {place: "<here>"})
    for number in NUMBERS:
        code, printed = printed_for(json.dumps(marked).replace('"<here>"', number))
        assert code == 0
        assert number not in printed or number in {"NaN", "-Infinity"}
        json.loads(printed, parse_constant=refuse)
        assert_nothing_secret(printed)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_a_number_of_more_digits_than_python_reads_is_reported_with_its_line_and_nothing_of_the_twin() -> None:
    marked = json.dumps(changed(hiding(twin_with(), SECRETS["a text"]), {"version": "<here>"}))
    code, printed = printed_for(marked.replace('"<here>"', "9" * 5000))
    assert code == 2
    assert printed.startswith("line 1: ")
    assert_nothing_secret(printed)


BIG = 500_000
PADDED = "".join(f"line {number} of a long text\n" for number in range(BIG // 25))


def many_modules() -> Any:
    module = {"type": "docker", "status": "running", "settings": {"image": "r.example/m:1", "createOptions": "{}"}}
    names = [f"module-{number:04}" for number in range(1000)]
    return twin_with({"desired.modules": dict.fromkeys(names, module), "reported.modules": {}})


LARGE: dict[str, Any] = {
    "many modules": many_modules,
    "a long env": lambda: twin_with({"reported.modules.m1.env": {"TEXT": {"value": PADDED}}}),
    "many values of env": lambda: twin_with(
        {"reported.modules.m1.env": {f"KEY{number}": {"value": f"value-{number}"} for number in range(BIG // 40)}}
    ),
    "long createOptions": lambda: twin_with(
        {"desired.modules.m1.settings.createOptions": json.dumps({"Labels": {"text": PADDED}})}
    ),
    "createOptions in many parts": lambda: twin_with(
        {
            f"desired.modules.m1.settings.createOptions{number or '':02}": PADDED[512 * number : 512 * number + 512]
            for number in range(100)
        }
    ),
    "a long name": lambda: twin_with({"desired.modules": {"m" * BIG: {"status": "running"}}}),
    "a long image": lambda: twin_with({"reported.modules.m1.settings.image": "m" * BIG}),
    "a long text of the agent": twin_with,
}


@pytest.mark.large
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("size", LARGE)
def test_a_twin_of_half_a_megabyte_is_judged_and_gives_nothing_away(size: str, secret: str) -> None:
    large = changed(LARGE[size](), {"desired.modules.keeper": {"env": {"PASSWORD": {"value": SECRETS[secret]}}}})
    text = PADDED if size == "a long text of the agent" else PADDED[:5000]
    for description in (str(SECRETS[secret]), f"{PADDED[:500]} {SECRETS[secret]} {text} {SECRETS[secret]}"):
        twin = changed(large, {f"{STATUS}.code": 500, f"{STATUS}.description": description})
        status = evaluate(twin)
        assert status.state is State.IN_PROGRESS
        assert len(status.message) <= MESSAGE_LIMIT
        assert all(len(module.message) <= MESSAGE_LIMIT for module in status.modules.values())
        assert_nothing_secret(outputs(twin))
