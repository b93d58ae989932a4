"""Points of a deployment's progress: what its devices came to, one for each minute in which that changed."""

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
"""Points that are kept, the newest."""
LATELY: Final = timedelta(minutes=15)
"""By what came to pass in this time the speed is measured: by default a deployment has stalled after as long."""
_KIND: Final = "progress|"
_PER_ROW: Final = 100
_ROWS: Final = MOST // _PER_ROW + 1
"""They are written in turn: while the newest fills, all others are full."""
_COLUMN: Final = "Point"

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """What the devices of a deployment had come to at a time.

    Attributes:
        at: When they were counted.
        version: The version of the deployment.
        targeted: On how many devices the hub said that its condition holds; None where it did not.
        credited: On how many it was credited.
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
        """The point of a count."""
        counts = rollout.counts
        return cls(at, rollout.version, targeted, counts.devices, counts.successful, counts.settling, counts.failing)


@dataclass(frozen=True, slots=True)
class Speed:
    """How many devices became successful in a time that ends now."""

    devices: int
    within: timedelta

    @property
    def per_hour(self) -> float:
        """How many did in an hour, at this speed."""
        return self.devices * (timedelta(hours=1) / self.within)


def point_row(partition: str, deployment: str, number: int, point: ProgressPoint) -> transaction.Operation:
    """What writes a point, and reads nothing: it is one column of a row that holds a hundred.

    Args:
        partition: Where the rows of deployments are.
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
    # The first column takes the place of a row whose points are older than the newest thousand.
    return TransactionOperation.UPSERT, written, {"mode": UpdateMode.MERGE if column else UpdateMode.REPLACE}


def rows_with_points(deployment: str) -> str:
    """The filter of the rows with the points of a deployment."""
    begin = f"{_KIND}{key_part(deployment)}"
    return f"RowKey ge '{begin}|' and RowKey lt '{begin}}}'"


def read_points(rows: Iterable[Mapping[str, Any]], version: int) -> list[ProgressPoint]:
    """The newest points of a version in their order. One that cannot be read costs itself."""
    points: list[ProgressPoint] = []
    for row in rows:
        for column in (name for name in row if name.startswith(_COLUMN)):
            try:
                points.append(_read(json.loads(row[column])))
            except UNREADABLE as error:  # its text may quote the row
                _log.error("%s of row %r cannot be read: %s", column, row["RowKey"], type(error).__name__)
    return sorted((point for point in points if point.version == version), key=lambda point: point.at)[-MOST:]


def speed(points: Sequence[ProgressPoint], now: datetime) -> Speed | None:
    """How fast devices became successful lately; None where none did."""
    if not points:
        return None
    begin = now - LATELY
    first = next((point for point in reversed(points) if point.at <= begin), points[0])
    devices, within = points[-1].successful - first.successful, now - max(first.at, begin)
    return Speed(devices, within) if devices > 0 and within > timedelta(0) else None


def _read(values: list[Any]) -> ProgressPoint:
    at, version, targeted, *counts = values
    if not all(isinstance(value, int) for value in (version, *counts)) or not isinstance(targeted, int | None):
        raise TypeError("a count of a point is no number")
    return ProgressPoint(datetime.fromisoformat(at), version, targeted, *counts)
