"""Read the events of an event hub with the SDK's consumer."""

import asyncio
import json
from itertools import chain
from operator import itemgetter
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from local.eventhubs import EventHubs

_LOOK_SECONDS = 0.05
"""How often the SDK checks whether it is done."""


async def published(event_hubs: EventHubs, hub: str) -> list[Any]:
    """Return the JSON bodies of all events in an event hub.

    They are in the order of their times. Events of one partition, and so of one device, are always in the order in
    which they were stored.

    Raises:
        ValueError: A body is not JSON.
    """
    newest = {partition: number for partition, number in event_hubs.last_sequence(hub).items() if number >= 0}
    client = EventHubConsumerClient.from_connection_string(
        event_hubs.connection_string(hub), "$Default", load_balancing_interval=_LOOK_SECONDS
    )
    async with client:
        parts = await asyncio.gather(*(_receive(client, *place) for place in newest.items()))
    # A stable sort by time: equal times stay in order, partition by partition.
    events = sorted(chain(*parts), key=itemgetter(0))
    return [json.loads(event.body_as_str()) for _, event in events]


async def _receive(client: EventHubConsumerClient, partition: str, last: int) -> list[tuple[Any, EventData]]:
    """Receive the events of a partition up to a sequence number, with their times."""
    events: list[tuple[Any, EventData]] = []
    complete = asyncio.Event()

    async def keep(_context: PartitionContext, batch: list[EventData]) -> None:
        events.extend((event.enqueued_time, event) for event in batch)
        if len(events) > last:
            complete.set()

    receiving = asyncio.create_task(client.receive_batch(keep, partition_id=partition, starting_position="-1"))
    try:
        await complete.wait()
    finally:
        receiving.cancel()
        await asyncio.wait({receiving})
    return events
