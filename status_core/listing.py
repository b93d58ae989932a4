"""A deployment in the hub's own list: when it was created, and which modules it names.

The list is that of `GET /configurations`. Device configurations, which name no modules, are left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from status_core.reading import as_object, clean, integer, object_at, shown, text, timestamp
from status_core.twin import EDGE_AGENT, IMAGE_LIMIT, NAME_LIMIT, read_twin

TEXT_LIMIT: Final = 1024
"""Characters of a target condition that are stored."""
LABELS_LIMIT: Final = 20
_DESIRED: Final = "properties.desired"
_MODULE: Final = f"{_DESIRED}.modules."
_SYSTEM_MODULE: Final = f"{_DESIRED}.systemModules."
_COUNTERS: Final = {
    "targeted": "targetedCount",
    "applied": "appliedCount",
    "reported_successful": "reportedSuccessfulCount",
    "reported_failed": "reportedFailedCount",
}

type Wanted = tuple[str | None, str | None]
"""The image and the status that a deployment sets for a module."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A deployment as the hub lists it. What the list lacks is None.

    Attributes:
        created: When it was created. A different time under the same id means a new version.
        modules: The modules that it names, with what it sets for each; system modules under their `$` names.
        targeted: How many devices its target condition matches. This and the next three are the hub's own counters,
            which lag by minutes.
    """

    created: datetime | None = None
    priority: int | None = None
    modules: Mapping[str, Wanted] | None = None
    target_condition: str | None = None
    labels: Mapping[str, str] | None = None
    targeted: int | None = None
    applied: int | None = None
    reported_successful: int | None = None
    reported_failed: int | None = None

    def names(self, module: str) -> bool:
        """Whether a module counts for it. All do if the list does not show its modules."""
        return self.modules is None or module in self.modules


type Listings = Mapping[str, Listing]
"""The deployments of a hub by id; empty if the hub gives no list."""


NO_LIST: Final[Listings] = {}
"""A hub without a list: everything counts for each deployment."""


def read_listings(items: Iterable[Any]) -> dict[str, Listing]:
    """Read the deployments in the hub's answer. Other entries are left out.

    If an id occurs twice, the deployment created later counts, else the first.
    """
    found: dict[str, Listing] = {}
    for item in items:
        name = text(as_object(item).get("id"))
        if not name or not _is_deployment(item.get("content")):
            continue
        name, listing = clean(name, NAME_LIMIT), _read(item)
        known = found.get(name)
        if known is None or known.created is None or (listing.created is not None and listing.created > known.created):
            found[name] = listing
    return found


def _is_deployment(content: Any) -> bool:
    """Whether a content may be that of a deployment. Unreadable content may be."""
    return not isinstance(content, dict) or not content or content.get("modulesContent") is not None


def _read(item: Mapping[str, Any]) -> Listing:
    counters = object_at(item, "systemMetrics", "results")
    condition = text(item.get("targetCondition"))
    labels = [(key, value) for key, value in object_at(item, "labels").items() if isinstance(value, str)]
    return Listing(
        created=timestamp(item.get("createdTimeUtc")),
        priority=integer(item.get("priority")),
        modules=_modules(item.get("content")),
        target_condition=None if condition is None else shown(condition, TEXT_LIMIT),
        labels={clean(key, NAME_LIMIT): shown(value, NAME_LIMIT) for key, value in labels[:LABELS_LIMIT]},
        **{name: integer(counters.get(key)) for name, key in _COUNTERS.items()},
    )


def _modules(content: Any) -> dict[str, Wanted] | None:
    """Read the modules that a content names: a base has `properties.desired`, a layer one key per module.

    Returns None if the content cannot be read, and an empty dict for a layer that only has routes.
    """
    modules = as_object(content).get("modulesContent")
    if not isinstance(modules, dict):
        return None
    agent = object_at(modules, EDGE_AGENT)
    base = object_at(agent, _DESIRED)
    whole = {section: dict(object_at(base, section)) for section in ("systemModules", "modules")}
    for key, value in agent.items():
        for section, prefix in (("modules", _MODULE), ("systemModules", _SYSTEM_MODULE)):
            if key.startswith(prefix):
                whole[section][key.removeprefix(prefix)] = value
    desired = read_twin({"properties": {"desired": whole}}).desired
    return {
        name: (None if module.image is None else shown(module.image, IMAGE_LIMIT), module.status)
        for name, module in desired.items()
    }
