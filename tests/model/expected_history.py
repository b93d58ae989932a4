"""What the history of a device announces: each state once, no older twin after a newer one, and nothing is lost."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import takewhile
from typing import Any

from status_app.service_clock import RESOLUTION
from status_app.storage.keys import escape
from status_core import known_reason

from .expected_clocks import AS_DESIRED
from .fleet import Device
from .world import START, World


def history_of(world: World, device_id: str) -> list[Mapping[str, Any]]:
    """Every transition that was ever committed, in the order of their sequence: a transaction has another one."""
    partition = escape(device_id)
    rows = [
        row
        for table, row in world.tables.written
        if table == "DeploymentStatus" and row["PartitionKey"] == partition and row["RowKey"].startswith("transition:")
    ]
    return sorted(rows, key=lambda row: int(row["Sequence"].value))


def repeated(device: Device, history: list[Mapping[str, Any]]) -> Iterator[str]:
    """No state is announced twice before all is well, or another version comes, but for its first hopeless reason."""
    if any(twin is None for twin in device.twins[1:]):
        return  # versions begin again, and not each of them was seen
    announced: dict[str, set[tuple[Any, str, bool]]] = defaultdict(set)
    for row in history:
        if row["Kind"] not in ("device", "module"):
            continue
        if row["ToState"] in AS_DESIRED or not row["ToState"]:
            announced[row["Module"]].clear()
            continue
        reason = known_reason(row["Reason"])
        is_hopeless = reason is not None and reason.is_hopeless
        version = getattr(row.get("DesiredVersion"), "value", None)
        item = version, row["ToState"], is_hopeless
        before = {state for number, state, _ in announced[row["Module"]] if number == version}
        was_hopeless = any(hopeless for number, _, hopeless in announced[row["Module"]] if number == version)
        if row["ToState"] in before and (was_hopeless or not is_hopeless):
            yield f"{row['Sequence'].value}: {row['Module'] or 'the device'} is {row['ToState']} once more"
        announced[row["Module"]].add(item)


def followed(world: World, device: Device, history: list[Mapping[str, Any]]) -> Iterator[str]:
    """What is announced of the device was so by its twins, one after the other: no older one came back, none was dated
    before it was there.
    """
    place = 0
    states = [
        ("", None) if twin is None else (str(status.state), status.desired_version)
        for twin, status in zip(device.twins, device.statuses, strict=True)
    ]
    times = [START, *(at for name, at, _ in world.changes if name == device.device_id)]
    for row in history:
        if row["Kind"] not in ("device", "deleted"):
            continue
        version = getattr(row.get("DesiredVersion"), "value", None) if row["Kind"] == "device" else None
        found = (index for index in range(place, len(states)) if states[index] == (row["ToState"], version))
        place = next(found, len(states))
        if place == len(states):
            yield f"{row['Sequence'].value}: {row['ToState']} of version {version} is the state of no later twin"
            return
        if row["At"] < times[place] - (RESOLUTION if row["Kind"] == "deleted" else timedelta()):
            yield f"{row['Sequence'].value}: {row['At']} is before {times[place]}, when it came to be so"


def kept(world: World, device: Device, rows: Mapping[str, Any], history: list[Mapping[str, Any]]) -> Iterator[str]:
    """The newest transitions are stored, and those that must not be lost, all as they were written."""
    written = {row["RowKey"]: row for row in history}
    stored = {key: row for key, row in rows.items() if key.startswith("transition:")}
    if any(row != written[key] for key, row in stored.items()):
        yield "what is stored of its history is not what was written"
    needed = {row["RowKey"]: "one of the newest" for row in history[-world.history.history_limit :]}
    if device.twin is not None and None not in device.twins[1:]:
        needed |= _outlasting(device, rows, history)
    for key in needed.keys() - stored.keys():
        yield f"transition {written[key]['Sequence'].value} is gone: {needed[key]}"


def _outlasting(device: Device, rows: Mapping[str, Any], history: list[Mapping[str, Any]]) -> dict[str, str]:
    """The newest flags of each part that was never gone, and the first transition of the present version."""
    always = set.intersection(*({"", *status.modules} for status in device.statuses[1:]))
    flags = {
        (row["Kind"], row["Module"]): row["RowKey"]
        for row in history
        if row["Kind"] in ("stuck", "recovered") and row["Module"] in always
    }
    version = rows["device"].get("DesiredVersion")
    first = list(takewhile(lambda row: row.get("DesiredVersion") == version, reversed(history)))[-1:]
    found = {key: f"the newest {kind} of {module or 'the device'}" for (kind, module), key in flags.items()}
    return found | {row["RowKey"]: "the first of this version" for row in first}
