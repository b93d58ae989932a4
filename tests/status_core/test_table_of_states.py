"""The table of states, written down a second time, agrees with the rules on twins with every mix of values."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import GONE, load_cases, twin_with

from status_core import State, evaluate

type Object = dict[str, Any]


def part(value: Any, *keys: str) -> Any:
    """The value at a path; None where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def by_the_table(twin: Object) -> State:  # noqa: PLR0911 (one for each line of the table)
    """The state that the table gives: one `return` for each of its lines, in their order."""
    desired, reported = twin["properties"]["desired"], twin["properties"]["reported"]
    version, taken = desired.get("$version"), reported.get("lastDesiredVersion")
    code, agent = part(reported, "lastDesiredStatus", "code"), part(reported, "systemModules", "edgeAgent")
    is_taken = isinstance(taken, int) and taken == version
    if not [key for key in desired if key[0] != "$"]:
        return State.NO_DEPLOYMENT
    if code in {400, 412} and (is_taken or is_about_this_version(desired, reported)):
        return State.INVALID
    if not is_taken:
        return State.PENDING
    if code == 406:
        is_silent = not (part(reported, "lastDesiredStatus", "description") or "").strip()
        is_alive = (part(agent, "runtimeStatus") or "unknown").lower() != "unknown"
        return State.IN_PROGRESS if is_silent and is_alive else State.AGENT_UNAVAILABLE
    if code == 417:
        return State.EMPTY
    if code == 500 or reported.get("lastDesiredStatus") is None:
        return State.IN_PROGRESS
    if code != 200:
        return State.UNCLASSIFIED
    pairs = desired_and_reported(desired, reported)
    agent_image, wanted_image = image(agent), image(part(desired, "systemModules", "edgeAgent"))
    is_other_agent = agent_image is not None and wanted_image is not None and not same(wanted_image, agent_image)
    if is_other_agent or any(found is None or not has_image(wanted, found) for wanted, found in pairs):
        return State.IN_PROGRESS
    return State.SUCCESSFUL if all(in_status(wanted, found) for wanted, found in pairs) else State.MODULE_FAILED


def is_about_this_version(desired: Object, reported: Object) -> bool:
    changed = time(part(desired, "$metadata", "$lastUpdated"))
    answered = time(part(reported, "$metadata", "lastDesiredStatus", "$lastUpdated"))
    return changed is not None and answered is not None and answered >= changed


def desired_and_reported(desired: Object, reported: Object) -> list[tuple[Object, Object | None]]:
    """Each desired module, edgeHub included and edgeAgent not, with the reported one."""
    pairs = [(entry, part(reported, "modules", name)) for name, entry in (desired.get("modules") or {}).items()]
    return [*pairs, (part(desired, "systemModules", "edgeHub"), part(reported, "systemModules", "edgeHub"))]


def image(module: Object | None) -> Any:
    return part(module, "settings", "image")


def has_image(wanted: Object, found: Object) -> bool:
    return image(found) is not None and same(image(wanted), image(found))


def same(wanted: str, found: str) -> bool:
    wanted, found = with_tag(wanted.strip()), with_tag(found.strip())
    if wanted.startswith("$upstream:"):
        return wanted.split(":", 1)[1] == found.split(":", 1)[1]
    return wanted == found


def with_tag(reference: str) -> str:
    name = reference.rsplit("/", maxsplit=1)[-1]
    return reference if ":" in name or "@" in name else reference + ":latest"


def in_status(wanted: Object, found: Object | None) -> bool:
    desired, runtime = wanted["status"].lower(), (part(found, "runtimeStatus") or "").lower()
    if desired == "stopped":
        return runtime in {"stopped", "failed"}
    started = time(part(found, "lastStartTimeUtc"))
    is_job = wanted.get("restartPolicy") == "never" and started is not None and started.year > 1
    return runtime == "running" or (is_job and runtime == "stopped" and part(found, "exitCode") == 0)


