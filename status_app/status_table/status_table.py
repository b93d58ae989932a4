"""The table DeploymentStatus: one partition a device, its state guarded by the ETag of the device's own row."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from azure.data.tables import TableEntity, TransactionOperation
from azure.data.tables.aio import TableClient

from status_app.errors import UnavailableError
from status_app.fleet_index.deployment_index import PAGE, DeploymentIndex
from status_app.fleet_index.index_rows import (
    IndexRows,
    changed_rows,
    deployments_of,
    index_rows,
    next_generation,
    unsent_row,
)
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.status_table.change import REPLACE, Committed, Unit, key_of, part_of_change, parts_of, submit
from status_app.status_table.rows import (
    Row,
    device_row,
    long,
    module_row,
    read_number,
    read_time,
    transition_row,
)
from status_app.status_table.stored_device import StoredDevice
from status_app.storage import transaction
from status_app.storage.client import TRANSACTION_LIMIT, table_errors
from status_app.storage.keys import (
    AFTER_STATE,
    AFTER_TRANSITIONS,
    DEVICE,
    TRANSITION,
    escape,
    module_key,
    transition_key,
    transition_sequence,
)
from status_app.telemetry.logs import log
from status_core import DeviceRecord, Transition

TABLE: Final = "DeploymentStatus"

_log = log(__name__)


class StatusTable:
    """Reads and writes the state and the history of devices."""

    def __init__(  # noqa: PLR0913 (all keyword-only: what the app is told of the table)
        self,
        client: TableClient,
        index: DeploymentIndex,
        deployments: DeploymentRows,
        *,
        hub: str,
        stable_after: timedelta,
        history_limit: int,
        publishes: bool,
    ) -> None:
        self._client = client
        self._index = index
        self._deployments = deployments
        self._publishes = publishes
        self._hub = hub
        self._stable_after = stable_after
        self._history_limit = history_limit

    async def read(self, device_id: str) -> StoredDevice:
        """A device as it is stored now. One request, and one more for a device without a state.

        Raises:
            UnavailableError: The table service does not answer.
        """
        key = escape(device_id)
        with table_errors():
            entities = [
                entity
                async for entity in self._client.query_entities(
                    f"PartitionKey eq '{key}' and RowKey ge '{DEVICE}' and RowKey lt '{AFTER_STATE}'"
                )
            ]
            rows = {entity["RowKey"]: entity for entity in entities}
            if DEVICE in rows:
                device = rows[DEVICE]
                return StoredDevice(device_id, rows, device.metadata["etag"], device["Sequence"].value)
            newest = self._client.query_entities(
                f"PartitionKey eq '{key}' and RowKey ge '{TRANSITION}' and RowKey lt '{AFTER_TRANSITIONS}'",
                results_per_page=1,
                select=["RowKey", "At"],
            )
            async for entity in newest:
                sequence = transition_sequence(entity["RowKey"])
                return StoredDevice(device_id, last_sequence=sequence, last_at=read_time(entity["At"]))
        return StoredDevice(device_id, is_published=True)

    async def read_whole(self, device_id: str) -> tuple[StoredDevice, list[TableEntity]]:
        """A device that has a state, with its newest transitions, the newest first.

        One request: as many transitions as have a place in an answer of a thousand rows.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            rows: dict[str, TableEntity] = {}
            async for entity in self._client.query_entities(f"PartitionKey eq '{escape(device_id)}'"):
                rows[entity["RowKey"]] = entity
                if len(rows) >= PAGE and entity["RowKey"].startswith(TRANSITION):
                    break
        history = [row for key, row in rows.items() if key.startswith(TRANSITION)]
        state = {key: row for key, row in rows.items() if not key.startswith(TRANSITION)}
        if DEVICE not in state:
            return StoredDevice(device_id), history
        last = read_number(state[DEVICE]["Sequence"]) or 0
        stored = StoredDevice(device_id, state, str(state[DEVICE].metadata["etag"]), last)
        return stored, [row for row in history if transition_sequence(row["RowKey"]) <= last]

    async def index_rows(self, device_id: str) -> IndexRows:
        """The rows in the index of a device as it is stored now.

        Raises:
            UnavailableError: The table service does not answer.
        """
        return (await self.read(device_id)).index

    async def write(
        self, stored: StoredDevice, record: DeviceRecord, transitions: Sequence[Transition]
    ) -> Committed | None:
        """Move a device from what is stored to its next record: state, modules and history together.

        Only changed rows are written, and nothing where nothing changed.

        Args:
            stored: The device as it was read.
            record: The next record.
            transitions: The transitions between the two.

        Returns:
            What was written; the caller clears what it leaves behind. None where nothing changed.

        Raises:
            LostRaceError: The device is no longer stored as it was read. Nothing of the change stands, or its first
                parts where it is larger than one transaction: each is whole in itself.
            UnavailableError: The table service does not answer.
        """
        before = stored.index
        after, then = self._state_rows(stored, record, before)
        changed = {key: row for key, row in after.items() if _differs(row, stored.rows.get(key))}
        gone = [row for key, row in stored.rows.items() if key not in after]
        if not changed and not gone:
            return None
        history = [transition_row(self._hub, stored.device_id, move, record.observed) for move in transitions]
        parts = parts_of(_units(transitions, history, changed, gone))
        partial, between = part_of_change(stored, after, is_split=len(parts) > 1)
        added = {key: row for key, row in (between | then).items() if key not in before}
        left = {key: row for key, row in (between | before).items() if key not in then}
        changed_here = changed_rows(stored.device_id, added, left)
        unsent = self._unsent(stored.device_id, transitions)
        await self._deployments.mark(deployments_of(changed_here.values()))
        await self._index.add(added | changed_here | unsent)
        etag = await submit(self._client, stored, parts, partial, (TransactionOperation.UPDATE, after[DEVICE]))
        written = replace(stored, rows=after, etag=etag, last_sequence=record.sequence)
        return Committed(written, history, left, unsent)

    async def remove(self, stored: StoredDevice, transition: Transition) -> Committed:
        """Remove the state of a device that is gone, and leave its history, with one more transition.

        Returns:
            What was written; the caller clears what it leaves behind.

        Raises:
            LostRaceError: The device is no longer stored as it was read.
            UnavailableError: The table service does not answer.
        """
        rows = [row for key, row in stored.rows.items() if key != DEVICE]
        units = [Unit(((TransactionOperation.DELETE, key_of(row)),), None) for row in rows]
        history = transition_row(self._hub, stored.device_id, transition, transition.at)
        units.append(Unit(((TransactionOperation.CREATE, history),), transition))
        device, index = key_of(stored.rows[DEVICE]), stored.index
        changed = changed_rows(stored.device_id, {}, index)
        unsent = self._unsent(stored.device_id, [transition])
        await self._deployments.mark(deployments_of(changed.values()))
        await self._index.add(changed | unsent)
        await submit(self._client, stored, parts_of(units), device, (TransactionOperation.DELETE, device))
        gone = replace(stored, rows={}, etag=None, last_sequence=transition.sequence, last_at=transition.at)
        return Committed(gone, [history], index, unsent)

    async def clear(self, committed: Committed, *, sent: bool) -> None:
        """Take away index rows that a change leaves behind. The change stands: whoever reads one checks it.

        Args:
            committed: The change.
            sent: Whether its transitions are published, and the index still says that they are not.
        """
        try:
            await self._index.remove(committed.left | (committed.unsent if sent else {}))
        except UnavailableError as error:
            device_id = committed.stored.device_id
            _log.warning("device %r is written, old rows of the index stay for now: %s", device_id, error)

    def look(self) -> AbstractContextManager[None]:
        """A look that may write: its rows of the index are written together with those of the other looks."""
        return self._index.look()

    async def transitions(self, device_id: str, sequences: range) -> list[TableEntity]:
        """Transitions of a device by their sequences, the oldest first; those that there are.

        Raises:
            UnavailableError: The table service does not answer.
        """
        newest, oldest = transition_key(sequences[-1]), transition_key(sequences[0])
        with table_errors():
            rows = self._client.query_entities(
                f"PartitionKey eq '{escape(device_id)}' and RowKey ge '{newest}' and RowKey le '{oldest}'"
            )
            return [row async for row in rows][::-1]

    async def trim(self, device_id: str, sequence: int) -> None:
        """Delete the transitions beyond the newest `history_limit`.

        Args:
            device_id: The device.
            sequence: Its newest one.

        Raises:
            LostRaceError: Another process trims the same rows.
            UnavailableError: The table service does not answer.
        """
        oldest = sequence - self._history_limit
        if oldest < 1:
            return
        bounds = f"RowKey ge '{transition_key(oldest)}' and RowKey lt '{AFTER_TRANSITIONS}'"
        with table_errors(guarded=True):
            old = self._client.query_entities(
                f"PartitionKey eq '{escape(device_id)}' and {bounds}", select=["PartitionKey", "RowKey"]
            )
            rows = [key_of(row) async for row in old]
            for start in range(0, len(rows), TRANSACTION_LIMIT):
                part = rows[start : start + TRANSACTION_LIMIT]
                await transaction.submit(self._client, [(TransactionOperation.DELETE, row) for row in part])

    def _unsent(self, device_id: str, transitions: Sequence[Transition]) -> IndexRows:
        if not transitions or not self._publishes:
            return {}
        return unsent_row(device_id, transitions[0].sequence, transitions[-1].sequence)

    def _state_rows(
        self, stored: StoredDevice, record: DeviceRecord, before: IndexRows
    ) -> tuple[dict[str, Row], IndexRows]:
        """The rows of a record, and theirs in the index; `before` are those of what is stored."""
        device = device_row(stored.device_id, record, self._stable_after, stored.rows.get(DEVICE, {}))
        rows = {DEVICE: device}
        for name, module in record.modules.items():
            row = module_row(stored.device_id, name, module)
            rows[row["RowKey"]] = row
        then = index_rows(stored.device_id, rows)
        # A deadline that is left behind ends by itself; any other row is told by its generation from those that stay.
        is_left = any(not key.startswith("deadline|") for _, key in before.keys() - then.keys())
        if is_left or any(before.get(key) != row for key, row in then.items()):
            device["Generation"] = long(next_generation(rows, stored.last_sequence))
            then = index_rows(stored.device_id, rows)
        return rows, then


def _units(
    transitions: Sequence[Transition],
    rows: Sequence[Row],
    changed: Mapping[str, Row],
    gone: Sequence[Mapping[str, Any]],
) -> Iterator[Unit]:
    """Each changed module with its transitions in their order, then the device's own transitions."""
    states: dict[str, transaction.Operation] = {
        key: (TransactionOperation.UPSERT, row, REPLACE) for key, row in changed.items()
    }
    states |= {row["RowKey"]: (TransactionOperation.DELETE, key_of(row)) for row in gone}
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


def _differs(row: Row, other: Mapping[str, Any] | None) -> bool:
    """Whether two rows differ in more than when they were looked at."""
    if other is None:
        return True
    return {**row, "ObservedAt": None} != {**other, "ObservedAt": None}
