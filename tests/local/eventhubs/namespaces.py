"""A running namespace, and the SDK's clients pointed at it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from local.clock import utc_now
from local.eventhubs import EventHubs
from local.routed_event import RoutedEvent

PATIENCE = 30
"""Seconds after which a test gives up waiting."""

QUICK: Mapping[str, Any] = {"retry_backoff_factor": 0.01}
ONE_ATTEMPT: Mapping[str, Any] = {"retry_total": 0, "retry_backoff_factor": 0.01}
# A consumer looks at this interval, in seconds, for partitions to read and for the order to stop.
READS_AT_ONCE: Mapping[str, Any] = {"load_balancing_interval": 0.05, "retry_backoff_factor": 0.01}


@asynccontextmanager
async def running(hubs: Mapping[str, int], now: Callable[[], datetime] = utc_now) -> AsyncIterator[EventHubs]:
    namespace = EventHubs(hubs, now=now)
    await namespace.start()
    try:
        yield namespace
    finally:
        await namespace.stop()


def routed(body: bytes, key: str = "device") -> RoutedEvent:
    return RoutedEvent(body, key)


def producer(namespace: EventHubs, hub: str, options: Mapping[str, Any] = QUICK) -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(namespace.connection_string(hub), **options)


def consumer(namespace: EventHubs, hub: str, group: str = "$Default") -> EventHubConsumerClient:
    return EventHubConsumerClient.from_connection_string(namespace.connection_string(hub), group, **READS_AT_ONCE)


@asynccontextmanager
async def receiving(
    client: EventHubConsumerClient, on_event: Callable[[str, EventData], None], **options: Any
) -> AsyncIterator[None]:
    """Receive in the background; `on_event` gets the partition id and the event."""

    async def received(partition: Any, event: EventData | None) -> None:
        if event is not None:
            on_event(partition.partition_id, event)

    task = asyncio.create_task(client.receive(received, **{"starting_position": "-1", **options}))
    try:
        yield
    finally:
        await client.close()
        await task


async def receive(client: EventHubConsumerClient, count: int, **options: Any) -> list[EventData]:
    """The events that a new consumer gets, at least this many."""
    events: list[EventData] = []
    async with receiving(client, lambda _, event: events.append(event), **options):
        await until(lambda: len(events) >= count)
    return events


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (the clients of the SDK signal nothing)
            await asyncio.sleep(0.01)


def body(event: EventData) -> bytes:
    return b"".join(event.body)  # type: ignore[arg-type] # the body of nearly every message here is data


async def together[T](*awaitables: Awaitable[T]) -> list[T]:
    return await asyncio.gather(*awaitables)
