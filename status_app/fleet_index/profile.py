"""The searchable properties of a device, in columns of its summary. One request searches a thousand devices."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from status_app.fleet_index.leading_cause import leading_cause
from status_app.storage.keys import DEVICE, MODULE, escape, module_name, unescape
from status_core import INDIVIDUAL, State

PROFILE: Final = (
    "State",
    "Reason",
    "Cause",
    "Stuck",
    "Deployments",
    "AgentVersion",
    "Flags",
    "Images",
    "Cohorts",
)
"""The columns of a profile."""
IMAGES_SIZE: Final = 30_000
"""Characters of a profile's images: a column holds 32,768."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The searchable properties of a device.

    Attributes:
        cause: The id of its leading cause; empty if it has none.
        images: The image that each module reports, with its digest if the agent reports it; None if they do not fit
            into a column: the device must be read.
    """

    state: str
    reason: str
    cause: str
    is_stuck: bool
    deployments: tuple[str, ...]
    agent_version: str
    flags: tuple[str, ...]
    images: Mapping[str, tuple[str, str | None]] | None
    cohorts: tuple[str, ...]

    @classmethod
    def of(cls, rows: Mapping[str, Mapping[str, Any]]) -> Self:
        """Create the profile of a device.

        Args:
            rows: Its state rows by RowKey, its own among them.
        """
        device, cause = rows[DEVICE], leading_cause(rows)
        return cls(
            state=device["State"],
            reason=device["Reason"],
            cause="" if cause is None else cause.id,
            is_stuck="FirstStuckSince" in device,
            deployments=credited(device),
            agent_version=device.get("AgentVersion", ""),
            flags=_names(device, "Flags"),
            images={
                module_name(key): (row["ReportedImage"], row.get("ImageHash"))
                for key, row in sorted(rows.items())
                if key.startswith(MODULE) and "ReportedImage" in row
            },
            cohorts=_names(device, "Cohorts"),
        )

    @classmethod
    def read(cls, columns: Mapping[str, Any]) -> Self:
        """Read the profile from the columns of a summary.

        Raises:
            LookupError, TypeError, ValueError: The columns are not a profile.
        """
        images = json.loads(columns["Images"]) if "Images" in columns else None
        return cls(
            state=columns["State"],
            reason=columns["Reason"],
            cause=columns["Cause"],
            is_stuck=columns["Stuck"],
            deployments=_names(columns, "Deployments"),
            agent_version=columns["AgentVersion"],
            flags=_names(columns, "Flags"),
            images=None
            if images is None
            else {unescape(key): (image, digest) for key, (image, digest) in images.items()},
            cohorts=_names(columns, "Cohorts"),
        )

    def columns(self) -> dict[str, Any]:
        """Return the columns of the profile."""
        images = json.dumps({escape(name): image for name, image in (self.images or {}).items()}, ensure_ascii=False)
        columns = {
            "State": self.state,
            "Reason": self.reason,
            "Cause": self.cause,
            "Stuck": self.is_stuck,
            "Deployments": json.dumps(self.deployments, ensure_ascii=False),
            "AgentVersion": self.agent_version,
            "Flags": json.dumps(self.flags, ensure_ascii=False),
            "Cohorts": json.dumps(self.cohorts, ensure_ascii=False),
        }
        return columns if len(images) > IMAGES_SIZE else {**columns, "Images": images}


def credited(device: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the deployments that a device counts for: `~individual` if it has modules but no applied deployment."""
    return _names(device, "Deployments") or (() if device["State"] == State.NO_DEPLOYMENT else (INDIVIDUAL,))


def _names(columns: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(json.loads(columns.get(name, "[]")))
