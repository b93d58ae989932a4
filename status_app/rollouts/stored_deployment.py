"""A deployment as its row has it: its last count and its milestones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from azure.data.tables import TableEntity

from status_app.rollouts.device_count import DeviceCount
from status_app.storage.columns import DEPLOYMENT_COLUMNS, Row, built, read, write
from status_app.storage.keys import unescape
from status_core import Counts, Rollout


@dataclass(frozen=True)  # without slots: its row is read once
class StoredDeployment:
    """A stored deployment.

    Attributes:
        row: Its row; None before the first count.
    """

    deployment: str
    row: TableEntity | None

    @cached_property
    def rollout(self) -> Rollout | None:
        """The stored rollout."""
        return None if self.row is None else _read(self.row)

    @property
    def points(self) -> int:
        """How many points of its progress were ever stored."""
        return 0 if self.row is None else int(self.row.get("Points") or 0)

    def has(self, count: DeviceCount, threshold: str | None) -> bool:
        """Whether the last count was the same, with the same threshold."""
        if self.row is None:
            return False
        columns = {**_count_columns(count), "FailureThreshold": threshold}
        return columns == {name: self.row.get(name) for name in columns}


@dataclass(frozen=True, slots=True)
class CountedDeployment:
    """A deployment that was counted."""

    row: TableEntity

    @property
    def key(self) -> str:
        """Its key, which sorts deployments."""
        return str(self.row["RowKey"]).partition("|")[2]

    @property
    def deployment(self) -> str:
        """Its id."""
        return unescape(self.key)

    @property
    def rollout(self) -> Rollout:
        """The stored rollout."""
        return _read(self.row)

    @property
    def threshold(self) -> str | None:
        """How many of its devices may fail; None if not set."""
        threshold: str | None = self.row.get("FailureThreshold")
        return threshold


def _count_columns(count: DeviceCount) -> dict[str, Any]:
    return {
        "Devices": count.devices,
        "Successful": count.counts.successful,
        "Settling": count.counts.settling,
        "Failing": count.counts.failing,
        "Waiting": count.counts.waiting,
        "Stuck": count.stuck,
        "States": json.dumps(count.states),
    }


def rollout_columns(rollout: Rollout, count: DeviceCount, counted: datetime, threshold: str | None, points: int) -> Row:
    """Return the columns of a rollout and its count."""
    return write(
        DEPLOYMENT_COLUMNS,
        rollout,
        Stuck=count.stuck,
        States=json.dumps(count.states),
        CountedAt=counted,
        FailureThreshold=threshold,
        Points=points,
        Reached=json.dumps({milestone: at.isoformat() for milestone, at in rollout.reached}),
    )


def _read(row: Mapping[str, Any]) -> Rollout:
    values = read(DEPLOYMENT_COLUMNS, row)
    reached = tuple((name, datetime.fromisoformat(at)) for name, at in json.loads(row["Reached"]).items())
    # A previous release counted neither settling nor waiting devices.
    counts = {name: value or 0 for name, value in values.items() if name.startswith("counts.")}
    if not all(isinstance(value, int) for value in counts.values()):
        raise TypeError("a count of a deployment is not a number")
    return built(Rollout, values, counts=built(Counts, counts, "counts."), reached=reached)
