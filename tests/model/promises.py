"""What holds of a device at any moment, whatever was lost, repeated or killed: its history, and what points to it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from status_app.fleet_index.rows import PENDING, ROOM, questions_of, shard_of
from status_app.status_table.rows import event_id
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.keys import joined, key_part


def broken_promises(
    device: str, state: Mapping[str, Any], history: Sequence[Mapping[str, Any]], index: set[tuple[str, str]]
) -> Iterator[str]:
    """What is wrong with a device.

    Args:
        state: Its rows and those of its modules, by RowKey.
        history: All its transitions, the oldest first.
        index: The keys of the rows that point to devices.
    """
    yield from _history(device, state, history)
    yield from _chain(state, history)
    yield from _pointers(device, state, index)


def parts(state: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of the modules by name, and of the device under none."""
    return {key.removeprefix("module:").removeprefix("device"): row for key, row in state.items()}


def _history(device: str, state: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Sequences without a gap that the device's row ends, ids of their own, and times that never run back."""
    sequences = [row["Sequence"].value for row in history]
    if sequences != list(range(1, len(history) + 1)):
        yield f"the sequences are {sequences}"
    if "device" in state and state["device"]["Sequence"].value != len(history):
        yield f"the device's sequence is {state['device']['Sequence'].value} of {sequences}"
    if [row["EventId"] for row in history] != [event_id("hub1", device, sequence) for sequence in sequences]:
        yield "an event has not the id of its sequence"
    for before, row in pairwise(history):
        if row["At"] < before["At"]:
            yield f"{row['Sequence'].value}: {row['At']} is before {before['At']}"


def _chain(state: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each state is entered where the one before was left, and the rows are what the history came to."""
    states: dict[str, str] = {}
    stuck: set[str] = set()
    for row in history:
        sequence, module, kind = row["Sequence"].value, row["Module"], row["Kind"]
        if row["FromState"] != states.get(module, ""):
            yield f"{sequence}: {module} left {row['FromState']!r}, and was {states.get(module, '')!r}"
        states[module] = row["ToState"]
        if kind in ("stuck", "recovered"):
            if (module in stuck) is (kind == "stuck"):
                yield f"{sequence}: {module} {kind} twice"
            stuck ^= {module}
        if kind == "deleted":
            states, stuck = {}, set()
    for name, row in parts(state).items():
        told = (states.pop(name, ""), name in stuck)
        if (row["State"], row["Stuck"]) != told:
            yield f"{name or 'the device'} is {row['State']}, {row['Stuck']}, and its history says {told}"
    if any(states.values()):
        yield f"there are no rows of {states}"


def _pointers(device: str, state: Mapping[str, Any], index: set[tuple[str, str]]) -> Iterator[str]:
    """Every row that leads to the device, unless a change of it is announced; no deadline is too late."""
    if "device" not in state:
        return
    shard, pending = shard_of(device), joined(PENDING, key_part(device), "")
    questions = questions_of(StoredDevice(device, state))
    missing = {(shard, key) for key in list(questions)[:ROOM]} - index
    if missing and not any(partition == shard and key.startswith(pending) for partition, key in index):
        yield f"the index does not hold {missing}"
    look_at = state["device"].get("LookAt")
    for name, row in parts(state).items():
        waits = row["State"] not in ("pending", "unknown", "extra") or not name
        due = row.get("StuckAt") if not row["Stuck"] else row.get("SettledSince")
        if waits and due is not None and (look_at is None or (look_at > due and not row["Stuck"])):
            yield f"{name or 'the device'} waits for {due}, and is looked at {look_at}"
