"""The parts of an `$edgeAgent` module twin that a verdict depends on. Any JSON is accepted."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from status_core.codes import FAILED
from status_core.grace import grace_label
from status_core.reading import as_object, clean, integer, is_never, object_at, text, timestamp, word

EDGE_AGENT: Final = "$edgeAgent"
EDGE_HUB: Final = "$edgeHub"
NAME_LIMIT: Final = 128
"""Characters that IoT Hub allows in a device id, a module name and a deployment id."""

IMAGE_LIMIT: Final = 1024
"""Characters of an image that are stored."""

NAMES_LIMIT: Final = 100
"""How many deployments an IoT hub can have. Further names in a twin are dropped."""

_SYSTEM_MODULES: Final = {EDGE_AGENT: "edgeAgent", EDGE_HUB: "edgeHub"}


# Named tuples: a twin has some hundred of these fields, and a frozen dataclass makes one call to set each.
class DesiredModule(NamedTuple):
    """A module as the deployment defines it. `status` and `restart_policy` are in lower case.

    `grace` is the grace period of the module's own label.
    """

    path: str
    image: str | None
    status: str | None
    restart_policy: str | None
    grace: timedelta | None


class ReportedModule(NamedTuple):
    """A module as the agent reported it. `runtime_status` is in lower case; times are the device's, in UTC.

    Attributes:
        kind: Its raw `type`.
        image_hash: The digest of its image, if the agent reports it.
        status: Its desired status in the last deployment that the agent accepted, raw.
        restart_policy: Its restart policy in the same deployment, raw.
        restart_count: Restarts since it last ran for ten minutes.
        last_start: None if it was never started, or the report does not say.
        never_started: The report says that it was never started.
        last_exit: None if it has never exited.
    """

    path: str
    kind: str | None
    image: str | None
    image_hash: str | None
    runtime_status: str | None
    status: str | None
    restart_policy: str | None
    restart_count: int | None
    exit_code: int | None
    last_start: datetime | None
    never_started: bool
    last_exit: datetime | None


class Twin(NamedTuple):
    """One `$edgeAgent` twin. Times are hub times in UTC.

    Attributes:
        module_id: The module whose twin this is; None if the twin does not say.
        connection_state: The connection as IoT Hub sees it.
        last_activity: When IoT Hub last saw activity of the device.
        nothing_desired: Desired holds nothing but `$` keys, or is not an object.
        nothing_reported: The same for reported.
        desired_version: V, `desired.$version`.
        last_desired_version: L, `reported.lastDesiredVersion`.
        raw_versions: V and L, raw.
        status_missing: `reported.lastDesiredStatus` is absent or null.
        code: C, `reported.lastDesiredStatus.code` if it is a whole number.
        raw_code: The same value, raw.
        description: The whole `reported.lastDesiredStatus.description`, raw: it may quote a secret.
        status_updated: When `lastDesiredStatus` last changed.
        tried_since: When the agent first reported with its present retry counters: since it took the version or was
            started. Only set if a step failed.
        is_lagging: The last report shows what ran before the plan.
        applied: Names of the configurations that are Applied, sorted.
        targeted: Names of those that are Targeted, sorted.
        has_configurations: The twin has a configurations section with at least one name.
    """

    device_id: str
    module_id: str | None
    connection_state: str | None
    last_activity: datetime | None
    version: int | None
    nothing_desired: bool
    nothing_reported: bool
    desired_version: int | None
    desired_updated: datetime | None
    last_desired_version: int | None
    raw_versions: tuple[Any, Any]
    status_missing: bool
    code: int | None
    raw_code: Any
    description: str
    status_updated: datetime | None
    tried_since: datetime | None
    reported_updated: datetime | None
    is_lagging: bool
    agent_version: str | None
    applied: tuple[str, ...]
    targeted: tuple[str, ...]
    has_configurations: bool
    desired: Mapping[str, DesiredModule]
    reported: Mapping[str, ReportedModule]

    @property
    def version_taken(self) -> bool:
        """Whether L equals V, and both are there."""
        return self.last_desired_version is not None and self.last_desired_version == self.desired_version

    @property
    def changed(self) -> datetime | None:
        """The newest hub time of both sections; None if one of them has none."""
        desired, reported = self.desired_updated, self.reported_updated
        if (desired is None and not self.nothing_desired) or (reported is None and not self.nothing_reported):
            return None
        return max((time for time in (desired, reported) if time is not None), default=None)

    @property
    def is_fresh(self) -> bool:
        """Whether the agent's status was reported after the last change of D, by hub time."""
        reported, desired = self.status_updated, self.desired_updated
        return reported is not None and desired is not None and reported >= desired

    @property
    def is_stale(self) -> bool:
        """Whether it was reported before that change. Without both times it is neither fresh nor stale."""
        reported, desired = self.status_updated, self.desired_updated
        return reported is not None and desired is not None and reported < desired

    @property
    def is_regressed(self) -> bool:
        """Whether L is greater than V."""
        taken, desired = self.last_desired_version, self.desired_version
        return taken is not None and desired is not None and taken > desired