TIMES = ["2026-01-01T08:59:59Z", "2026-01-01T09:00:00Z", "2026-01-01T09:00:01.5Z", "soon", GONE]
RUNTIME = ["running", "Running", "stopped", "failed", "backoff", "unhealthy", "dead", "unknown", "odd", GONE]
FIRST_IMAGE, OTHER_IMAGES = (
    "registry.example/m1:1.0",
    ["registry.example/m1", "r:5000/m1@sha256:ab", " m1:latest ", "m1"],
)
VALUES: dict[str, list[Any]] = {
    "desired": [{"$version": 12}, {"$version": 12, "$metadata": {"$lastUpdated": TIMES[0]}}],
    "desired.$version": [11, 12, 13, GONE],
    "reported.lastDesiredVersion": [11, 12, 13, None, "12", GONE],
    "reported.lastDesiredStatus": [None, GONE, {}],
    "reported.lastDesiredStatus.code": [200, 200, 200, 400, 406, 412, 417, 418, 500, "200", None, GONE],
    "reported.lastDesiredStatus.description": ["", " ", "Agent is not running", "A task was canceled.", GONE],
    "desired.$metadata.$lastUpdated": TIMES,
    "reported.$metadata.lastDesiredStatus.$lastUpdated": TIMES,
    "configurations": [GONE, {}, {"a": {"status": "Targeted"}}],
    "reported.modules": [GONE, {}],
    "reported.systemModules.edgeAgent.settings.image": [
        "registry.example/agent:1.4",
        " registry.example/agent:1.5",
        GONE,
    ],
    "reported.systemModules.edgeAgent.runtimeStatus": RUNTIME,
    "reported.systemModules.edgeHub": [GONE, {"type": "Unknown", "status": "unknown"}],
    "reported.systemModules.edgeHub.runtimeStatus": RUNTIME,
    "desired.modules.m1.status": ["running", "stopped", "Stopped", "RUNNING"],
    "desired.modules.m1.restartPolicy": ["never", "always", "on-failure", GONE],
    "desired.modules.m1.settings.image": [FIRST_IMAGE, *OTHER_IMAGES, "$upstream:443/m1:1", "$upstream:443/m1"],
    "reported.modules.m1": [GONE, None],
    "reported.modules.m1.settings.image": [FIRST_IMAGE, *OTHER_IMAGES, "parent:443/m1:1", "parent:443/m1:latest", GONE],
    "reported.modules.m1.runtimeStatus": RUNTIME,
    "reported.modules.m1.exitCode": [0, 1, 137, GONE],
    "reported.modules.m1.lastStartTimeUtc": ["0001-01-01T00:00:00", GONE],
    "reported.modules.extra": [{"runtimeStatus": "failed", "settings": {"image": "extra:1"}}],
}
"""Values by dotted path; those that replace a parent come before those that go into it."""


def mixed(drawn: dict[str, Any]) -> Object:
    """A healthy twin with the drawn values, in the order of the table above; what replaces a parent stays whole."""
    changes: dict[str, Any] = {}
    for path in VALUES:
        if path in drawn and not any(path.startswith(f"{parent}.") for parent in changes):
            changes[path] = drawn[path]
    return twin_with(changes)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional={path: st.sampled_from(values) for path, values in VALUES.items()}))
def test_the_table_and_the_rules_agree_on_every_mix_of_values(drawn: dict[str, Any]) -> None:
    twin = mixed(drawn)
    assert by_the_table(twin) is evaluate(twin).state


@pytest.mark.parametrize("path", VALUES)
def test_the_table_and_the_rules_agree_where_one_value_differs(path: str) -> None:
    for value in VALUES[path]:
        twin = twin_with({path: value})
        assert by_the_table(twin) is evaluate(twin).state, value


def test_the_table_gives_the_golden_cases_their_states() -> None:
    for name, case in load_cases().items():
        assert case["expected"]["state"] == by_the_table(case["twin"]), name
