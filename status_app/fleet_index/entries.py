"""What rows of the index hold: devices, and how many are alike."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from azure.data.tables import TableEntity

from status_app.storage.codecs import read_number
from status_app.storage.keys import unescape
from status_app.telemetry.logs import log

_COUNTER_COLUMNS: Final = frozenset({"Deployment", "State", "Reason", "Portal", "Stuck"})
"""Columns that every counter has, besides the number of devices."""

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A row of the index about one device.

    Attributes:
        shard: Its partition.
        key: Its RowKey.
        written: When it was written, by the clock of the table service; None if the service does not say.
    """

    device_id: str
    shard: str
    key: str
    columns: Mapping[str, Any]
    written: datetime | None


@dataclass(frozen=True, slots=True)
class Work:
    """What a timer has to do by now.

    Attributes:
        due: Devices that must be read again, longest overdue first.
        announced: Announced changes that were not projected, and devices with unpublished events.
        overflowing: Devices with more rows or counters than the index has room for.
        counter_etags: For each shard whose counters ever changed, an ETag that changes each time they do.
    """

    due: list[IndexEntry]
    announced: list[IndexEntry]
    overflowing: list[str]
    counter_etags: dict[str, str]


@dataclass(frozen=True, slots=True)
class DeviceGroup:
    """How many devices of a deployment share these properties.

    Attributes:
        deployment: The deployment; empty if devices of the whole fleet are counted.
        standing: How far they are in it; empty in a counter of format 1.
        version: When the hub created the deployment, by the list that they were judged with; empty if there was none.
        cause: The cause that they count under, as one line; empty if none.
        cohort: The cohort that they are in; empty if all cohorts are counted.
    """

    deployment: str
    state: str
    reason: str
    portal: str
    is_stuck: bool
    standing: str
    version: str
    devices: int
    cause: str = ""
    cohort: str = ""


@dataclass(frozen=True, slots=True)
class CauseRows:
    """Some of the devices that count under a cause.

    Attributes:
        first: The devices that have had it longest, in that order.
        newest: The device that got it last; None if a shard has more of them than are read.
    """

    first: Sequence[IndexEntry]
    newest: IndexEntry | None


def device_group(columns: Mapping[str, Any], devices: int) -> DeviceGroup:
    """Create a count from the columns of a counter."""
    deployment, stuck = unescape(columns["Deployment"]), bool(columns["Stuck"])
    standing, version = columns.get("Standing", ""), columns.get("Version", "")
    group = columns["State"], columns["Reason"], columns["Portal"], stuck, standing, version
    return DeviceGroup(deployment, *group, devices, columns.get("Cause", ""), columns.get("Cohort", ""))


def device_entries(rows: Iterable[TableEntity]) -> Iterator[IndexEntry]:
    """Yield the rows that name a device. Another row is logged and skipped."""
    for row in rows:
        device, written = row.get("Device"), row.metadata.get("timestamp")
        if isinstance(device, str):
            yield IndexEntry(unescape(device), row["PartitionKey"], row["RowKey"], row, written)
        else:
            _log.error("row %r of the index names no device", row["RowKey"])


def counted_groups(rows: Iterable[TableEntity]) -> Iterator[DeviceGroup]:
    """Yield the counters. One that cannot be read is logged and skipped."""
    for row in rows:
        devices = read_number(row.get("Devices"))
        if isinstance(devices, int) and row.keys() >= _COUNTER_COLUMNS:
            yield device_group(row, devices)
        else:
            _log.error("counter %r cannot be read", row["RowKey"])