def read_twin(twin: Any) -> Twin:
    """Read a twin as a service-side read returns it. Values of the wrong type count as absent."""
    root = object_at(twin)
    desired = object_at(root, "properties", "desired")
    reported = object_at(root, "properties", "reported")
    configurations = object_at(root, "configurations")
    status = object_at(reported, "lastDesiredStatus")
    agent_version = text(object_at(reported, "version").get("version"))
    code = integer(status.get("code"))
    metadata = object_at(reported, "$metadata")
    return Twin(
        device_id=text(root.get("deviceId")) or "",
        module_id=text(root.get("moduleId")),
        connection_state=text(root.get("connectionState")),
        last_activity=timestamp(root.get("lastActivityTime")),
        version=integer(root.get("version")),
        nothing_desired=_is_empty(desired),
        nothing_reported=_is_empty(reported),
        desired_version=integer(desired.get("$version")),
        desired_updated=timestamp(object_at(desired, "$metadata").get("$lastUpdated")),
        last_desired_version=integer(reported.get("lastDesiredVersion")),
        raw_versions=(desired.get("$version"), reported.get("lastDesiredVersion")),
        status_missing=reported.get("lastDesiredStatus") is None,
        code=code,
        raw_code=status.get("code"),
        description=text(status.get("description")) or "",
        status_updated=timestamp(object_at(metadata, "lastDesiredStatus").get("$lastUpdated")),
        tried_since=_tried_since(metadata) if code == FAILED else None,
        reported_updated=timestamp(metadata.get("$lastUpdated")),
        is_lagging=_is_lagging(metadata),
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


def _is_empty(section: Mapping[str, Any]) -> bool:
    return all(key.startswith("$") for key in section)


def _tried_since(metadata: Mapping[str, Any]) -> datetime | None:
    """When the agent's retry counters started. It keeps them in memory (planrunner/OrdererdRetryPlanRunner.cs)."""
    version = object_at(metadata, "lastDesiredVersion")
    started = object_at(metadata, "systemModules", "edgeAgent", "lastStartTimeUtc")
    times = [timestamp(part.get("$lastUpdated")) for part in (version, started)]
    return max((time for time in times if time is not None), default=None)


def _is_lagging(metadata: Mapping[str, Any]) -> bool:
    """Whether the last report took the version, or is the first from a new process of the agent.

    Both come before the plan runs. The next report, 5 s later, is accurate (seen in runs of the agent).
    """
    version = object_at(metadata, "lastDesiredVersion")
    started = object_at(metadata, "systemModules", "edgeAgent", "lastStartTimeUtc")
    updated = timestamp(metadata.get("$lastUpdated"))
    return updated is not None and updated in [timestamp(part.get("$lastUpdated")) for part in (version, started)]


def _count(value: Any) -> int | None:
    number = integer(value)
    return number if number is not None and number >= 0 else None


def _with_status(configurations: Mapping[str, Any], status: str) -> tuple[str, ...]:
    names = (name for name, entry in configurations.items() if word(as_object(entry).get("status")) == status)
    return tuple(sorted(clean(name, NAME_LIMIT) for name in names)[:NAMES_LIMIT])


def _entries(section: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, Any]]:
    """Yield name, path and JSON of each module of a section; system modules under their `$` names."""
    system = as_object(section.get("systemModules"))
    for name, key in _SYSTEM_MODULES.items():
        if system.get(key) is not None:
            yield name, f"{path}.systemModules.{key}", system[key]
    for name, entry in as_object(section.get("modules")).items():
        # A null is a removed key, `$` keys are the twin's own, and no module has an empty name.
        if entry is not None and name and not name.startswith("$"):
            yield name, f"{path}.modules.{clean(name, NAME_LIMIT)}", entry


def _desired(path: str, entry: Any) -> DesiredModule:
    module = as_object(entry)
    settings = as_object(module.get("settings"))
    return DesiredModule(
        path=path,
        image=text(settings.get("image")),
        status=word(module.get("status")),
        restart_policy=word(module.get("restartPolicy")),
        grace=grace_label(settings),
    )


def _reported(path: str, module: Mapping[str, Any]) -> ReportedModule:
    settings = as_object(module.get("settings"))
    return ReportedModule(
        path=path,
        kind=text(module.get("type")),
        image=text(settings.get("image")),
        image_hash=text(settings.get("imageHash")),
        runtime_status=word(module.get("runtimeStatus")),
        status=text(module.get("status")),
        restart_policy=text(module.get("restartPolicy")),
        restart_count=_count(module.get("restartCount")),
        exit_code=integer(module.get("exitCode")),
        last_start=timestamp(module.get("lastStartTimeUtc")),
        never_started=is_never(module.get("lastStartTimeUtc")),
        last_exit=timestamp(module.get("lastExitTimeUtc")),
    )
