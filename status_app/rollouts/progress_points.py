"""Points of a deployment's progress: the counts of its devices, once per minute with a change."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from azure.data.tables import TransactionOperation, UpdateMode

from status_app.storage import transaction
from status_app.storage.codecs import UNREADABLE
from status_app.storage.keys import key_part
from status_app.telemetry.logs import log
from status_core import Rollout

MOST: Final = 1_000
"""How many points are stored, the newest ones."""
LATELY: Final = timedelta(minutes=15)
"""The time over which speed is measured. By default a deployment stalls after the same time."""
_KIND: Final = "progress|"
_PER_ROW: Final = 100
_ROWS: Final = MOST // _PER_ROW + 1
"""Rows are filled in turn: while the newest fills, all others are full."""
_COLUMN: Final = "Point"

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """The counts of a deployment's devices at a time.

    Attributes:
        at: When they were counted.
        version: The version of the deployment.
        targeted: How many devices its target condition matches, according to the hub; None if not known.
        credited: How many devices had it.
    """

    at: datetime
    version: int
    targeted: int | None
    credited: int
    successful: int
    settling: int
    failing: int

    @classmethod
    def of(cls, rollout: Rollout, targeted: int | None, at: datetime) -> "ProgressPoint":
        """Create the point of a count."""
        counts = rollout.counts
        return cls(at, rollout.version, targeted, counts.devices, counts.successful, counts.settling, counts.failing)


@dataclass(frozen=True, slots=True)
class Speed:
    """How many devices became successful in a time that ends now."""

    devices: int
    within: timedelta

    @property
    def per_hour(self) -> float:
        """The number of devices per hour at this speed."""
        return self.devices * (timedelta(hours=1) / self.within)


def point_row(partition: str, deployment: str, number: int, point: ProgressPoint) -> transaction.Operation:
    """Create the operation that writes a point without reading: one column of a row that holds a hundred.

    Args:
        partition: The partition of the rows.
        deployment: The deployment.
        number: How many points it had before.
        point: The point.
    """
    row, column = divmod(number, _PER_ROW)
    values = [point.targeted, point.credited, point.successful, point.settling, point.failing]
    written = {
        "PartitionKey": partition,
        "RowKey": f"{_KIND}{key_part(deployment)}|{row % _ROWS:02d}",
        f"{_COLUMN}{column:02d}": json.dumps([point.at.isoformat(), point.version, *values]),
    }
    # The first column replaces a row whose points are older than the newest thousand.
    return TransactionOperation.UPSERT, written, {"mode": UpdateMode.MERGE if column else UpdateMode.REPLACE}


def rows_with_points(deployment: str) -> str:
    """Return the filter for the rows with a deployment's points."""
    begin = f"{_KIND}{key_part(deployment)}"
    return f"RowKey ge '{begin}|' and RowKey lt '{begin}}}'"


def read_points(rows: Iterable[Mapping[str, Any]], version: int) -> list[ProgressPoint]:
    """Read the newest points of a version, in order. An unreadable point is logged and skipped."""
    points: list[ProgressPoint] = []
    for row in rows:
        for column in (name for name in row if name.startswith(_COLUMN)):
            try:
                points.append(_read(json.loads(row[column])))
            except UNREADABLE as error:  # its text may quote the row
                _log.error("%s of row %r cannot be read: %s", column, row["RowKey"], type(error).__name__)
    return sorted((point for point in points if point.version == version), key=lambda point: point.at)[-MOST:]


def speed(points: Sequence[ProgressPoint], now: datetime) -> Speed | None:
    """Return how fast devices became successful lately; None if none did."""
    if not points:
        return None
    begin = now - LATELY
    first = next((point for point in reversed(points) if point.at <= begin), points[0])
    devices, within = points[-1].successful - first.successful, now - max(first.at, begin)
    return Speed(devices, within) if devices > 0 and within > timedelta(0) else None


def _read(values: list[Any]) -> ProgressPoint:
    at, version, targeted, *counts = values
    if not all(isinstance(value, int) for value in (version, *counts)) or not isinstance(targeted, int | None):
        raise TypeError("a count of a point is not a number")
    return ProgressPoint(datetime.fromisoformat(at), version, targeted, *counts)
