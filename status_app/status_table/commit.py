"""Writes changes of devices to DeploymentStatus, in as few transactions as possible.

Every transaction is guarded by the ETag of the device's own row: it fails if the device has changed since it was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.status_table.parts import Unit, in_the_order_of_parts, keys_of, operations_of, parts_of, units
from status_app.status_table.rows import device_row, module_row, transition_row
from status_app.status_table.stored_device import StoredDevice
from status_app.storage import transaction
from status_app.storage.client import table_errors
from status_app.storage.codecs import long, read_number
from status_app.storage.columns import Row
from status_app.storage.keys import AFTER_TRANSITIONS, DEVICE, escape, module_key, transition_key
from status_app.storage.transaction import Operation
from status_core import DeviceRecord, GracePolicy, Kind, Transition


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a device: its next record, or its removal, with the transitions.

    Attributes:
        record: The next record; None if the device is removed.
        published: The sequence up to which its transitions were published before.
        cohorts: The cohorts that it is in; None to keep the stored ones.
    """

    stored: StoredDevice
    record: DeviceRecord | None
    transitions: Sequence[Transition]
    published: int
    cohorts: Sequence[str] | None = None


class DeviceCommit:
    """Writes changes of devices."""

    def __init__(self, client: TableClient, *, hub: str, policy: GracePolicy, history_limit: int | None) -> None:
        """Prepare to write.

        Args:
            client: The table.
            hub: Short name of the hub, for the ids of events.
            policy: Grace periods and windows.
            history_limit: How many transitions of a device are stored; None for all.
        """
        self._client = client
        self._hub = hub
        self._policy = policy
        self._history_limit = history_limit

    def rows(self, change: Change) -> dict[str, Row]:
        """Return the state rows after a change, by RowKey; none after a removal."""
        stored, record = change.stored, change.record
        if record is None:
            return {}
        rows = {DEVICE: device_row(stored.device_id, record, self._policy, change.published, _cohorts(change))}
        for name, module in record.modules.items():
            row = module_row(stored.device_id, name, module)
            rows[row["RowKey"]] = row
        return rows

    def is_needed(self, change: Change) -> bool:
        """Whether a change writes more than the time of the read and what was published before."""
        after, stored = self.rows(change), change.stored.rows
        return after.keys() != stored.keys() or any(_differs(row, stored[key]) for key, row in after.items())

    async def commit(self, change: Change) -> tuple[StoredDevice, list[Row]]:
        """Write a change: state, modules and history together. Only changed rows are written.

        Returns:
            The device as it is stored now, and the rows of its transitions, oldest first.

        Raises:
            LostRaceError: The device has changed since it was read. Nothing is written, or only the first parts of a
                change that is larger than one transaction. Each part is complete in itself.
            UnavailableError: The table service does not answer.
        """
        stored, record, after = change.stored, change.record, self.rows(change)
        changed = {key: row for key, row in after.items() if _differs(row, stored.rows.get(key))}
        gone = [row for key, row in stored.rows.items() if key not in after]
        history = self._history(change)
        parts = parts_of(units(change.transitions, history, changed, gone))
        if len(parts) > 1:
            change = replace(change, transitions=in_the_order_of_parts(change.transitions))
            history = self._history(change)
            parts = parts_of(units(change.transitions, history, changed, gone))
        if record is None:
            own = keys_of(stored.rows[DEVICE])
            await self._submit(stored, parts, own, (TransactionOperation.DELETE, own))
            last = change.transitions[-1]
            return replace(stored, rows={}, etag=None, last_sequence=last.sequence, last_at=last.at), history
        partial = _partial(stored, after[DEVICE])
        etag = await self._submit(stored, parts, partial, (TransactionOperation.UPDATE, after[DEVICE]))
        return replace(stored, rows=after, etag=etag, last_sequence=record.sequence), history

    async def fence(self, stored: StoredDevice) -> StoredDevice:
        """Change the ETag of a device's row, so that a writer that read it earlier and was paused can no longer write.

        Returns:
            The device as it is stored now.

        Raises:
            LostRaceError: It has changed since it was read.
            UnavailableError: The table service does not answer.
        """
        row = keys_of(stored.rows[DEVICE])
        etag = await self._transact([], _guarded((TransactionOperation.UPDATE, row), stored.etag, UpdateMode.MERGE))
        return replace(stored, etag=etag)

    async def trim(self, stored: StoredDevice, published: int) -> None:
        """Delete transitions beyond the newest `history_limit`, except those that must stay.

        These are unpublished ones, the newest `stuck` and `recovered` of each module and of the device, and the first
        of the present version; of a deleted device the initial one.

        Args:
            stored: The device.
            published: The sequence up to which its transitions are published.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if self._history_limit is None:
            return
        oldest = min(stored.last_sequence - self._history_limit, published)
        if oldest < 1:
            return
        bounds = f"RowKey ge '{transition_key(oldest)}' and RowKey lt '{AFTER_TRANSITIONS}'"
        with table_errors():
            found = self._client.query_entities(
                f"PartitionKey eq '{escape(stored.device_id)}' and {bounds}",
                select=["PartitionKey", "RowKey", "Kind", "Module", "DesiredVersion", "Initial"],
            )
            old = [row async for row in found]
            kept = _kept(stored, old)
            await transaction.delete(self._client, [keys_of(row) for row in old if row["RowKey"] not in kept])

    def _history(self, change: Change) -> list[Row]:
        """Return the rows of the transitions of a change."""
        device_id, record, cohorts = change.stored.device_id, change.record, _cohorts(change)
        observed = None if record is None else record.observed
        return [
            transition_row(self._hub, device_id, transition, observed or transition.at, cohorts)
            for transition in change.transitions
        ]

    async def _submit(
        self,
        stored: StoredDevice,
        parts: Sequence[Sequence[Unit]],
        partial: Row,
        final: tuple[TransactionOperation, Row],
    ) -> str:
        """Write a change part by part. Each part is a transaction guarded by the device's row, which comes last.

        Every part is complete in itself: rows, their transitions, and the device's sequence. After a crash between two
        parts, the next read of the device continues from there.

        Args:
            stored: The device as it was read.
            parts: What to write, as returned by `_parts`.
            partial: The device's row in all parts but the last, except its sequence.
            final: The operation on the device's row in the last part.

        Returns:
            The new ETag of the device's row; empty if it was deleted.
        """
        *first, rest = parts
        etag, last = stored.etag, stored.last_sequence
        for part in first:
            last = max((unit.last.sequence for unit in part if unit.last), default=last)
            row = {**partial, "Sequence": long(last)}
            guard = _guarded((TransactionOperation.UPDATE, row), etag, UpdateMode.MERGE)
            etag = await self._transact(operations_of(part), guard)
        return await self._transact(operations_of(rest), _guarded(final, etag, UpdateMode.REPLACE))

    async def _transact(self, operations: Sequence[Operation], guard: Operation) -> str:
        """Submit one transaction, its guard last. Returns the new ETag of the device's row."""
        with table_errors(guarded=True):
            if not operations and len(guard) > 2 and guard[0] is TransactionOperation.UPDATE:  # noqa: PLR2004
                # A single row is cheaper without a transaction.
                return str((await self._client.update_entity(guard[1], **guard[2]))["etag"])
            return (await transaction.submit(self._client, [*operations, guard]))[-1]


