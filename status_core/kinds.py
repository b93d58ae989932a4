"""Recognizes JSON objects: an `$edgeAgent` twin, a deployment manifest, or something else, with a hint."""

import shlex
from typing import Any, Final

from status_core.lint import Finding, large, lint
from status_core.reading import clean, object_at, text
from status_core.twin import EDGE_AGENT, NAME_LIMIT

_OF_AN_AGENT: Final = ("systemModules", "modules", "schemaVersion", "lastDesiredStatus")
_OF_AN_ERROR: Final = ("error", "Error", "errorCode", "Message", "message", "ExceptionMessage")
_CONTENT: Final = "modulesContent"
_DESIRED: Final = "properties.desired"
_LINT: Final = "python -m status_core --lint"


def not_an_agent_twin(value: dict[str, Any]) -> str | None:
    """Say what an object is instead of an `$edgeAgent` twin, and how to get one. Returns None for such a twin."""
    module_id = text(value.get("moduleId"))
    sections = [object_at(value, "properties", section) for section in ("desired", "reported")]
    is_of_an_agent = module_id is None and any(key in section for section in sections for key in _OF_AN_AGENT)
    if module_id == EDGE_AGENT or is_of_an_agent:
        return None
    hint = _ask_for(value)
    if module_id is not None:
        return f"the twin of {clean(module_id, NAME_LIMIT)}, not of {EDGE_AGENT}. {hint}"
    kinds = (
        (isinstance(value.get("twin"), dict), "an object with a twin in its member twin. Extract it: jq .twin"),
        (_modules_content(value) is not None, f"a deployment manifest, not a twin. To check it: {_LINT} FILE"),
        ("properties" in value, f"a device twin, not that of {EDGE_AGENT}. {hint}"),
        (any(key in value for key in _OF_AN_ERROR), f"an error document, not a twin. {hint}"),
        (True, f"not a twin. {hint}"),
    )
    return next(problem for holds, problem in kinds if holds)


def not_a_manifest(value: dict[str, Any]) -> str | None:
    """Say what an object is if it is neither a twin nor a deployment manifest; None if it is one."""
    return None if _modules_content(value) is not None else not_an_agent_twin(value)


def lint_document(value: dict[str, Any]) -> list[Finding]:
    """Lint an `$edgeAgent` twin or a deployment manifest, layered ones too."""
    content = _modules_content(value)
    if content is None:
        desired = lint(object_at(value, "properties", "desired"))
        return desired + large(object_at(value, "properties", "reported"), path="properties.reported")
    place, modules = content
    agent = object_at(modules, EDGE_AGENT)
    place = f"{place}{EDGE_AGENT}.{_DESIRED}"
    whole = lint(agent[_DESIRED], path=place) if _DESIRED in agent else []
    return whole + lint(_layer(agent), path=place, is_layer=True)


def document_name(value: dict[str, Any]) -> str | None:
    """Return the name of the device or deployment in an object; None if it has none."""
    name = text(value.get("deviceId")) or text(value.get("id"))
    return clean(name, NAME_LIMIT) if name else None


def _modules_content(value: dict[str, Any]) -> tuple[str, Any] | None:
    """Return the path of a manifest's modules, and that section."""
    for place, part in ((f"{_CONTENT}.", value), (f"content.{_CONTENT}.", object_at(value, "content"))):
        if _CONTENT in part:
            return place, part[_CONTENT]
    return ("", value) if EDGE_AGENT in value else None


def _layer(agent: Any) -> dict[str, Any]:
    """Build the section from a layer's dotted paths: `properties.desired.modules.m1` and deeper ones."""
    layer: dict[str, Any] = {}
    for path, value in agent.items():
        if not path.startswith(f"{_DESIRED}."):
            continue
        *parents, key = path.removeprefix(f"{_DESIRED}.").split(".")
        section = layer
        for parent in parents:
            inner = section.get(parent)
            if not isinstance(inner, dict):
                inner = section[parent] = {}
            section = inner
        section[key] = value
    return layer


def _ask_for(value: dict[str, Any]) -> str:
    device = text(value.get("deviceId"))
    name = shlex.quote(clean(device, NAME_LIMIT)) if device else "DEVICE"
    return f"Ask for it: az iot hub module-twin show --hub-name HUB --device-id {name} --module-id '{EDGE_AGENT}'"
