"""Applies the rules of reported_states_during_deployment.md literally, to show where the verdict differs.

Where the document is open, it is read as follows. If configurations are missing or empty, the clause
`status: "Applied"` is ignored ("may be ignored"). If none is Applied, no rule holds. An absent operand equals only
another absent one. The agent's 406 and 417 come from a note in the document, a device without a deployment from its
table of codes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from status_core.reading import as_object, object_at
from status_core.twin import Twin

_WITH_PARTS: Final = (dict, list)
_ORDER: Final = ("successful", "invalid", "module_failed", "in_progress", "agent_unavailable", "empty")
"""The document's order, after `no_deployment` and `pending`."""


def documented_rules(source: Any, twin: Twin) -> tuple[str, ...]:
    """Return the names of the document's rules that hold for a twin, in the document's order.

    Args:
        source: The twin's JSON. The rules compare its raw values.
        twin: The same twin, parsed.
    """
    no_deployment = ("no_deployment",) if twin.nothing_desired else ()
    if twin.has_configurations and not twin.applied:
        return no_deployment
    desired = object_at(source, "properties", "desired")
    reported = object_at(source, "properties", "reported")
    if not _equal(desired.get("$version"), reported.get("lastDesiredVersion")):
        return (*no_deployment, "pending")
    code = twin.raw_code
    held: dict[str, bool] = {}
    if _is(code, 200):
        pairs = list(_modules(desired, reported))
        held["successful"] = _edge_hub_equal(desired, reported) and all(status and image for status, image in pairs)
        held["module_failed"] = any(image and not status for status, image in pairs)
    held["invalid"] = _is(code, 400) or _is(code, 412)
    held["in_progress"] = _is(code, 500) and any(not image for _, image in _modules(desired, reported))
    held["agent_unavailable"] = _is(code, 406)
    held["empty"] = _is(code, 417)
    return (*no_deployment, *(name for name in _ORDER if held.get(name)))


def _edge_hub_equal(desired: Mapping[str, Any], reported: Mapping[str, Any]) -> bool:
    path = ("systemModules", "edgeHub")
    return _equal(object_at(desired, *path).get("status"), object_at(reported, *path).get("status"))


def _modules(desired: Mapping[str, Any], reported: Mapping[str, Any]) -> Iterator[tuple[bool, bool]]:
    """Yield for each desired module whether its status, and its image, equal the reported ones."""
    found = object_at(reported, "modules")
    for name, entry in as_object(desired.get("modules")).items():
        wanted, seen = as_object(entry), as_object(found.get(name))
        images = as_object(wanted.get("settings")).get("image"), as_object(seen.get("settings")).get("image")
        yield _equal(wanted.get("status"), seen.get("runtimeStatus")), _equal(*images)


def _is(code: Any, number: int) -> bool:
    return _equal(code, number)


def _equal(left: Any, right: Any) -> bool:
    """Compare JSON scalars. Objects and arrays equal nothing: no rule compares them."""
    if isinstance(left, _WITH_PARTS) or isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)
