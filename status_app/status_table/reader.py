"""Reads the table DeploymentStatus: one partition per device, with its state and its history."""

from typing import Any, Final

from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient

from status_app.status_table.stored_device import StoredDevice
from status_app.storage.client import PAGE, table_errors
from status_app.storage.codecs import read_number, read_time
from status_app.storage.keys import (
    AFTER_STATE,
    AFTER_TRANSITIONS,
    DEVICE,
    TRANSITION,
    escape,
    transition_key,
    transition_sequence,
    unescape,
)

TABLE: Final = "DeploymentStatus"


class DeviceReader:
    """Reads devices. Every method raises UnavailableError if the table service does not answer."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def read(self, device_id: str) -> StoredDevice:
        """Read a device. One request, and one more for a device without a state."""
        with table_errors():
            entities = [
                entity
                async for entity in self._client.query_entities(
                    f"PartitionKey eq '{escape(device_id)}' and RowKey ge '{DEVICE}' and RowKey lt '{AFTER_STATE}'"
                )
            ]
        rows = {entity["RowKey"]: entity for entity in entities}
        if DEVICE in rows:
            device = rows[DEVICE]
            return StoredDevice(device_id, rows, device.metadata["etag"], device["Sequence"].value)
        newest = await self._newest(device_id)
        if newest is None:
            return StoredDevice(device_id)
        sequence = transition_sequence(newest["RowKey"])
        return StoredDevice(device_id, last_sequence=sequence, last_at=read_time(newest["At"]))

    async def _newest(self, device_id: str) -> TableEntity | None:
        """Read the last transition of a device."""
        rows = self._client.query_entities(
            f"PartitionKey eq '{escape(device_id)}' and RowKey ge '{TRANSITION}' and RowKey lt '{AFTER_TRANSITIONS}'",
            results_per_page=1,
            select=["RowKey", "At"],
        )
        with table_errors():
            async for row in rows:
                return row
        return None

    async def read_whole(self, device_id: str) -> tuple[StoredDevice, list[TableEntity]]:
        """Read a device that has a state, with its newest transitions, newest first.

        One request: as many transitions as fit into an answer of a thousand rows.
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

    async def transitions(self, device_id: str, sequences: range) -> list[TableEntity]:
        """Read transitions of a device by sequence, oldest first. Missing ones are left out."""
        newest, oldest = transition_key(sequences[-1]), transition_key(sequences[0])
        with table_errors():
            rows = self._client.query_entities(
                f"PartitionKey eq '{escape(device_id)}' and RowKey ge '{newest}' and RowKey le '{oldest}'"
            )
            return [row async for row in rows][::-1]

    async def first_of_this_release(self, stored: StoredDevice) -> int | None:
        """Return the first transition that this release wrote of a device that the previous one wrote last.

        None if there is none, or this release removed the device. One request.
        """
        rows = self._client.query_entities(
            f"PartitionKey eq '{escape(stored.device_id)}' and RowKey ge '{transition_key(stored.last_sequence)}'"
            f" and RowKey lt '{AFTER_TRANSITIONS}'",
            select=["RowKey", "Initial"],
        )
        with table_errors():
            written = [row async for row in rows]
        ours = [row["RowKey"] for row in written if row.get("Initial") is not None]
        if not ours or (not stored.is_known and ours[0] == written[0]["RowKey"]):
            return None
        return transition_sequence(ours[-1])

    async def history(self, device_id: str, newest: int, count: int) -> list[TableEntity]:
        """Read the newest transitions of a device up to a sequence, newest first. One request."""
        rows = self._client.query_entities(
            f"PartitionKey eq '{escape(device_id)}' and RowKey ge '{transition_key(newest)}'"
            f" and RowKey lt '{AFTER_TRANSITIONS}'",
            results_per_page=count,
        )
        found: list[TableEntity] = []
        with table_errors():
            async for row in rows:
                found.append(row)
                if len(found) >= count:
                    break
        return found

    async def devices(
        self, continuation: dict[str, str] | None, count: int | None = None
    ) -> tuple[list[str], dict[str, str] | None]:
        """Read a page of all devices that have a state, in no order. One request, which scans the table.

        Args:
            continuation: The continuation of the previous page; None for the first.
            count: Most devices of a page; by default as many as an answer holds.

        Returns:
            Ids of devices, possibly none, and the continuation; None at the end.
        """
        query = self._client.query_entities(
            f"RowKey eq '{DEVICE}'", select=["PartitionKey"], results_per_page=count or PAGE
        )
        pages: Any = query.by_page(continuation)  # type: ignore[arg-type]  # the SDK's place is an object, and typed as text
        with table_errors():
            async for page in pages:
                found = [unescape(row["PartitionKey"]) async for row in page]
                return found, pages.continuation_token
        return [], None
