"""A twin is judged in a time that follows its size: steps are counted, and no pattern can run back over a text."""

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from twins import ASKED, MODULE, STATUS, twin_with

import status_core
from status_core import evaluate
from status_core.descriptions import DESCRIPTION_LIMIT

FOLDER = Path(status_core.__file__).parent
PARSER = import_module("re._parser")  # nothing public gives the parts of a pattern
AGGREGATE = "One or more errors occurred."
PULL = "Error calling prepare update for module m1: Could not pull image r/m1:2\n\tcaused by: "
EARLIER = {"reported.lastDesiredVersion": 11}
CREDENTIALS = "reported.runtime.settings.registryCredentials"
FAILED = {f"{STATUS}.code": 500, f"{STATUS}.description": f"{AGGREGATE} ({PULL}unauthorized: secret-12345)"}


def steps(twin: Any) -> int:
    """The lines of the core that run while a twin is judged."""
    counted = 0

    def count(code: Any, _line: int) -> Any:
        nonlocal counted
        if not code.co_filename.startswith(str(FOLDER)):
            return sys.monitoring.DISABLE
        counted += 1
        return None

    tool, events = sys.monitoring.PROFILER_ID, sys.monitoring.events
    sys.monitoring.use_tool_id(tool, "steps")
    try:
        sys.monitoring.register_callback(tool, events.LINE, count)
        sys.monitoring.set_events(tool, events.LINE)
        evaluate(twin)
    finally:
        sys.monitoring.set_events(tool, events.NO_EVENTS)
        sys.monitoring.free_tool_id(tool)
    return counted


def many(count: int) -> dict[str, Any]:
    return {
        f"module-{number}": {"type": "docker", "status": "running", "settings": {"image": f"r/m{number}:1"}}
        for number in range(count)
    }


def env(count: int) -> dict[str, Any]:
    return {f"KEY{number}": {"value": f"secret-{number} of {number % 7}"} for number in range(count)}


GROWING: dict[str, Callable[[int], dict[str, Any]]] = {
    "a description": lambda size: {**FAILED, f"{STATUS}.description": f"{AGGREGATE} ({PULL}{'x' * size})"},
    "a description of steps": lambda size: {
        **FAILED,
        f"{STATUS}.description": f"{AGGREGATE} " + f"({PULL}unauthorized) " * (size // 100),
    },
    "a description of brackets": lambda size: {**FAILED, f"{STATUS}.description": "(" * size + f"{AGGREGATE} (" * size},
    "a description of quotes": lambda size: {**FAILED, f"{STATUS}.description": "module m1: \"'" * size},
    "a name": lambda size: {**FAILED, "desired.modules": {"m" * size: {"status": "running"}}},
    "names": lambda size: {**FAILED, "desired.modules": many(size // 50), "reported.modules": {}},
    "names while nothing is taken": lambda size: {
        "reported.lastDesiredVersion": 11,
        "desired.modules": many(size // 50),
    },
    "an image": lambda size: {**FAILED, f"{MODULE}.settings.image": "r/" * size, f"{ASKED}.settings.image": ":" * size},
    "a status": lambda size: {f"{MODULE}.runtimeStatus": " x" * size, f"{ASKED}.status": "x@" * size},
    "a value of env": lambda size: {**FAILED, f"{MODULE}.env": {"A": {"value": "a=b;c " * size}}},
    "values of env": lambda size: {**FAILED, f"{MODULE}.env": env(size // 20)},
    "values that the text holds the words of": lambda size: {
        f"{STATUS}.code": 500,
        f"{STATUS}.description": "secret of 1 2 3 4 5 6 " * 700,
        f"{MODULE}.env": {
            f"K{number}": {"value": f"{'secret of ' * (number % 40)}{number % 7}"} for number in range(size // 20)
        },
    },
    "createOptions": lambda size: {**FAILED, f"{ASKED}.settings.createOptions": '{"Env":["A=' + "b c=" * size + '"]}'},
    "createOptions that are no JSON": lambda size: {
        **FAILED,
        **EARLIER,
        f"{ASKED}.settings.createOptions": "{'a':" * size,
    },
    "createOptions in parts": lambda size: {
        **FAILED,
        **EARLIER,
        f"{ASKED}.settings": {"image": "m1", "createOptions": '{"a": 1}'}
        | {f"createOptions{number:02}": "{'a':" * (size // 100) for number in range(1, 100)},
    },
    "credentials": lambda size: {
        **FAILED,
        CREDENTIALS: {"r": {"password": "p-" * size}},
    },
    "the names of deployments": lambda size: {
        "configurations": {f"layer-{number}": {"status": "Applied"} for number in range(size // 20)}
    },
    "a time": lambda size: {"reported.$metadata.$lastUpdated": "2026-01-01T00:00:00." + "0" * size},
}


@pytest.mark.parametrize("what", GROWING)
def test_four_times_the_text_takes_no_more_than_four_times_the_steps(what: str) -> None:
    small, large = (steps(twin_with(GROWING[what](size))) for size in (10_000, 40_000))
    assert large <= 4.1 * small


@pytest.mark.parametrize("what", [name for name in GROWING if name.startswith("a description")])
def test_a_description_of_a_megabyte_takes_no_more_steps_than_its_limit(what: str) -> None:
    limit, megabyte = (steps(twin_with(GROWING[what](size))) for size in (3 * DESCRIPTION_LIMIT, 1_000_000))
    assert megabyte <= 1.1 * limit


def patterns() -> list[str]:
    """Every regular expression of the core."""
    modules = [import_module(f"status_core.{path.stem}") for path in sorted(FOLDER.glob("[a-z]*.py"))]
    return sorted(
        {value.pattern for module in modules for value in vars(module).values() if isinstance(value, re.Pattern)}
    )


def repeats(parsed: Any, *, inside: bool = False) -> list[Any]:
    """The parts of a pattern that repeat without a limit, and begin a repetition of the same kind or take any text."""
    found: list[Any] = []
    for position, (operation, value) in enumerate(parsed):
        name = str(operation)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            _, most, inner = value
            is_endless = str(most) == "MAXREPEAT"
            takes_all = [str(part) for part, _ in inner] == ["ANY"]
            if is_endless and (takes_all or (inside and position == 0)):
                found.append(inner)
            found += repeats(inner, inside=is_endless)
        elif name == "SUBPATTERN":
            found += repeats(value[3], inside=inside)
        elif name == "BRANCH":
            for branch in value[1]:
                found += repeats(branch, inside=inside)
    return found


@pytest.mark.parametrize("pattern", patterns())
def test_no_pattern_repeats_any_text_or_what_begins_with_a_repetition(pattern: str) -> None:
    parsed: Any = PARSER.parse(pattern)
    assert repeats(parsed) == []


def test_the_check_of_patterns_finds_those_that_run_back() -> None:
    for bad in (r"(a+)+", r"(?:a*|b)*", r"(?:\w+\s?)*", "manifest for .* not found", "(?:a.+?)b"):
        parsed: Any = PARSER.parse(bad)
        assert repeats(parsed) != []
