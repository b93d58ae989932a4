"""The twins of a small fleet, as an IoT hub keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from status_core import DeploymentStatus, evaluate

SECRET: Final = "hunter2-correct-horse"
MODULES: Final = ("m1", "m2", "m3")
CODES: Final = (200, 500, 406, 400, 412, 417, None, 999)
RUNS: Final = ("running", "backoff", "failed", "stopped", "unknown", "unhealthy", "old image", "absent", "restarted")
"""What a module is seen to do: its runtimeStatus, or another image, or nothing of it, or that it runs once more."""
LAYERS: Final[tuple[dict[str, Any] | None, ...]] = (
    None,
    {},
    {"base": {"status": "Applied"}},
    {"base": {"status": "Applied"}, "layer-a": {"status": "Applied"}},
    {"base": {"status": "Targeted"}, "layer-a": {"status": "Applied"}, "other": {"status": "Targeted"}},
    {"base": {"status": "Targeted"}},
)


class Act(StrEnum):
    """What can happen to a device."""

    DEPLOY = "deploy"
    """Another manifest is desired."""
    EMPTY = "empty"
    """No deployment is desired any more."""
    REPORT = "report"
    """The agent reports."""
    CREDIT = "credit"
    """The hub counts other deployments as applied: no version of a twin shows it, and no event."""
    DELETE = "delete"
    CREATE = "create"
    """The identity is created, for the first time or again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happens to a device.

    Attributes:
        device: Its number.
        asked: Of a manifest, the modules by number, each with the tag of its image.
        layers: Number of the configurations section.
        taken: Whether the agent has taken the version that is desired.
        code: Number of the status code that it reports.
        runs: What it reports of each module, by number.
        boots: Whether it is the first report of a new process of the agent.
    """

    act: Act
    device: int
    asked: tuple[tuple[int, int], ...] = ()
    layers: int = 0
    taken: bool = True
    code: int = 0
    runs: tuple[int, ...] = (0, 0, 0)
    boots: bool = False


class Judge:
    """In the place of `evaluate`: it judges each twin once, since its status does not depend on `now` here."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, DeploymentStatus]] = {}

    def __call__(self, twin: Any, *, now: datetime | None = None) -> DeploymentStatus:  # noqa: ARG002 (as of evaluate)
        """The status of a twin."""
        known = self._known.get(id(twin))
        if known is None:
            known = self._known[id(twin)] = twin, evaluate(twin)
        return known[1]


@dataclass
class Device:
    """A device: all twins that it ever had, one after the other; None while it was not in the hub.

    A twin never changes: the next one has what is as it was.
    """

    device_id: str
    judge: Judge = field(default_factory=Judge)
    twins: list[dict[str, Any] | None] = field(default_factory=lambda: [None])
    _statuses: list[DeploymentStatus] = field(default_factory=list)

    @property
    def twin(self) -> dict[str, Any] | None:
        """What the hub holds now."""
        return self.twins[-1]

    @property
    def statuses(self) -> list[DeploymentStatus]:
        """The status of each twin."""
        self._statuses += map(self.judge, self.twins[len(self._statuses) :])
        return self._statuses

    def change(self, change: Change, now: datetime) -> bool:
        """Let it happen; False where it cannot."""
        twin = self.twin
        if change.act is Act.CREATE and twin is None:
            self.twins.append(self._created(now))
        elif twin is None or change.act is Act.CREATE:
            return False
        elif change.act is Act.DELETE:
            self.twins.append(None)
        else:
            properties = {**twin["properties"]}
            twin = {**twin, "properties": properties, "version": twin["version"] + (change.act is not Act.CREDIT)}
            if change.act in (Act.DEPLOY, Act.EMPTY):
                asked = manifest(change.asked) if change.act is Act.DEPLOY else {}
                properties["desired"] = asked | _stamp(properties["desired"]["$version"] + 1, now)
            if change.act in (Act.DEPLOY, Act.CREDIT):
                twin.pop("configurations", None)
                layers = LAYERS[change.layers]
                twin |= {} if layers is None else {"configurations": layers}
            if change.act is Act.REPORT:
                properties["reported"] = _reported(properties, change, now)
            self.twins.append(twin)
        return True

    def _created(self, now: datetime) -> dict[str, Any]:
        properties = {"desired": _stamp(1, now), "reported": _stamp(1, now)}
        return {"deviceId": self.device_id, "moduleId": "$edgeAgent", "version": 2, "properties": properties}


