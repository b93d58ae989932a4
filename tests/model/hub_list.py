"""The deployments of the hub, and the list that it gives of them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from status_app.errors import UnavailableError

from .fleet import manifest

NAMES: Final = ("base", "layer-a", "other")
"""The deployments that twins are credited with."""
OF_DEVICES: Final = {"deviceContent": {"properties.desired.x": 1}}
"""The content of a device configuration, which is no deployment."""


class Given(StrEnum):
    """How the hub gives its list."""

    WHOLE = "whole"
    REFUSED = "refused"
    HALF = "half"
    """It has every second deployment alone."""
    TWICE = "twice"
    """It has each deployment twice, once as it was created before."""
    ODD = "odd"
    """It has items that are no deployments, and of each deployment a content that is no object."""


def _layer(module: str, tag: int) -> dict[str, Any]:
    named = manifest(((int(module[1:]) - 1, tag),))["modules"][module]
    return {"modulesContent": {"$edgeAgent": {f"properties.desired.modules.{module}": named}}}


CONTENTS: Final[tuple[Any, ...]] = (
    {"modulesContent": {"$edgeAgent": {"properties.desired": manifest(((0, 1), (1, 1)))}}},
    {"modulesContent": {"$edgeAgent": {"properties.desired": manifest(((1, 2),))}}},
    _layer("m1", 2),
    _layer("m3", 1),
    {"modulesContent": {"$edgeHub": {"properties.desired.routes.r": "FROM /* INTO $upstream"}}},
    "no object",
    {},
)
"""Two bases, three layers, the last of which names routes alone, and two that name no modules."""
_SYSTEM: Final = {"$edgeAgent": "r.example/agent:1.5", "$edgeHub": "r.example/hub:1.5"}
IMAGES: Final[tuple[dict[str, str] | None, ...]] = (
    {**_SYSTEM, "m1": "r.example/m1:1", "m2": "r.example/m2:1"},
    {**_SYSTEM, "m2": "r.example/m2:2"},
    {"m1": "r.example/m1:2"},
    {"m3": "r.example/m3:1"},
    {},
    None,
    None,
)
"""The modules that each of them names, by their images; None: nobody knows, and every module counts."""


@dataclass(frozen=True, slots=True)
class Created:
    """Somebody creates a deployment; where there is one under its id, that one is deleted before.

    Attributes:
        deployment: The number of its name.
        content: The number of its content.
    """

    deployment: int
    content: int
    priority: int


@dataclass(frozen=True, slots=True)
class Removed:
    """Somebody deletes a deployment."""

    deployment: int


@dataclass(frozen=True, slots=True)
class Gives:
    """The hub gives its list so from now on."""

    given: Given


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment that the hub has."""

    content: int
    priority: int
    created: datetime

    @property
    def images(self) -> dict[str, str] | None:
        """The modules that it names, by their images; None where nobody knows."""
        return IMAGES[self.content]

    @property
    def rank(self) -> tuple[int, datetime]:
        """Of two that name a module the one of the higher rank wins."""
        return self.priority, self.created


@dataclass
class Deployments:
    """The deployments of the hub, by their names.

    Attributes:
        given: How it gives its list from now on.
    """

    present: dict[str, Deployment] = field(default_factory=dict)
    given: Given = Given.WHOLE

    def take(self, step: Created | Removed | Gives, now: datetime) -> None:
        """Let a step happen."""
        match step:
            case Created(deployment, content, priority):
                self.present[NAMES[deployment]] = Deployment(content, priority, now)
            case Removed(deployment):
                self.present.pop(NAMES[deployment], None)
            case Gives(given):
                self.given = given

    def listed(self) -> list[Any]:
        """The list, as the hub sends it.

        Raises:
            UnavailableError: It refuses.
        """
        if self.given is Given.REFUSED:
            raise UnavailableError("iothub", "answer 403")
        items = [_item(name, one) for name, one in self.present.items()]
        match self.given:
            case Given.HALF:
                return items[::2]
            case Given.TWICE:
                return [*items, *(_before(item) for item in items)]
            case Given.ODD:
                odd = [None, "base", {"id": 7}, {"id": "x", "content": OF_DEVICES}]
                return [*odd, *(item | {"content": [1]} for item in items)]
        return items


def _item(name: str, one: Deployment) -> dict[str, Any]:
    content = CONTENTS[one.content]
    return {"id": name, "createdTimeUtc": one.created.isoformat(), "priority": one.priority, "content": content}


def _before(item: dict[str, Any]) -> dict[str, Any]:
    created = datetime.fromisoformat(item["createdTimeUtc"]) - timedelta(hours=1)
    return item | {"createdTimeUtc": created.isoformat(), "content": CONTENTS[3], "priority": 9}
