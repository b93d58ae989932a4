"""A change of a device, written in as few transactions as it needs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from azure.core import MatchConditions
from azure.data.tables import TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.fleet_index.index_rows import IndexRows, index_rows, next_generation
from status_app.status_table.rows import Row, long
from status_app.status_table.stored_device import StoredDevice
from status_app.storage import transaction
from status_app.storage.client import TRANSACTION_LIMIT, table_errors
from status_app.storage.keys import DEVICE
from status_app.storage.transaction import Operation
from status_core import Transition

REPLACE: Final = {"mode": UpdateMode.REPLACE}
_CHARACTERS: Final = 3 * 2**20 // 12
"""Of the rows in one transaction, which takes 4 MiB: a character is written in up to 12 bytes (ASCII JSON). What is
left is for the names of the columns and for the device's row."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What belongs together in a change: the row of one module, or of the device, and its transitions."""

    operations: tuple[Operation, ...]
    last: Transition | None

    @property
    def size(self) -> int:
        """Characters of the texts in its rows."""
        texts = (value for operation in self.operations for value in operation[1].values() if isinstance(value, str))
        return sum(map(len, texts))


@dataclass(frozen=True, slots=True)
class Committed:
    """A change that stands.

    Attributes:
        stored: The device as it is stored now.
        history: The rows of its transitions, the oldest first.
        left: Rows of the index that it leaves behind.
        unsent: The row of the index that says that these transitions are not published; none where none are.
    """

    stored: StoredDevice
    history: Sequence[Row]
    left: IndexRows
    unsent: IndexRows


def part_of_change(stored: StoredDevice, after: Mapping[str, Row], *, is_split: bool) -> tuple[Row, IndexRows]:
    """What stands after a part of a change that is too large for one transaction.

    Args:
        stored: The device as it was read.
        after: Its rows when the change is whole.
        is_split: Whether it is too large: else nothing stands between.

    Returns:
        What such a part says of the device's row, beside its sequence; and the rows of the index that lead to the
        device between two parts, none where it was not known or the change is one transaction.
    """
    device = after[DEVICE]
    if not stored.is_known:
        # Not in any state yet.
        return {name: value for name, value in device.items() if name != "TwinVersion"} | {"State": ""}, {}
    partial = {"PartitionKey": device["PartitionKey"], "RowKey": DEVICE, "At": device["At"]}
    waits, look_at = stored.rows[DEVICE].get("LookAt"), device.get("LookAt")
    if look_at is not None and (waits is None or look_at < waits):
        partial |= {"LookAt": look_at}
    between: IndexRows = {}
    if is_split:
        # Some modules are as they will be, others and the device itself are not.
        own = {**stored.rows[DEVICE], **partial}
        generation = next_generation({**stored.rows, **after, DEVICE: own}, stored.last_sequence)
        own["Generation"] = partial["Generation"] = long(generation)
        for rows in (stored.rows, after):
            between |= index_rows(stored.device_id, {**rows, DEVICE: own})
    return partial, between


async def submit(
    client: TableClient,
    stored: StoredDevice,
    parts: Sequence[Sequence[Unit]],
    partial: Row,
    final: tuple[TransactionOperation, Row],
) -> str:
    """Write a change part by part, each a transaction that is guarded by the device's row, which comes last.

    Every part is a change that is whole in itself: rows, their transitions, and the device's sequence. A crash
    between two leaves a device whose next look goes on from there.

    Args:
        client: The table.
        stored: The device as it was read.
        parts: What is written, as `parts_of` gives it.
        partial: What a part before the last one says of the device's row, beside its sequence.
        final: What becomes of the device's row in the end.

    Returns:
        The new ETag of the device's row; empty where it was deleted.

    Raises:
        LostRaceError: The device is no longer stored as it was read.
        UnavailableError: The table service does not answer.
    """
    *first, rest = parts
    etag, last = stored.etag, stored.last_sequence
    for part in first:
        last = max((unit.last.sequence for unit in part if unit.last), default=last)
        row = {**partial, "Sequence": long(last)}
        guard = _guarded((TransactionOperation.UPDATE, row), etag, UpdateMode.MERGE)
        etag = await _transact(client, _operations(part), guard)
    return await _transact(client, _operations(rest), _guarded(final, etag, UpdateMode.REPLACE))


def parts_of(units: Iterable[Unit]) -> list[list[Unit]]:
    """Units by the transactions that hold them, in their order: one part at least, be it an empty one."""
    found, count, size = [list[Unit]()], 0, 0
    for unit in units:
        if found[-1] and (count + len(unit.operations) >= TRANSACTION_LIMIT or size + unit.size > _CHARACTERS):
            found.append([])
            count = size = 0
        found[-1].append(unit)
        count += len(unit.operations)
        size += unit.size
    return found


def _operations(part: Sequence[Unit]) -> list[Operation]:
    return [operation for unit in part for operation in unit.operations]


async def _transact(client: TableClient, operations: Sequence[Operation], guard: Operation) -> str:
    """Submit one transaction, its guard last.

    Returns:
        The new ETag of the device's row.
    """
    with table_errors(guarded=True):
        if not operations and len(guard) > 2 and guard[0] is TransactionOperation.UPDATE:  # noqa: PLR2004
            # One row alone is cheaper by itself.
            return str((await client.update_entity(guard[1], **guard[2]))["etag"])
        etags = await transaction.submit(client, [*operations, guard])
    return etags[-1]


def _guarded(operation: tuple[TransactionOperation, Row], etag: str | None, mode: UpdateMode) -> Operation:
    """An operation on the device's row that holds only while the row is as it was read: absent, or of this ETag."""
    kind, row = operation
    if etag is None:
        return TransactionOperation.CREATE, row
    condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    if kind is TransactionOperation.UPDATE:
        return kind, row, {"mode": mode, **condition}
    return kind, row, condition


def key_of(row: Mapping[str, Any]) -> Row:
    """The keys of a row."""
    return {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}
