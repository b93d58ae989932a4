"""Finds what edgeAgent would refuse in a desired section, or surely nobody wants, before a device reports it.

Each check is one that the agent makes itself (Core/DeploymentConfig.cs, Docker/DockerDesiredModule.cs,
Docker/DockerConfig.cs, IoTHub/EdgeAgentConnection.cs), and no stricter: it ignores case, accepts numbers as words, and
parses JSON as Newtonsoft does. Two further checks find what the agent accepts but nobody wants: placeholders of a
template, and a section that is nearly too large for IoT Hub.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from status_core.create_options import create_options_parts
from status_core.lint_values import (
    image_problem,
    options_problem,
    placeholder,
    schema_version_problem,
    startup_order_problem,
    twin_size,
    word_problem,
)
from status_core.reading import as_object, clean, object_at

FINDINGS: Final = 20
"""Findings that a status keeps. A path and its problem together have at most 400 characters."""
LARGE: Final = 28 * 1024
"""From this many bytes on a section is too large: IoT Hub allows 32 KB."""

_PATH_LIMIT: Final = 248
_PROBLEM_LIMIT: Final = 150
_STATUSES: Final = ("running", "stopped", "backoff", "dead", "failed", "unhealthy", "unknown")
_POLICIES: Final = ("always", "never", "on-failure", "on-unhealthy", "onfailure", "onunhealthy", "unknown")
_PULL_POLICIES: Final = ("on-create", "never", "oncreate")
_REQUIRED: Final = ("type", "status", "settings")
_CREDENTIALS: Final = ("address", "username", "password")
_SECTIONS: Final = ("runtime", "systemModules", "modules")
_KNOWN: Final = frozenset(
    (
        *("$metadata", "$version", "schemaVersion", *_SECTIONS, "edgeAgent", "edgeHub", *_REQUIRED),
        *("restartPolicy", "imagePullPolicy", "startupOrder", "version", "env", "image", "createOptions"),
        *("minDockerVersion", "loggingOptions", "registryCredentials", "integrity", *_CREDENTIALS),
    )
)
_PROPER: Final = {key.lower(): key for key in _KNOWN}
_MODULE_BYTES: Final = 300
"""Upper bound for a module without its settings and env."""
_REPORT_BYTES: Final = 400
"""Further bytes of a reported module: its status, times and hash."""
_WHOLE: Final = 2
"""A layer that sets this many of the required keys of a module sets the whole module."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem and its path. It quotes no value that may be secret."""

    path: str
    problem: str

    def __str__(self) -> str:
        """Format the finding as one line."""
        return f"{self.path}: {self.problem}"


type Findings = list[Finding]


def lint(desired: Any, *, path: str = "properties.desired", is_layer: bool = False) -> Findings:
    """List what the agent would refuse in a desired section, then what is surely unwanted there.

    Args:
        desired: The desired section of `$edgeAgent`.
        path: Its path in the twin or the manifest.
        is_layer: It is a layer over other deployments, which may provide what is missing.
    """
    return [*refused(desired, path=path, is_layer=is_layer), *unwanted(desired, path=path)]


def lint_twin(twin: Any, *, is_accepted: bool) -> tuple[Finding, ...]:
    """Return the first findings of a twin.

    Args:
        twin: The twin.
        is_accepted: The agent has accepted the desired section, so it refuses nothing there.
    """
    desired, reported = object_at(twin, "properties", "desired"), object_at(twin, "properties", "reported")
    found = [] if is_accepted else refused(desired)
    weight = _weight(desired)
    if weight > LARGE:
        found += unwanted(desired)
    # The agent reports settings and env as desired, so a different weight comes from an earlier version.
    modules = as_object(reported.get("modules"))
    if (weight if is_accepted else _weight(reported)) + len(modules) * _REPORT_BYTES > LARGE:
        found += large(reported, path="properties.reported")
    return tuple(found[:FINDINGS])


def refused(desired: Any, *, path: str = "properties.desired", is_layer: bool = False) -> Findings:
    """List what the agent would refuse with code 400, or 412 for the schemaVersion."""
    found: Findings = []
    section = _proper(desired)
    if isinstance(desired, dict) and all(key.startswith("$") for key in section):
        return found  # no deployment
    if "schemaVersion" in section or not is_layer:
        _note(found, schema_version_problem(section.get("schemaVersion")), path, ".schemaVersion")
    for key in _SECTIONS:
        value = section.get(key)
        if value is not None and not isinstance(value, dict):
            _note(found, "not an object", path, f".{key}")
        elif value is None and key != "modules" and not is_layer:
            _note(found, "missing", path, f".{key}")
    if isinstance(section.get("runtime"), dict):
        _runtime(found, section["runtime"], f"{path}.runtime", is_layer=is_layer)
    for group, modules in (
        ("systemModules", _proper(section.get("systemModules"))),
        ("modules", section.get("modules")),
    ):
        for name, module in as_object(modules).items():
            # A null is a removed key; `$` keys are the twin's own.
            if module is not None and not name.startswith("$"):
                is_agent = group == "systemModules" and name == "edgeAgent"
                _module(found, module, f"{path}.{group}.{name}", is_agent=is_agent, is_layer=is_layer)
    return _sorted(found)


