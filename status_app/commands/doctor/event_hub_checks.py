"""Checks an event hub: its address, the caller's access, and the app's consumer group."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from status_app.commands.doctor.step import Step, ok, skipped, wrong
from status_app.settings import is_connection_string

if TYPE_CHECKING:
    from azure.eventhub.aio import EventHubConsumerClient
    from azure.eventhub.exceptions import EventHubError

PATIENCE: Final = 40.0
"""Seconds for all checks of one event hub."""
OPENING: Final = 15.0
"""Seconds until a consumer group that does not open counts as missing: the SDK may wait forever."""
LISTENS: Final = 3.0
"""Seconds without an event or an error after which a consumer group counts as open."""
DEFAULT_GROUP: Final = "$Default"

_ROLE: Final = 'az role assignment create --role "Azure Event Hubs Data Receiver" --assignee YOU --scope EVENT_HUB_ID'
_SHOW: Final = "az eventhubs namespace list --query [].serviceBusEndpoint; az eventhubs eventhub list -g GROUP"
_STOLEN: Final = "link:stolen"
_NOT_FOUND: Final = "not-found"


async def check_event_hub(
    environment: Mapping[str, str], connection: str, hub_setting: str, group: str = DEFAULT_GROUP
) -> tuple[Step, datetime | None]:
    """Check an event hub, and receive one of its events, which the app still receives too.

    Args:
        environment: The settings.
        connection: The name of its connection, such as `TwinChanges`.
        hub_setting: The setting with its name.
        group: The consumer group to look for.

    Returns:
        The step, and when the newest event arrived; None if unknown, or there is none.
    """
    hub = environment.get(hub_setting, "").strip()
    host_setting = f"{connection}__fullyQualifiedNamespace"
    address = environment.get(connection, "").strip() or environment.get(host_setting, "").strip()
    name, asked = f"event hub {hub or hub_setting}", f"its partitions, and the consumer group {group}"
    if not hub or not address:
        return skipped(name, asked, f"{hub_setting}, or {connection} or {host_setting}, is not set here"), None
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 (as below)
    from azure.eventhub.exceptions import EventHubError  # noqa: PLC0415 (as below)

    client = _client(address, hub, group)
    if client is None:
        answer = f"{connection} holds no address: it takes a connection string, and {host_setting} a host name"
        return wrong(name, asked, answer, _SHOW), None
    try:
        async with asyncio.timeout(PATIENCE), client:
            return await _ask(client, name, asked, group)
    except TimeoutError:
        return wrong(name, asked, f"nothing answers at the address of {connection}", _SHOW), None
    except ClientAuthenticationError:
        return wrong(name, asked, "nobody is signed in here", "az login"), None
    except EventHubError as error:
        return _failure(error, name, asked, connection), None


async def _ask(client: "EventHubConsumerClient", name: str, asked: str, group: str) -> tuple[Step, datetime | None]:
    partitions = await client.get_partition_ids()
    properties = await asyncio.gather(*map(client.get_partition_properties, partitions))
    times = [found["last_enqueued_time_utc"] for found in properties if not found["is_empty"]]
    newest = max(times, default=None)
    first = next((found["id"] for found in properties if not found["is_empty"]), partitions[0])
    try:
        async with asyncio.timeout(OPENING):
            refusal = await _receive(client, first)
        is_missing = refusal is not None and refusal.error == _NOT_FOUND
    except TimeoutError:
        refusal, is_missing = None, True
    if is_missing:
        mend = f"az eventhubs eventhub consumer-group create -g GROUP --namespace-name N --eventhub-name HUB -n {group}"
        return wrong(name, asked, f"the consumer group {group} does not exist", mend), newest
    if refusal is not None and refusal.error != _STOLEN:  # stolen: the app reads it, so it is there
        raise refusal
    reader = ", read by the app" if refusal is not None else ""
    return ok(name, asked, f"{len(partitions)} partitions{reader}, newest event: {newest or 'none'}"), newest


async def _receive(client: "EventHubConsumerClient", partition: str) -> "EventHubError | None":
    """Receive from a partition. Returns the event hub's error; None if receiving works."""
    came: asyncio.Future[EventHubError | None] = asyncio.get_running_loop().create_future()

    async def on_event(_context: object, _event: object) -> None:
        if not came.done():
            came.set_result(None)

    async def on_error(_context: object, error: Any) -> None:
        if not came.done():
            came.set_result(error)

    receiving = asyncio.create_task(
        client.receive(
            on_event, on_error=on_error, partition_id=partition, starting_position="-1", max_wait_time=LISTENS
        )
    )
    try:
        return await came
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


def _client(address: str, hub: str, group: str) -> "EventHubConsumerClient | None":
    from azure.eventhub.aio import EventHubConsumerClient  # noqa: PLC0415 (0.15 s, rarely needed)

    options: dict[str, Any] = {"consumer_group": group, "eventhub_name": hub, "retry_total": 0}
    if is_connection_string(address):
        try:
            return EventHubConsumerClient.from_connection_string(address, **options)
        except ValueError:  # its text may quote a key
            return None
    if "." not in address:
        return None
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 (only with an identity)

    return EventHubConsumerClient(address, credential=DefaultAzureCredential(), **options)


def _failure(error: "EventHubError", name: str, asked: str, connection: str) -> Step:
    from azure.eventhub.exceptions import AuthenticationError  # noqa: PLC0415 (as above)

    if isinstance(error, AuthenticationError):
        return wrong(name, asked, "access is refused: the role or the key", _ROLE)
    if error.error == _NOT_FOUND:
        return wrong(name, asked, "the namespace has no such event hub", _SHOW)
    return wrong(name, asked, f"nothing answers at the address of {connection}", _SHOW)