def _stamp(version: int, now: datetime) -> dict[str, Any]:
    return {"$version": version, "$metadata": {"$lastUpdated": now.isoformat()}}


def _module(image: str) -> dict[str, Any]:
    settings = {"image": image, "createOptions": f'{{"Env":["TOKEN={SECRET}-options"]}}'}
    env = {"PASSWORD": {"value": f"{SECRET}-env"}}
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings, "env": env}


def manifest(asked: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """A desired section: the modules by number, each with the tag of its image."""
    registry = {"r": {"address": "r.example", "username": f"{SECRET}-user", "password": f"{SECRET}-registry"}}
    return {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {"registryCredentials": registry}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": {"image": "r.example/agent:1.5"}},
            "edgeHub": _module("r.example/hub:1.5"),
        },
        "modules": {MODULES[number]: _module(f"r.example/{MODULES[number]}:{tag}") for number, tag in asked},
    }


def _reported(properties: dict[str, Any], change: Change, now: datetime) -> dict[str, Any]:
    desired, before = properties["desired"], properties["reported"]
    version = desired["$version"] if change.taken else before.get("lastDesiredVersion")
    code = CODES[change.code]
    status = {} if code is None else {"lastDesiredStatus": {"code": code, "description": _described(code, desired)}}
    modules = {}
    for (name, asked), run in zip(desired.get("modules", {}).items(), change.runs, strict=False):
        if RUNS[run] == "absent":
            continue
        seen = asked | {"runtimeStatus": RUNS[run], "exitCode": int(run > 1)}
        seen["restartCount"] = before.get("modules", {}).get(name, {}).get("restartCount", 0)
        seen["lastStartTimeUtc"] = now.isoformat()
        if RUNS[run] in ("backoff", "failed", "restarted"):
            seen["restartCount"] += 1
        if RUNS[run] == "restarted":
            seen |= {"runtimeStatus": "running", "exitCode": 0}
        if RUNS[run] == "old image":
            seen |= {"settings": seen["settings"] | {"image": f"{seen['settings']['image']}-old"}}
            seen["runtimeStatus"] = "running"
        modules[name] = seen
    system = {
        name: asked | {"runtimeStatus": "running" if code != CODES[2] else "unknown"}
        for name, asked in desired.get("systemModules", {}).items()
    }
    stamp = _stamp(before["$version"] + 1, now)
    changed = {"$lastUpdated": now.isoformat()}
    stamp["$metadata"]["lastDesiredStatus"] = changed
    is_taken_now = version != before.get("lastDesiredVersion")
    taken_at = changed if is_taken_now else before["$metadata"].get("lastDesiredVersion")
    stamp["$metadata"] |= {} if taken_at is None else {"lastDesiredVersion": taken_at}
    if change.boots:
        stamp["$metadata"]["systemModules"] = {"edgeAgent": {"lastStartTimeUtc": changed}}
    taken = {} if version is None else {"lastDesiredVersion": version}
    runtime = {"runtime": desired["runtime"]} if "runtime" in desired else {}
    return {"schemaVersion": "1.0", **taken, **status, **runtime, "systemModules": system, "modules": modules, **stamp}


def _described(code: int, desired: dict[str, Any]) -> str:
    """The description of a status: the agent quotes secrets of the manifest."""
    if code in (200, 417):
        return ""
    quoted = f" with {SECRET}-env and {SECRET}-registry" if "runtime" in desired else ""
    return f"Failed to start m1{quoted}"
