"""The parts of an `$edgeAgent` module twin that a verdict depends on, read once, whatever the JSON holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from status_core.grace import grace_label
from status_core.reading import clean, integer, object_at, text, timestamp, word

EDGE_AGENT: Final = "$edgeAgent"
EDGE_HUB: Final = "$edgeHub"
NAME_LIMIT: Final = 128
"""Characters that IoT Hub allows a device id, a module name and a deployment id to have."""

NAMES_LIMIT: Final = 100
"""Deployments that an IoT hub can have: further names of a twin's are not kept."""

_SYSTEM_MODULES: Final = {EDGE_AGENT: "edgeAgent", EDGE_HUB: "edgeHub"}


@dataclass(frozen=True, slots=True)
class DesiredModule:
    """A module as the deployment wants it. `status` and `restart_policy` are folded to lower case.

    `grace` is the module's own grace period, from its label.
    """

    path: str
    image: str | None
    status: str | None
    restart_policy: str | None
    grace: timedelta | None


@dataclass(frozen=True, slots=True)
class ReportedModule:
    """A module as the agent saw it. `runtime_status` is folded to lower case; `started` means at least once."""

    path: str
    image: str | None
    runtime_status: str | None
    exit_code: int | None
    started: bool
    type_unknown: bool


@dataclass(frozen=True, slots=True)
class Twin:
    """One `$edgeAgent` twin. Times are hub times in UTC.

    Attributes:
        nothing_desired: Desired holds nothing but `$` keys, or is no object.
        desired_version: V, `desired.$version`.
        last_desired_version: L, `reported.lastDesiredVersion`.
        raw_versions: V and L as they stand.
        status_missing: `reported.lastDesiredStatus` is absent or null.
        code: C, `reported.lastDesiredStatus.code` where it is a whole number.
        raw_code: The same value as it stands.
        description: `reported.lastDesiredStatus.description`, whole and as it stands: it may quote a secret.
        status_updated: When `lastDesiredStatus` last changed.
        applied: Names of the configurations that are Applied, sorted.
        targeted: Names of those that are Targeted, sorted.
        has_configurations: The twin has a configurations section that names one.
    """

    device_id: str
    version: int | None
    nothing_desired: bool
    desired_version: int | None
    desired_updated: datetime | None
    last_desired_version: int | None
    raw_versions: tuple[Any, Any]
    status_missing: bool
    code: int | None
    raw_code: Any
    description: str
    status_updated: datetime | None
    reported_updated: datetime | None
    agent_version: str | None
    applied: tuple[str, ...]
    targeted: tuple[str, ...]
    has_configurations: bool
    desired: Mapping[str, DesiredModule]
    reported: Mapping[str, ReportedModule]

    @property
    def version_taken(self) -> bool:
        """Whether L is V: both are there, and equal."""
        return self.last_desired_version is not None and self.last_desired_version == self.desired_version


def read_twin(twin: Any) -> Twin:
    """Read a twin as a service-side read gives it. Total: wrong types read as absent."""
    root = object_at(twin)
    desired = object_at(root, "properties", "desired")
    reported = object_at(root, "properties", "reported")
    configurations = object_at(root, "configurations")
    status = object_at(reported, "lastDesiredStatus")
    agent_version = text(object_at(reported, "version").get("version"))
    return Twin(
        device_id=text(root.get("deviceId")) or "",
        version=integer(root.get("version")),
        nothing_desired=all(key.startswith("$") for key in desired),
        desired_version=integer(desired.get("$version")),
        desired_updated=timestamp(object_at(desired, "$metadata").get("$lastUpdated")),
        last_desired_version=integer(reported.get("lastDesiredVersion")),
        raw_versions=(desired.get("$version"), reported.get("lastDesiredVersion")),
        status_missing=reported.get("lastDesiredStatus") is None,
        code=integer(status.get("code")),
        raw_code=status.get("code"),
        description=text(status.get("description")) or "",
        status_updated=timestamp(object_at(reported, "$metadata", "lastDesiredStatus").get("$lastUpdated")),
        reported_updated=timestamp(object_at(reported, "$metadata").get("$lastUpdated")),
        agent_version=clean(agent_version, NAME_LIMIT) if agent_version else None,
        applied=_with_status(configurations, "applied"),
        targeted=_with_status(configurations, "targeted"),
        has_configurations=bool(configurations),
        desired={name: _desired(path, entry) for name, path, entry in _entries(desired, "properties.desired")},
        reported={
            name: _reported(path, entry)
            for name, path, entry in _entries(reported, "properties.reported")
            if isinstance(entry, dict)
        },
    )


def _with_status(configurations: Mapping[str, Any], status: str) -> tuple[str, ...]:
    names = (name for name in configurations if word(object_at(configurations, name).get("status")) == status)
    return tuple(sorted(clean(name, NAME_LIMIT) for name in names)[:NAMES_LIMIT])


def _entries(section: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, Any]]:
    """Name, path and JSON of each module of a section, the system modules under their `$` names."""
    system = object_at(section, "systemModules")
    for name, key in _SYSTEM_MODULES.items():
        if system.get(key) is not None:
            yield name, f"{path}.systemModules.{key}", system[key]
    for name, entry in object_at(section, "modules").items():
        # A null is a key that was removed; `$` keys are the twin's own, and no module has an empty name.
        if entry is not None and name and not name.startswith("$"):
            yield name, f"{path}.modules.{clean(name, NAME_LIMIT)}", entry


def _desired(path: str, entry: Any) -> DesiredModule:
    module = object_at(entry)
    return DesiredModule(
        path=path,
        image=text(object_at(module, "settings").get("image")),
        status=word(module.get("status")),
        restart_policy=word(module.get("restartPolicy")),
        grace=grace_label(object_at(module, "settings")),
    )


def _reported(path: str, entry: Any) -> ReportedModule:
    module = object_at(entry)
    return ReportedModule(
        path=path,
        image=text(object_at(module, "settings").get("image")),
        runtime_status=word(module.get("runtimeStatus")),
        exit_code=integer(module.get("exitCode")),
        started=timestamp(module.get("lastStartTimeUtc")) is not None,
        type_unknown=word(module.get("type")) == "unknown",
    )
