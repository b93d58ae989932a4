"""What holds of a device at any moment, whatever was lost, repeated or killed: its history, and what points to it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from status_app.fleet_index.rows import PENDING, ROOM, questions_of, shard_of
from status_app.status_table.rows import event_id, read_record
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.keys import joined, key_part
from status_core import GracePolicy


def broken_promises(
    device: str,
    state: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    index: set[tuple[str, str]],
    policy: GracePolicy | None = None,
) -> Iterator[str]:
    """What is wrong with a device.

    Args:
        state: Its rows and those of its modules, by RowKey.
        history: All its transitions, the oldest first.
        index: The keys of the rows that point to devices.
        policy: Grace periods and windows; those of the settings' defaults, where it is None.
    """
    yield from _history(device, state, history)
    yield from _chain(state, history)
    yield from _pointers(device, state, index, policy or GracePolicy())


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
    if "device" in state and history and state["device"]["At"] < history[-1]["At"]:
        yield f"the device's At {state['device']['At']} is before that of its last transition"


def _chain(state: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each state is announced from the one that was announced before, and the rows are what the history came to."""
    announced: dict[str, tuple[str, Any]] = {}
    stuck: set[str] = set()
    is_known = False
    for row in history:
        sequence, module, kind = row["Sequence"].value, row["Module"], row["Kind"]
        if row["Initial"] is is_known or (row["Initial"] and module):
            yield f"{sequence}: Initial is {row['Initial']}"
        is_known = kind != "deleted"
        if kind in ("stuck", "recovered"):
            if (module in stuck) is (kind == "stuck"):
                yield f"{sequence}: {module} {kind} twice"
            if row["FromState"] != row["ToState"]:
                yield f"{sequence}: {module} {kind} leaves {row['FromState']!r} for {row['ToState']!r}"
            stuck ^= {module}
            continue
        state_before, since = announced.get(module, (None, None))
        if row["FromState"] not in (_first(module) if state_before is None else (state_before,)):
            yield f"{sequence}: {module} left {row['FromState']!r}, and {state_before!r} was announced"
        if since is not None and row["PreviousSince"] != since:
            yield f"{sequence}: {module} left what began {row['PreviousSince']}, not {since}"
        if row["ToState"] or not module:
            announced[module] = row["ToState"], row["Since"]
        else:
            announced[module] = "settled", None  # one that comes later begins so
        if kind == "deleted":
            announced, stuck = {}, set()
    for name, row in parts(state).items():
        if row["Stuck"] is not (name in stuck):
            yield f"{name or 'the device'} has Stuck {row['Stuck']}, its history {name in stuck}"
        told, since = announced.get(name, (None, None))
        if "AnnouncedState" not in row or (not name and not row["State"]):  # of a release before; a first part
            continue
        if row["AnnouncedState"] not in (_first(name) if told is None else (told,)):
            yield f"{name or 'the device'} has AnnouncedState {row['AnnouncedState']}, its history {told}"
        if since is not None and row["AnnouncedSince"] != since:
            yield f"{name or 'the device'} has AnnouncedSince {row['AnnouncedSince']}, its history {since}"
    if gone := [name for name in stuck if name not in parts(state)]:
        yield f"there are no rows of {gone}, which are stuck"


def _first(module: str) -> tuple[str, ...]:
    """What can have been announced of a module, or of the device, before its own first transition.

    The first look at a device announces the device alone. What was news of a module then counts as announced.
    """
    return ("settled", "wrong_status", "missing", "updating", "extra") if module else ("",)


def _pointers(device: str, state: Mapping[str, Any], index: set[tuple[str, str]], policy: GracePolicy) -> Iterator[str]:
    """Every row that leads to the device, unless a change of it is announced; no deadline is too late."""
    if "device" not in state:
        return
    shard, pending = shard_of(device), joined(PENDING, key_part(device), "")
    questions = questions_of(StoredDevice(device, state))
    missing = {(shard, key) for key in list(questions)[:ROOM]} - index
    if missing and not any(partition == shard and key.startswith(pending) for partition, key in index):
        yield f"the index does not hold {missing}"
    record, look_at = read_record(state), state["device"].get("LookAt")
    due = None if record is None else record.due(policy)
    if due is not None and (look_at is None or look_at > due):
        yield f"it is due {due}, and is looked at {look_at}"
