"""The device that `doctor --end-to-end` follows: where it shows up, and what remains of it in the tables."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient

from status_app.commands.fleet_status import RefusedError
from status_app.commands.fleet_status.api import ApiFleetStatus
from status_app.errors import UnavailableError
from status_app.fleet_index import lookups
from status_app.fleet_index.lookups import FleetIndex
from status_app.settings import is_connection_string
from status_app.status_table import reader
from status_app.storage import transaction
from status_app.storage.client import table_errors
from status_app.storage.keys import DEVICE, TRANSITION, beginning, escape, joined, key_part

EVERY: Final = 1.0
"""Seconds between two tries."""
STATE: Final = ("pending", "never_reported")
"""The expected state and reason: a deployment is desired, and no agent has ever reported."""

_CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""How far back events are read, because the clock of the event hub may be behind."""


class FollowedDevice:
    """Looks for the device, and says why it is not found.

    Args:
        service: The tables.
        device_id: The device.
        patience: Seconds to keep trying.

    Attributes:
        refusal: Why the last try was refused, in a few words; empty if it was not.
    """

    def __init__(self, service: TableServiceClient, device_id: str, patience: float) -> None:
        self.device_id = device_id
        self.patience = patience
        self.refusal = ""
        self._status = service.get_table_client(reader.TABLE)
        self._index = FleetIndex(service.get_table_client(lookups.TABLE))

    async def until(self, found: Callable[[], Awaitable[bool]]) -> bool:
        """Try until something is there. Returns False when the time is over; the last try is completed."""
        end = time.monotonic() + self.patience
        while True:
            self.refusal = ""
            try:
                if await found():
                    return True
            except ResourceNotFoundError:  # the app creates its tables when it starts
                self.refusal = "the app has not created its tables"
            except UnavailableError as error:
                self.refusal = str(error)
            except RefusedError as error:
                self.refusal = str(error)
                return False
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(EVERY)

    async def has_row(self) -> bool:
        """Whether its row has the expected state."""
        rows = await self._rows(f"RowKey eq '{DEVICE}'")
        return [(row["State"], row["Reason"]) for row in rows] == [STATE]

    async def is_indexed(self) -> bool:
        """Whether the index lists it under its state."""
        state = key_part(STATE[0])
        own = f"RowKey eq '{joined('state', state, key_part(self.device_id))}'"
        return bool(await self._index.page(beginning("state", state), None, 1, where=own))

    async def is_answered(self, api: ApiFleetStatus) -> bool:
        """Whether the API shows the expected state."""
        answer = await api.device(self.device_id)
        return answer is not None and (answer["state"], answer["reason"]) == STATE

    async def is_removed(self) -> bool:
        """Whether only its history is left."""
        try:
            return not await self._rows(f"RowKey lt '{TRANSITION}'")
        except ResourceNotFoundError:
            return True

    async def forget(self) -> None:
        """Delete its history.

        Raises:
            UnavailableError: The table service does not answer, or refuses access.
        """
        try:
            rows = await self._rows(f"RowKey ge '{TRANSITION}'")
        except ResourceNotFoundError:
            return
        with table_errors():
            await transaction.delete(self._status, rows)

    async def _rows(self, condition: str) -> list[Mapping[str, Any]]:
        query = f"PartitionKey eq '{escape(self.device_id)}' and {condition}"
        with table_errors():
            return [row async for row in self._status.query_entities(query)]


@asynccontextmanager
async def published_event(transitions: tuple[str, str], device: FollowedDevice) -> AsyncIterator[asyncio.Event]:
    """Listen to the event hub. The yielded event is set when one of the device's events arrives.

    Args:
        transitions: The connection of the event hub, and its name.
        device: The device.
    """
    from azure.eventhub.aio import EventHubConsumerClient  # noqa: PLC0415 (0.15 s, rarely needed)

    connection, hub = transitions
    options: dict[str, Any] = {"consumer_group": "$Default", "eventhub_name": hub}
    if is_connection_string(connection):
        client = EventHubConsumerClient.from_connection_string(connection, **options)
    else:
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 (only with an identity)

        client = EventHubConsumerClient(connection, credential=DefaultAzureCredential(), **options)
    came = asyncio.Event()

    async def on_event(_context: object, event: Any) -> None:
        with suppress(ValueError, KeyError, TypeError):
            if json.loads(event.body_as_str())["data"]["deviceId"] == device.device_id:
                came.set()

    async with client:
        began = datetime.now(UTC) - _CLOCKS_DIFFER
        receiving = asyncio.create_task(client.receive(on_event, starting_position=began))
        try:
            yield came
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
