"""What holds of a device at any moment, whatever was lost, repeated or killed: its history, and what points to it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from status_app.fleet_index.rows import PENDING, ROOM, lookup_rows, shard_of
from status_app.status_table.rows import event_id, read_record
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.keys import joined, key_part
from status_core import GracePolicy


def broken_promises(
    device: str,
    state: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    index: set[tuple[str, str]],
    *,
    is_chained: bool = True,
) -> Iterator[str]:
    """What is wrong with a device.

    Args:
        state: Its rows and those of its modules, by RowKey.
        history: All its transitions, the oldest first.
        index: The keys of the rows that point to devices.
        is_chained: Whether only this release has written of it. The one before announced each state as it came, and its
            rows do not say what was announced.
    """
    yield from _history(device, state, history)
    yield from _chain(state, history) if is_chained else _initial(history)
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
    if "device" in state and history and state["device"]["At"] < history[-1]["At"]:
        yield f"the device's At {state['device']['At']} is before that of its last transition"


def _chain(state: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each state is announced from the one that was announced before, and the rows are what the history came to."""
    news = _News()
    for row in history:
        yield from (f"{row['Sequence'].value}: {text}" for text in news.take(row))
    for name, row in parts(state).items():
        if row["Stuck"] is not (name in news.stuck):
            yield f"{name or 'the device'} has Stuck {row['Stuck']}, its history {name in news.stuck}"
        # A release before kept no AnnouncedState, and the first parts of a first change are not announced.
        if "AnnouncedState" in row and (name or row["State"]):
            found = row["AnnouncedState"], row["AnnouncedSince"]
            yield from (f"{name or 'the device'} was announced as {text}" for text in news.differs(name, *found))
    if gone := news.stuck - parts(state).keys():
        yield f"there are no rows of {gone}, which are stuck"


def _initial(history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A device that was announced is not announced for the first time again, whichever release announced it."""
    is_known = False
    for row in history:
        if is_known and row.get("Initial"):
            yield f"{row['Sequence'].value}: it is announced as new"
        is_known = row["Kind"] == "device" or (is_known and row["Kind"] != "deleted")


class _News:
    """What a history has announced so far.

    Attributes:
        stuck: Modules that are stuck; the empty name is the device.
    """

    def __init__(self) -> None:
        self.stuck = set[str]()
        self._announced: dict[str, tuple[str, Any]] = {}
        self._is_known = False

    def take(self, row: Mapping[str, Any]) -> Iterator[str]:
        """Go on behind a transition. What is wrong with it."""
        module, kind = row["Module"], row["Kind"]
        initial = row.get("Initial")  # the release before has no such column
        if initial is self._is_known or (initial and module):
            yield f"Initial is {initial}"
        self._is_known = kind != "deleted"
        if kind in ("stuck", "recovered"):
            if (module in self.stuck) is (kind == "stuck"):
                yield f"{module} {kind} twice"
            if row["FromState"] != row["ToState"]:
                yield f"{module} {kind} leaves {row['FromState']!r} for {row['ToState']!r}"
            self.stuck ^= {module}
            return
        yield from (f"{module} leaves {text}" for text in self.differs(module, row["FromState"], row["PreviousSince"]))
        # A module that comes back begins as settled.
        is_gone = module and not row["ToState"]
        self._announced[module] = ("settled", None) if is_gone else (row["ToState"], row["Since"])
        if kind == "deleted":
            self._announced, self.stuck = {}, set()

    def differs(self, module: str, state: str, since: Any) -> Iterator[str]:
        """How what was announced last is another state, or began at another time."""
        announced, began = self._announced.get(module, (None, None))
        if state not in (_first(module) if announced is None else (announced,)):
            yield f"{state!r}, and the last transition announced {announced!r}"
        # A module that was announced as settled goes without a transition. Where it comes back it is settled again.
        came_back = module and announced == "settled" and began is not None and since > began
        if began is not None and since != began and not came_back:
            yield f"what began {since}, and not {began}"


def _first(module: str) -> tuple[str, ...]:
    """What can have been announced of a module, or of the device, before its own first transition.

    The first look at a device announces the device alone. What was news of a module then counts as announced.
    """
    return ("settled", "wrong_status", "missing", "updating", "extra") if module else ("",)


def _pointers(device: str, state: Mapping[str, Any], index: set[tuple[str, str]]) -> Iterator[str]:
    """Every row that leads to the device, unless a change of it is announced; no deadline is too late."""
    if "device" not in state:
        return
    shard, pending = shard_of(device), joined(PENDING, key_part(device), "")
    questions = lookup_rows(StoredDevice(device, state))
    missing = {(shard, key) for key in list(questions)[:ROOM]} - index
    if missing and not any(partition == shard and key.startswith(pending) for partition, key in index):
        yield f"the index does not hold {missing}"
    record, look_at = read_record(state), state["device"].get("LookAt")
    due = None if record is None else record.due(GracePolicy())
    if due is not None and (look_at is None or look_at > due):
        yield f"it is due {due}, and is looked at {look_at}"