def unwanted(desired: Any, *, path: str = "properties.desired") -> Findings:
    """List what the agent accepts but nobody wants."""
    found: Findings = []
    for group in ("systemModules", "modules"):
        for name, module in object_at(desired, group).items():
            place = f"{path}.{group}.{name}"
            settings = object_at(module, "settings")
            _note(found, _left(settings.get("image"), is_anywhere=True), place, ".settings.image")
            for key, part in create_options_parts(settings).items():
                _note(found, _left(part), place, f".settings.{key}")
            for key, entry in object_at(module, "env").items():
                _note(found, _left(as_object(entry).get("value")), place, f".env.{key}")
    credentials = object_at(desired, "runtime", "settings", "registryCredentials")
    for name, entry in credentials.items():
        for key in _CREDENTIALS:
            place = f".runtime.settings.registryCredentials.{name}.{key}"
            _note(found, _left(as_object(entry).get(key), is_anywhere=True), path, place)
    return _sorted(found) + large(desired, path=path)


def large(section: Any, *, path: str) -> Findings:
    """Find a section of a twin that is nearly too large."""
    size, found = twin_size(section), list[Finding]()
    _note(found, f"{size / 1024:.1f} KB of the 32 KB that IoT Hub allows" if size > LARGE else None, path, "")
    return found


def _weight(section: Mapping[str, Any]) -> int:
    """Estimate the size of a section from its long parts, settings and env. Returns more if it may have a placeholder.

    Reading the whole twin costs as much as judging it, and is seldom needed.
    """
    modules = [*as_object(section.get("systemModules")).values(), *as_object(section.get("modules")).values()]
    parts: list[Any] = []
    for module in map(as_object, modules):
        parts += as_object(module.get("settings")).values()
        if module.get("env"):
            parts += [as_object(entry).get("value") for entry in as_object(module["env"]).values()]
    for entry in as_object(object_at(section, "runtime", "settings").get("registryCredentials")).values():
        parts += as_object(entry).values()
    together = "".join([part for part in parts if isinstance(part, str)])
    return LARGE + 1 if "${" in together else len(together) + (len(modules) + 1) * _MODULE_BYTES


def _runtime(found: Findings, runtime: dict[str, Any], path: str, *, is_layer: bool) -> None:
    section = _proper(runtime)
    if "type" in section or not is_layer:
        _note(found, _type_problem(section.get("type")), path, ".type")
    credentials = _proper(section.get("settings")).get("registryCredentials")
    for name, entry in as_object(credentials).items():
        values = _proper(entry)
        for key in _CREDENTIALS if entry is not None else ():
            value = values.get(key)
            is_empty = value is None or (isinstance(value, str) and not value.strip())
            if is_empty and (key in values or not is_layer):
                _note(found, "missing or empty", path, f".settings.registryCredentials.{name}.{key}")


def _module(found: Findings, module: Any, path: str, *, is_agent: bool, is_layer: bool) -> None:
    if not isinstance(module, dict):
        _note(found, "not an object", path, "")
        return
    section = _proper(module)
    is_whole = not is_layer or sum(key in section for key in _REQUIRED) >= _WHOLE
    if "type" in section or is_whole:
        _note(found, _type_problem(section.get("type")), path, ".type")
    if not is_agent:
        if "status" in section or is_whole:
            _note(found, word_problem(section.get("status"), _STATUSES, "use running or stopped"), path, ".status")
        if "restartPolicy" in section:
            use = "use always, on-failure, on-unhealthy or never"
            _note(found, word_problem(section["restartPolicy"], _POLICIES, use), path, ".restartPolicy")
        _note(found, startup_order_problem(section.get("startupOrder")), path, ".startupOrder")
    if section.get("imagePullPolicy") is not None:
        use = "use on-create or never"
        _note(found, word_problem(section["imagePullPolicy"], _PULL_POLICIES, use), path, ".imagePullPolicy")
    if "settings" in section or is_whole:
        _settings(found, section.get("settings"), f"{path}.settings", is_whole=is_whole)
    if section.get("env"):
        _env(found, section["env"], f"{path}.env")


def _settings(found: Findings, settings: Any, path: str, *, is_whole: bool) -> None:
    if not isinstance(settings, dict):
        _note(found, "missing" if settings is None else "not an object", path, "")
        return
    section = _proper(settings)
    if "image" in section or is_whole:
        _note(found, image_problem(section.get("image")), path, ".image")
    _note(found, options_problem(create_options_parts(section)), path, ".createOptions")


def _env(found: Findings, env: Any, path: str) -> None:
    if not isinstance(env, dict):
        _note(found, "not an object", path, "")
    for name, entry in as_object(env).items():
        if entry is not None and not isinstance(entry, dict):
            _note(found, 'not an object; write {"value": "..."}', path, f".{name}")
        elif isinstance(as_object(entry).get("value"), dict | list):
            _note(found, "not a string", path, f".{name}.value")


def _type_problem(value: Any) -> str | None:
    if value == "docker":
        return None
    if value is None:
        return "missing; it must be docker"
    return f'"{clean(value, 40)}"; it must be docker' if isinstance(value, str) else "not a string; it must be docker"


def _left(value: Any, *, is_anywhere: bool = False) -> str | None:
    if isinstance(value, str) and "${" in value and placeholder(value, is_anywhere=is_anywhere):
        return "a placeholder ${...} of a template is left in it"
    return None


def _note(found: Findings, problem: str | None, path: str, key: str) -> None:
    if problem is not None:
        found.append(Finding(clean(f"{path}{key}", _PATH_LIMIT), clean(problem, _PROBLEM_LIMIT)))


def _sorted(found: Findings) -> Findings:
    """Sort findings by path: the keys of a twin have no order."""
    return sorted(found, key=str)


def _proper(value: Any) -> Mapping[str, Any]:
    """Rename keys to the spelling that the agent knows: it ignores their case."""
    section = as_object(value)
    if section.keys() <= _KNOWN:
        return section
    return {_PROPER.get(key.lower(), key): part for key, part in section.items()}
