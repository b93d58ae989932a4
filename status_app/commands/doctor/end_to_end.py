"""`doctor --end-to-end`: a device of its own is followed from the IoT hub to row, index, event and API.

Whatever happens, Ctrl-C included, the device is deleted again, and its rows.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import TransactionOperation
from azure.data.tables.aio import TableServiceClient

from status_app.commands.doctor.device_writes import DeviceWrites, HubRefusalError
from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import RefusedError
from status_app.commands.fleet_status.api import ApiFleetStatus
from status_app.commands.fleet_status.choose_source import api_address
from status_app.commands.terminal import printed
from status_app.errors import UnavailableError
from status_app.fleet_index import lookups
from status_app.fleet_index.projection import FleetProjection
from status_app.iothub.doctors_device import PREFIX
from status_app.settings import Settings, is_connection_string
from status_app.status_table import reader
from status_app.storage.client import TRANSACTION_LIMIT, table_errors, table_service
from status_app.storage.keys import DEVICE, TRANSITION, escape, joined, key_part

PATIENCE: Final = 120.0
"""Seconds for each step: a route to an event hub and a cold start of the app take a minute together."""
EVERY: Final = 1.0
"""Seconds between two looks."""
STATE: Final = ("pending", "never_reported")
"""What the device is in: a deployment is desired, and no agent has ever reported."""

_FOR_ALL: Final = "*"


async def end_to_end(  # noqa: PLR0913 (three of them keyword-only)
    environment: Mapping[str, str],
    tell: Callable[[str], object],
    confirm: Callable[[], bool],
    *,
    url: str | None = None,
    key: str | None = None,
    patience: float = PATIENCE,
) -> ExitCode:
    """Make a device, apply a deployment to it, follow it, and remove all of it again.

    Args:
        environment: The settings of the app; DEPLOYMENT_STATUS_URL and DEPLOYMENT_STATUS_KEY for the step of the API.
        tell: Takes a line at a time.
        confirm: Whether to go on, asked once it is told which deployments would take the device.
        url: The app's address, in the place of the environment's.
        key: A function key, in the place of the environment's.
        patience: Seconds for each step.

    Returns:
        OK, or FAILED where a step did not come, or something could not be removed.

    Raises:
        SettingError: A setting is missing or wrong.
    """
    settings, address = Settings.read(environment), api_address(environment, url, key)
    device_id = PREFIX + secrets.token_hex(4)
    try:
        writes = await asyncio.to_thread(DeviceWrites, settings.iot_hub)
        taking = [
            f"{name} ({condition})"
            for name, condition in await asyncio.to_thread(writes.deployments)
            if _may_take(condition)
        ]
    except (HubRefusalError, UnavailableError) as error:
        tell(printed(f"WRONG    IoT hub: {error}"))
        return ExitCode.FAILED
    tell(printed(f"makes the edge device {device_id} in {settings.hub}, and removes it again"))
    tell(printed(f"deployments that may take it meanwhile: {', '.join(taking) or 'none'}"))
    if not confirm():
        return ExitCode.FAILED
    async with table_service(settings.tables) as service:
        follow = _Follow(service, device_id, patience)
        try:
            code = await _follow(follow, writes, settings, address, tell)
        finally:
            is_clean = await _remove(writes, follow, tell)
    return code if is_clean else ExitCode.FAILED


class _Follow:
    """Looks for the device in the tables."""

    def __init__(self, service: TableServiceClient, device_id: str, patience: float) -> None:
        self.device_id = device_id
        self.patience = patience
        self.status = service.get_table_client(reader.TABLE)
        self._projection = FleetProjection(service.get_table_client(lookups.TABLE))

    async def row(self) -> Mapping[str, Any] | None:
        """The device's own row, once it is in the state."""
        query = f"PartitionKey eq '{escape(self.device_id)}' and RowKey eq '{DEVICE}'"
        with table_errors():
            async for row in self.status.query_entities(query):
                if (row["State"], row["Reason"]) == STATE:
                    return row
        return None

    async def is_indexed(self) -> bool:
        """Whether the index has it by its state."""
        summary = await self._projection.read(self.device_id)
        return joined("state", key_part(STATE[0]), key_part(self.device_id)) in (summary.entries or {})

    async def is_removed(self) -> bool:
        """Whether nothing but its history is left."""
        query = f"PartitionKey eq '{escape(self.device_id)}' and RowKey lt '{TRANSITION}'"
        with table_errors():
            async for _ in self.status.query_entities(query):
                return False
        return True

    async def forget(self) -> None:
        """Delete its history."""
        query = f"PartitionKey eq '{escape(self.device_id)}'"
        with table_errors():
            rows = [row async for row in self.status.query_entities(query, select=["PartitionKey", "RowKey"])]
            for start in range(0, len(rows), TRANSACTION_LIMIT):
                part = rows[start : start + TRANSACTION_LIMIT]
                await self.status.submit_transaction([(TransactionOperation.DELETE, row) for row in part])

    async def until(self, found: Callable[[], Awaitable[object]]) -> bool:
        """Look until something is there; False where the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                while True:
                    with suppress(UnavailableError, ResourceNotFoundError):  # the first event makes the tables
                        if await found():
                            return True
                    await asyncio.sleep(EVERY)
        return False


async def _follow(
    follow: _Follow,
    writes: DeviceWrites,
    settings: Settings,
    address: tuple[str | None, str | None],
    tell: Callable[[str], object],
) -> ExitCode:
    began = time.monotonic()
    url, key = address

    def say(name: str, *, came: bool) -> bool:
        seconds = time.monotonic() - began
        word = f"after {seconds:.1f} s" if came else f"not within {follow.patience:.0f} s"
        tell(printed(f"{'ok     ' if came else 'WRONG  '}  {name}: {word}"))
        return came

    async with _events(settings.transitions, follow.device_id) as event:
        try:
            await asyncio.to_thread(writes.create, follow.device_id)
            await asyncio.to_thread(writes.deploy, follow.device_id)
        except (HubRefusalError, UnavailableError) as error:
            tell(printed(f"WRONG    IoT hub: {error}"))
            return ExitCode.FAILED
        say("twin change in the IoT hub", came=True)
        # A step that does not come says which link is broken: none behind it can come.
        if not say("row: pending, never_reported", came=await follow.until(follow.row)):
            return ExitCode.FAILED
        came = say("index", came=await follow.until(follow.is_indexed))
        if event is not None:

            async def is_published() -> bool:
                return event.is_set()

            came = say("event", came=await follow.until(is_published)) and came
    if url is not None:
        api = ApiFleetStatus(url, key)

        async def is_answered() -> bool:
            try:
                answer = await api.device(follow.device_id)
            except RefusedError as error:
                tell(printed(f"API: {error}"))
                raise TimeoutError from None
            return answer is not None and answer["state"] == STATE[0]

        try:
            came = say("API", came=await follow.until(is_answered)) and came
        finally:
            await api.close()
    return ExitCode.OK if came else ExitCode.FAILED


async def _remove(writes: DeviceWrites, follow: _Follow, tell: Callable[[str], object]) -> bool:
    try:
        await asyncio.to_thread(writes.delete, follow.device_id)
        is_gone = await follow.until(follow.is_removed)
        await follow.forget()
    except (HubRefusalError, UnavailableError, HttpResponseError) as error:
        words = error if not isinstance(error, HttpResponseError) else f"tables: answer {error.status_code}"
        tell(printed(f"WRONG    {follow.device_id} is not removed: {words}"))
        tell(f"         az iot hub device-identity delete --hub-name HUB --device-id {follow.device_id}")
        return False
    tell(printed(f"{'removed' if is_gone else 'WRONG  '}  {follow.device_id}, and its rows"))
    return is_gone


@asynccontextmanager
async def _events(transitions: tuple[str, str] | None, device_id: str) -> AsyncIterator[asyncio.Event | None]:
    """Set once the event hub gives an event of the device; None where no events are published."""
    if transitions is None:
        yield None
        return
    from azure.eventhub.aio import EventHubConsumerClient  # noqa: PLC0415 (0.15 s, and only where one is asked)

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
            if json.loads(event.body_as_str())["data"]["deviceId"] == device_id:
                came.set()

    async with client:
        began = datetime.now(UTC)  # from then on, not from when the connection is up
        receiving = asyncio.create_task(client.receive(on_event, starting_position=began))
        try:
            yield came
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)


def _may_take(condition: str) -> bool:
    """Whether a target condition may hold for a device without tags: it is for all, or asks for what is not so."""
    words = condition.lower()
    return words.strip() == _FOR_ALL or "not " in words or "!=" in words or "<>" in words or "deviceid" in words
