"""How edgeAgent parses desired properties, and its errors."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

EDGE_AGENT: Final = "edgeAgent"
EDGE_HUB: Final = "edgeHub"
LAST_IN_STARTUP: Final = 4294967295
"""`startupOrder` of a module without one."""

_UPSTREAM: Final = re.compile(r"\$upstream(?=:\d)")
_STATUSES: Final = ("running", "stopped", "unknown", "backoff", "unhealthy", "failed", "dead")
_RESTART_POLICIES: Final = ("never", "on-failure", "on-unhealthy", "always", "unknown")
_PULL_POLICIES: Final = ("on-create", "never")
_CHUNK: Final = 512
"""Longest string in a createOptions property. The rest is in createOptions01, 02, ..."""


class ManifestError(Exception):
    """The agent rejects a manifest.

    Attributes:
        code: `lastDesiredStatus.code`.
    """

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """The specification of one module.

    Attributes:
        image: As used for the container: trimmed, with a tag, `$upstream` replaced.
        create_options: Compact JSON text.
    """

    name: str
    image: str
    status: str = "running"
    restart_policy: str = "always"
    pull_policy: str = "on-create"
    create_options: str = "{}"
    env: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    startup_order: int = LAST_IN_STARTUP

    @property
    def chunks(self) -> dict[str, str]:
        """Split the create options into properties that fit into a twin."""
        text = self.create_options
        parts = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
        return {_chunk_name(number): part for number, part in enumerate(parts)}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A deployment.

    Attributes:
        version: `$version` of the desired properties.
        runtime: `runtime.settings`, including plain text credentials.
        agent: Specification of edgeAgent itself; None if the manifest does not have it.
        modules: All other modules by name, including edgeHub.
    """

    version: int
    runtime: Mapping[str, Any]
    agent: ModuleSpec | None
    modules: Mapping[str, ModuleSpec]


def read_manifest(desired: Mapping[str, Any], newest_schema: tuple[int, int], parent: str) -> Manifest:
    """Parse desired properties.

    Args:
        desired: The section in the hub's format.
        newest_schema: Newest schema version that this agent supports.
        parent: Host name instead of `$upstream`.

    Raises:
        ManifestError: With code 417 (nothing is desired), 412 (schema version) or 400 (anything unreadable).
    """
    if all(key.startswith("$") for key in desired):
        raise ManifestError(
            417, "This device has an empty configuration for the edge agent. Please set a deployment manifest."
        )
    _check_schema(desired.get("schemaVersion"), newest_schema)
    try:
        system = desired["systemModules"]
        agent = (
            _module(EDGE_AGENT, {"status": "running", **system[EDGE_AGENT]}, parent) if EDGE_AGENT in system else None
        )
        hub = {EDGE_HUB: system[EDGE_HUB]} if EDGE_HUB in system else {}
        modules = {
            name: _module(name, module, parent) for name, module in {**hub, **desired.get("modules", {})}.items()
        }
        runtime = desired.get("runtime", {}).get("settings", {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestError(400, "Agent configuration format is invalid.") from error
    return Manifest(desired["$version"], runtime, agent, modules)


def _check_schema(version: Any, newest: tuple[int, int]) -> None:
    parts = re.fullmatch(r"\d+(\.\d+){1,3}", version) if isinstance(version, str) else None
    if parts is None:
        raise ManifestError(412, f"Invalid desired properties schema version {'' if version is None else version}")
    numbers, expected = tuple(map(int, version.split("."))), (*newest, 0)
    if numbers[0] != expected[0] or numbers > expected:
        text = ".".join(map(str, expected))
        raise ManifestError(
            412, f"The desired properties schema version {version} is not compatible with the expected version {text}"
        )


def _module(name: str, module: Mapping[str, Any], parent: str) -> ModuleSpec:
    """Parse a module.

    Raises:
        KeyError: A required property is missing.
        ValueError: A property has a value unknown to the agent.
    """
    settings = module["settings"]
    default_policy = "always" if name == EDGE_HUB else "on-unhealthy"
    _one_of(("docker",), module["type"])
    return ModuleSpec(
        name=name,
        image=_image(settings["image"], parent),
        status=_one_of(_STATUSES, module["status"]),
        restart_policy=_one_of(_RESTART_POLICIES, module.get("restartPolicy", default_policy)),
        pull_policy=_one_of(_PULL_POLICIES, module.get("imagePullPolicy", "on-create")),
        create_options=_create_options(settings),
        env=module.get("env", {}),
        version=module.get("version", ""),
        startup_order=int(module.get("startupOrder", LAST_IN_STARTUP)),
    )


def _one_of(words: tuple[str, ...], value: str) -> str:
    word = value.lower()
    if word not in words:
        raise ValueError(f"{value!r} is not one of {words}")
    return word


def _image(value: str, parent: str) -> str:
    image = _UPSTREAM.sub(lambda _match: parent, value.strip(), count=1)
    if not image or image.startswith("$") or re.search(r"\s", image):
        raise ValueError(f"{value!r} is not an image")
    name = image.rpartition("/")[2]
    return image if re.search(r"[:@]", name) else f"{image}:latest"


def _create_options(settings: Mapping[str, Any]) -> str:
    text, number = "", 0
    while _chunk_name(number) in settings:
        text += settings[_chunk_name(number)]
        number += 1
    return json.dumps(json.loads(text or "{}"), separators=(",", ":"))


def _chunk_name(number: int) -> str:
    return f"createOptions{number:02}" if number else "createOptions"