def _cohorts(change: Change) -> Sequence[str]:
    """Return the cohorts of a device after a change."""
    return change.stored.cohorts if change.cohorts is None else change.cohorts


def _partial(stored: StoredDevice, device: Row) -> Row:
    """Return the device's row in all parts but the last, except its sequence."""
    if not stored.is_known:
        # The device has no state yet, and nothing was announced.
        later = ("TwinVersion", "AnnouncedState", "AnnouncedSince", "Told")
        return {name: value for name, value in device.items() if name not in later} | {"State": ""}
    partial = {"PartitionKey": device["PartitionKey"], "RowKey": DEVICE, "At": device["At"]}
    waits, look_at = stored.rows[DEVICE].get("LookAt"), device.get("LookAt")
    if look_at is not None and (waits is None or look_at < waits):
        partial |= {"LookAt": look_at}
    return partial


def _guarded(operation: tuple[TransactionOperation, Row], etag: str | None, mode: UpdateMode) -> Operation:
    """Guard an operation on the device's row: it fails unless the row is as it was read, absent or with this ETag."""
    kind, row = operation
    if etag is None:
        return TransactionOperation.CREATE, row
    condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    if kind is TransactionOperation.UPDATE:
        return kind, row, {"mode": mode, **condition}
    return kind, row, condition


def _kept(stored: StoredDevice, old: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the keys of old transitions that must stay. The transitions are given newest first."""
    if not stored.is_known:  # a writer that read before the device was created must find its sequence taken
        return {*[row["RowKey"] for row in old if row.get("Initial")][:1]}
    newest: dict[tuple[str, str], str] = {}
    for row in old:
        place = module_key(row["Module"]) if row["Module"] else DEVICE
        if row["Kind"] in (Kind.STUCK, Kind.RECOVERED) and place in stored.rows:
            newest.setdefault((row["Kind"], place), row["RowKey"])
    version = read_number(stored.rows[DEVICE].get("DesiredVersion"))
    of_the_version = list(takewhile(lambda row: read_number(row.get("DesiredVersion")) == version, old))
    return {*newest.values(), *(row["RowKey"] for row in of_the_version[-1:])}


def _differs(row: Row, other: Mapping[str, Any] | None) -> bool:
    """Whether two rows differ in more than the time of the read and what was published before."""
    if other is None:
        return True
    ignored = {"ObservedAt": None, "LastActivityAt": None, "Published": None}
    return {**row, **ignored} != {**other, **ignored}
