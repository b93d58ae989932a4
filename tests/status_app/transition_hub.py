"""The event hub of the transitions, read by a real consumer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient

from local.clock import utc_now
from local.eventhubs import EventHubs

TRANSITIONS: Final = "transitions"
PATIENCE: Final = 30
"""Seconds after which a test gives up waiting."""


@asynccontextmanager
async def running_hub(now: Callable[[], datetime] = utc_now) -> AsyncIterator[EventHubs]:
    """A namespace with the hub, of three partitions."""
    namespace = EventHubs({TRANSITIONS: 3}, now=now)
    await namespace.start()
    try:
        yield namespace
    finally:
        await namespace.stop()


def stored(namespace: EventHubs) -> list[bytes]:
    """The bodies that the hub holds, partition by partition."""
    return [event.body for event in namespace.events(TRANSITIONS)]


async def received(namespace: EventHubs, count: int) -> list[EventData]:
    """The first events that a new consumer gets from all partitions."""
    events: list[EventData] = []
    enough = asyncio.Event()

    async def on_event(_: Any, event: EventData | None) -> None:
        if event is not None:
            events.append(event)
        if len(events) >= count:
            enough.set()

    client = EventHubConsumerClient.from_connection_string(
        namespace.connection_string(TRANSITIONS), "$Default", load_balancing_interval=0.05, retry_backoff_factor=0.01
    )
    receiving = asyncio.create_task(client.receive(on_event, starting_position="-1"))
    try:
        async with asyncio.timeout(PATIENCE):
            await enough.wait()
    finally:
        await client.close()
        await receiving
    return events


def body(event: EventData) -> bytes:
    """The bytes of an event."""
    return b"".join(event.body)  # type: ignore[arg-type] # the body of every message here is data
