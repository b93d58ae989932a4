"""The columns of each list: those shown on a terminal, and all that CSV has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column of a list.

    Attributes:
        name: The property of an item, by its name in the API.
        title: Its heading on a terminal; empty if a terminal does not show it.
    """

    name: str
    title: str = ""


DEVICES: Final = (
    ListColumn("deviceId", "DEVICE"),
    ListColumn("state", "STATE"),
    ListColumn("reason"),
    ListColumn("since", "SINCE"),
    ListColumn("stuck"),
    ListColumn("stuckSince", "STUCK SINCE"),
    ListColumn("cause", "CAUSE"),
    ListColumn("deployments", "DEPLOYMENTS"),
    ListColumn("targeted"),
    ListColumn("flags"),
    ListColumn("cohorts"),
    ListColumn("desiredVersion"),
    ListColumn("lastDesiredVersion"),
    ListColumn("statusCode"),
    ListColumn("agentVersion"),
    ListColumn("connectionState"),
    ListColumn("lastActivityAt"),
    ListColumn("at"),
    ListColumn("observedAt"),
    ListColumn("message"),
)
MODULES: Final = (
    ListColumn("deviceId"),
    ListColumn("module"),
    ListColumn("state"),
    ListColumn("reason"),
    ListColumn("since"),
    ListColumn("stuck"),
    ListColumn("stuckSince"),
    ListColumn("stuckAt"),
    ListColumn("cause"),
    ListColumn("desiredStatus"),
    ListColumn("runtimeStatus"),
    ListColumn("desiredImage"),
    ListColumn("reportedImage"),
    ListColumn("imageHash"),
    ListColumn("exitCode"),
    ListColumn("restartCount"),
    ListColumn("message"),
)
TRANSITIONS: Final = (
    ListColumn("sequence"),
    ListColumn("at"),
    ListColumn("kind"),
    ListColumn("module"),
    ListColumn("fromState"),
    ListColumn("toState"),
    ListColumn("reason"),
    ListColumn("cause"),
    ListColumn("desiredVersion"),
    ListColumn("deployments"),
    ListColumn("durationSeconds"),
    ListColumn("message"),
)
CAUSES: Final = (
    ListColumn("stuck", "STUCK"),
    ListColumn("devices", "DEVICES"),
    ListColumn("since", "SINCE"),
    ListColumn("causeId", "ID"),
    ListColumn("cause", "CAUSE"),
    ListColumn("reason"),
    ListColumn("module"),
    ListColumn("image"),
    ListColumn("exitCode"),
    ListColumn("newest"),
    ListColumn("examples"),
    ListColumn("advice", "WHAT TO DO"),
    ListColumn("message"),
)
IMAGES: Final = (
    ListColumn("image", "IMAGE"),
    ListColumn("digest", "DIGEST"),
    ListColumn("digests", "DIGESTS"),
    ListColumn("module", "MODULE"),
    ListColumn("devices", "DEVICES"),
    ListColumn("deployments", "DEPLOYMENTS"),
)
AGENTS: Final = (ListColumn("agentVersion", "VERSION"), ListColumn("devices", "DEVICES"))
DEPLOYMENTS: Final = (
    ListColumn("deploymentId", "DEPLOYMENT"),
    ListColumn("devices", "DEVICES"),
    ListColumn("successful", "SUCCESSFUL"),
    ListColumn("failing", "FAILING"),
    ListColumn("stuck", "STUCK"),
    ListColumn("version"),
    ListColumn("countedAt", "COUNTED AT"),
)
DISAGREEMENTS: Final = (
    ListColumn("deviceId"),
    ListColumn("portal"),
    ListColumn("standing"),
    ListColumn("state"),
    ListColumn("reason"),
    ListColumn("since"),
    ListColumn("why"),
    ListColumn("message"),
)

type ListColumns = tuple[ListColumn, ...]
type Item = Mapping[str, Any]
"""An item of a list, as the API returns it."""


def cell(value: Any) -> str:
    """Format a cell: empty for null, a list as its names separated by spaces."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return " ".join(map(cell, value))
    if isinstance(value, Mapping):  # a device, with its time
        return str(value.get("deviceId", ""))
    return str(value)
