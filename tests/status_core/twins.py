"""A healthy `$edgeAgent` twin, and what stands in its place in a test."""

import copy
import json
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

from status_core import DeploymentStatus, GracePolicy, ModuleStatus, advance, evaluate, flag_unverified


class Value(Enum):
    """What stands for no value of JSON."""

    GONE = "gone"
    """The key is not there."""


GONE: Final[object] = Value.GONE
MODULE: Final = "reported.modules.m1"
ASKED: Final = "desired.modules.m1"
AGENT: Final = "reported.systemModules.edgeAgent"
STATUS: Final = "reported.lastDesiredStatus"
STOPPING: Final = {
    f"{STATUS}.code": 406,
    f"{STATUS}.description": "Agent is not running",
    f"{AGENT}.runtimeStatus": "unknown",
}
DESIRED_AT: Final = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
REPORTED_AT: Final = datetime(2026, 1, 1, 9, 2, tzinfo=UTC)


def load_cases() -> dict[str, dict[str, Any]]:
    """The golden cases by file name."""
    folder = Path(__file__).parents[1] / "cases"
    return {path.stem: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def _desired(image: str) -> dict[str, Any]:
    settings = {"image": image, "createOptions": "{}"}
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings}


def _reported(image: str) -> dict[str, Any]:
    module = {**_desired(image), "runtimeStatus": "running", "exitCode": 0}
    return {**module, "lastStartTimeUtc": "2026-01-01T09:01:30.1234567Z", "restartCount": 0, "env": {}}


_HEALTHY: Final[dict[str, Any]] = {
    "deviceId": "edge-01",
    "moduleId": "$edgeAgent",
    "version": 200,
    "deviceEtag": "NzgwNjA1MDUz",
    "configurations": {"at-scale1": {"status": "Applied"}},
    "properties": {
        "desired": {
            "schemaVersion": "1.1",
            "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25"}},
            "systemModules": {
                "edgeAgent": {"type": "docker", "settings": {"image": "registry.example/agent:1.5"}},
                "edgeHub": _desired("registry.example/hub:1.5"),
            },
            "modules": {"m1": _desired("registry.example/m1:1.0")},
            "$metadata": {"$lastUpdated": DESIRED_AT.isoformat()},
            "$version": 12,
        },
        "reported": {
            "schemaVersion": "1.0",
            "version": {"version": "1.5.0"},
            "lastDesiredVersion": 12,
            "lastDesiredStatus": {"code": 200, "description": ""},
            "runtime": {"type": "docker"},
            "systemModules": {
                "edgeAgent": _reported("registry.example/agent:1.5"),
                "edgeHub": _reported("registry.example/hub:1.5"),
            },
            "modules": {"m1": _reported("registry.example/m1:1.0")},
            "$metadata": {
                "$lastUpdated": REPORTED_AT.isoformat(),
                "lastDesiredStatus": {"$lastUpdated": REPORTED_AT.isoformat()},
            },
            "$version": 300,
        },
    },
}


def changed(twin: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with other values at dotted paths; `desired.` and `reported.` are under properties."""
    twin = copy.deepcopy(twin)
    for path, value in changes.items():
        keys = path.split(".")
        place: dict[str, Any] = twin["properties"] if keys[0] in {"desired", "reported"} else twin
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        if value is GONE:
            place.pop(keys[-1], None)
        else:
            place[keys[-1]] = value
    return twin


def twin_with(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The healthy twin with other values."""
    return changed(_HEALTHY, changes or {})


def judged(changes: dict[str, Any] | None = None) -> DeploymentStatus:
    """The status of the healthy twin with other values."""
    return evaluate(twin_with(changes))


def outputs(twin: Any) -> str:
    """Every output of the core for a twin as text: at the first look, once stuck, and while the hub is silent."""
    status = evaluate(twin)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    record, transitions = advance(None, status, now, GracePolicy())
    later = now.replace(year=2027)
    stuck, doubted = advance(record, status, later, GracePolicy()), flag_unverified(record, later)
    return json.dumps(status.as_json(), allow_nan=False) + repr((status, record, transitions, stuck, doubted))


def module(changes: dict[str, Any], name: str = "m1") -> ModuleStatus:
    """The status of one module of that twin."""
    return judged(changes).modules[name]
