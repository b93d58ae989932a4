"""The rows of the table DeploymentIndex: other ways to find a device than by its id.

A row only points to a device. It is written before the change that it belongs to and removed after it, so a crash
leaves a row too many and never one too few; whoever reads one looks at the device. The rows of a device are in one
partition, its shard, so that they are written together, and no partition takes the writes of the whole fleet.

    deadline|<due>|<device>|<generation>              the device needs a look at that time
    state|<state>|<device>|<generation>               the device is in that state
    deployment|<id>|<device>|<state>|<reason>|<portal>|<stuck since>|<generation>
                                                      the deployment is credited on the device
    stuck|<since>|<device>|<generation>               something of the device is stuck
    module|<since>|<device>|<module>|<generation>     that module, or `$edgeAgent` for the device itself, is stuck
    unsent|<device>|<first>-<last sequence>           these transitions are not published
    changed|<id>|<device>|<generation>                what is counted of the deployment changes: the row of that
                                                      generation goes, or, where it is `new`, a first one comes

What a row says stands in its columns too: a key that is too long ends with its hash. Two writers who say different
things never share a key, and a device's generation counts the changes of its rows here and ends with a hash of what
they say. So a key that was removed never comes again: a writer who is late can neither change nor remove the row of
another. And rows of a writer who never came to its change are of a generation that no device has.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from status_app.iothub.doctors_device import is_doctors_device
from status_app.status_table.rows import long, read_number, read_time
from status_app.storage.keys import DEVICE, escape, joined, key_part, module_name, unescape
from status_core import EDGE_AGENT

SHARDS: Final = tuple(f"shard:{shard:x}" for shard in range(16))
"""A partition takes 2,000 writes a second; a question to the fleet asks each shard once."""
_HASH_BITS: Final = 32
_COUNTED: Final = ("State", "Reason", "Portal", "StuckSince")
"""What a row by deployment says that is counted."""

type IndexKey = tuple[str, str]
"""PartitionKey and RowKey."""
type IndexRows = dict[IndexKey, dict[str, Any]]
"""Rows by their keys, with their columns."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """One row: look at this device.

    Attributes:
        columns: What the row says.
        written: When it was written, by the clock of the app.
    """

    device_id: str
    key: IndexKey
    columns: Mapping[str, Any]
    etag: str
    written: datetime


def index_rows(device_id: str, rows: Mapping[str, Mapping[str, Any]]) -> IndexRows:
    """The index rows of a device, by its state rows in DeploymentStatus; none without its own row."""
    if DEVICE not in rows:
        return {}
    row, (device, shard) = rows[DEVICE], place(device_id)
    generation = read_number(row.get("Generation")) or 0
    since = row.get("FirstStuckSince")
    asked = {"State": row["State"], "Reason": row["Reason"], "Portal": row.get("Portal", "")}
    said = (*map(key_part, asked.values()), "" if since is None else time_text(since))
    if since is not None:
        asked["StuckSince"] = read_time(since)
    found: dict[tuple[str, ...], dict[str, Any]] = {("state", key_part(row["State"]), device): {}}
    if "LookAt" in row:
        found["deadline", time_text(row["LookAt"]), device] = {}
    if since is not None:
        found["stuck", time_text(since), device] = {}
    for key, part in rows.items():
        if "StuckSince" in part:
            module = EDGE_AGENT if key == DEVICE else module_name(key)
            found["module", time_text(part["StuckSince"]), device, key_part(module)] = {"Row": key}
    for deployment in [] if is_doctors_device(device_id) else json.loads(row["Deployments"]):
        name = key_part(deployment)
        found["deployment", name, device, *said] = {"Deployment": name, **asked}
    own = {"Device": escape(device_id), "Generation": long(generation)}
    return {(shard, joined(*parts, str(generation))): own | columns for parts, columns in found.items()}


def next_generation(rows: Mapping[str, Mapping[str, Any]], last_sequence: int) -> int:
    """The generation of a device whose rows here change.

    Args:
        rows: Its state rows, with the generation before.
        last_sequence: The number of its last transition: a new life does not count from 1 again.
    """
    known = read_number(rows[DEVICE].get("Generation"))
    count = last_sequence if known is None else known >> _HASH_BITS
    said = sorted(index_rows("", {**rows, DEVICE: {**rows[DEVICE], "Generation": None}}))
    return (count + 1 << _HASH_BITS) + zlib.crc32(repr(said).encode())


def deployments_of(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The deployments that rows speak of, by their columns."""
    return {unescape(row["Deployment"]) for row in rows if "Deployment" in row}


def changed_rows(device_id: str, added: IndexRows, left: IndexRows) -> IndexRows:
    """The rows that tell which counts of deployments a change is something to, and of each row that goes what it is.

    Args:
        device_id: The device.
        added: The rows that the change brings here, those by deployment among them.
        left: Those that it takes away, be they of before or only between two parts of it.
    """
    device, shard = place(device_id)
    found: IndexRows = {}
    come, go = (_by_deployment(rows) for rows in ({key: added[key] for key in added.keys() - left.keys()}, left))
    for name in come.keys() | go.keys():
        rows = (*come.get(name, ()), *go.get(name, ()))
        if name in come and name in go and len({tuple(row.get(what) for what in _COUNTED) for row in rows}) == 1:
            continue
        own = {"Device": escape(device_id), "Deployment": name}
        for row in go.get(name, ()):
            found[shard, joined("changed", name, device, str(read_number(row["Generation"])))] = own | {
                "Gone": row["Generation"]
            }
        if name not in go:
            found[shard, joined("changed", name, device, "new")] = own
    return found


def _by_deployment(rows: IndexRows) -> dict[str, list[Mapping[str, Any]]]:
    found = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in rows.values():
        if "Deployment" in row:
            found[row["Deployment"]].append(row)
    return found


def unsent_row(device_id: str, first: int, last: int) -> IndexRows:
    """The index row of transitions that are not published, by their sequences."""
    device, shard = place(device_id)
    return {(shard, joined("unsent", device, f"{first:019d}-{last:019d}")): {"Device": escape(device_id)}}


def unsent_sequences(pointer: Pointer) -> range:
    """The sequences that such a row speaks of."""
    first, _, last = pointer.key[1].rpartition("|")[2].partition("-")
    return range(int(first), int(last) + 1)


def place(device_id: str) -> tuple[str, str]:
    """A device as a part of a key, and its shard."""
    device = key_part(device_id)
    return device, SHARDS[zlib.crc32(device.encode()) % len(SHARDS)]


def time_text(time: datetime) -> str:
    """A time whose order is that of its text."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
