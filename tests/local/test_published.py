"""The events of an event hub, read by the SDK's consumer."""

from datetime import UTC, datetime, timedelta

from local.eventhubs import EventHubs
from local.published import published
from local.routed_event import RoutedEvent

MORE_THAN_A_BATCH = 700


async def test_every_event_comes_once_in_the_order_of_its_time() -> None:
    now = datetime(2024, 5, 2, tzinfo=UTC)
    event_hubs = EventHubs({"transitions": 3, "others": 1}, now=lambda: now)
    await event_hubs.start()
    assert await published(event_hubs, "transitions") == []
    for number in range(MORE_THAN_A_BATCH):
        now += timedelta(milliseconds=1)
        event_hubs.append("transitions", RoutedEvent(b"%d" % number, f"device-{number % 7}"))
    event_hubs.append("others", RoutedEvent(b"-1", "device"))
    assert await published(event_hubs, "transitions") == list(range(MORE_THAN_A_BATCH))
    await event_hubs.stop()
