"""Splits the change of a device into transactions: as few as possible, each complete in itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Final

from azure.data.tables import TransactionOperation

from status_app.storage.client import TRANSACTION_LIMIT
from status_app.storage.columns import Row
from status_app.storage.keys import DEVICE, module_key
from status_app.storage.transaction import REPLACE, Operation
from status_core import Transition

_CHARACTERS: Final = 3 * 2**20 // 12
"""Of the rows in one transaction, which takes 4 MiB: a character takes up to 12 bytes (ASCII JSON). The rest is for
column names and the device's row."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The parts of a change that belong together: the row of one module, or of the device, and its transitions."""

    operations: tuple[Operation, ...]
    last: Transition | None

    @property
    def size(self) -> int:
        """Characters of the texts in its rows."""
        texts = (value for operation in self.operations for value in operation[1].values() if isinstance(value, str))
        return sum(map(len, texts))


def in_the_order_of_parts(transitions: Sequence[Transition]) -> list[Transition]:
    """Order transitions for writing in parts: those of a module together, the device's last.

    A crash between two parts must leave no gap in the sequences. Because times never run back, a transition that
    follows a later time takes that time.
    """
    modules = [*dict.fromkeys(transition.change.module for transition in transitions if transition.change.module), ""]
    ordered = sorted(transitions, key=lambda transition: modules.index(transition.change.module))
    sequences = range(transitions[0].sequence, transitions[-1].sequence + 1) if transitions else ()
    times = accumulate((transition.at for transition in ordered), max)
    return [
        replace(transition, sequence=sequence, at=at)
        for transition, sequence, at in zip(ordered, sequences, times, strict=True)
    ]


def units(
    transitions: Sequence[Transition],
    rows: Sequence[Row],
    changed: Mapping[str, Row],
    gone: Sequence[Mapping[str, Any]],
) -> Iterator[Unit]:
    """Yield each changed module with its transitions in order, then the device's own transitions."""
    states: dict[str, Operation] = {key: (TransactionOperation.UPSERT, row, REPLACE) for key, row in changed.items()}
    states |= {row["RowKey"]: (TransactionOperation.DELETE, keys_of(row)) for row in gone}
    states.pop(DEVICE, None)
    history: dict[str, list[tuple[Transition, Row]]] = {}
    for transition, row in zip(transitions, rows, strict=True):
        module = transition.change.module
        history.setdefault(module_key(module) if module else DEVICE, []).append((transition, row))
    for key in dict.fromkeys((*(key for key in history if key != DEVICE), *states, DEVICE)):
        moves = history.get(key, [])
        operations = [states[key]] if key in states else []
        operations += [(TransactionOperation.CREATE, row) for _, row in moves]
        yield Unit(tuple(operations), moves[-1][0] if moves else None)


def parts_of(units: Iterable[Unit]) -> list[list[Unit]]:
    """Split units into transactions, in order. There is at least one, even if it is empty."""
    found, count, size = [list[Unit]()], 0, 0
    for unit in units:
        if found[-1] and (count + len(unit.operations) >= TRANSACTION_LIMIT or size + unit.size > _CHARACTERS):
            found.append([])
            count = size = 0
        found[-1].append(unit)
        count += len(unit.operations)
        size += unit.size
    return found


def operations_of(part: Sequence[Unit]) -> list[Operation]:
    """Return the operations of a part, in order."""
    return [operation for unit in part for operation in unit.operations]


def keys_of(row: Mapping[str, Any]) -> Row:
    """Return the keys of a row alone."""
    return {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}
