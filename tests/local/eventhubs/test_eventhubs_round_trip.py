"""What was sent with the SDK, or routed, comes back to a consumer of the SDK as it was."""

import asyncio
from datetime import UTC, datetime

import pytest
from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage
from namespaces import body, consumer, producer, receive, running

from local.eventhubs import StoredEvent
from local.routed_event import RoutedEvent

T0 = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
LARGE = b"\xff" * (1024 * 1024 - 8)  # with the 8 bytes before a body, the largest message there is

ROUTED = RoutedEvent(
    b"\x00\xff\xfe{",
    "dévice/1",
    {"opType": "updateTwin", "deviceId": "dévice/1"},
    {"iothub-connection-device-id": "dévice/1", "iothub-message-source": "twinChangeEvents", "number": 2**40},
)
PROPERTIES = {"text": "t", "number": -70000, "yes": True, "time": T0, "bytes": b"\xff", "none": None}

type Exchange = tuple[list[EventData], list[StoredEvent]]


def sent_event() -> EventData:
    event = EventData(b"{}")
    event.content_type = "application/json"
    event.correlation_id = "correlation"
    event.message_id = "message"
    event.properties = PROPERTIES  # type: ignore[assignment] # the SDK takes more types than it declares
    return event


async def exchange() -> Exchange:
    async with running({"twins": 1}, lambda: T0) as namespace, producer(namespace, "twins") as client:
        namespace.append("twins", ROUTED)
        namespace.append("twins", RoutedEvent(b"", "other"))
        await client.send_event(sent_event())
        batch = await client.create_batch()
        batch.add(sent_event())
        batch.add(AmqpAnnotatedMessage(value_body={"a": [1, 2.5]}, annotations={"x-own": 7}))
        await client.send_batch(batch)
        await client.send_event(EventData(b""))
        await client.send_event(EventData(LARGE))
        return await receive(consumer(namespace, "twins"), 7), namespace.events("twins")


@pytest.fixture(scope="module")
def exchanged() -> Exchange:
    """All events of this module, received and as they are stored: the SDK takes its time to open and to close."""
    return asyncio.run(exchange())


def test_a_routed_event_arrives_with_its_properties_and_its_body(exchanged: Exchange) -> None:
    event = exchanged[0][0]
    assert ROUTED.body == body(event)
    assert {b"opType": b"updateTwin", b"deviceId": "dévice/1".encode()} == event.properties
    assert {
        b"iothub-connection-device-id": "dévice/1".encode(),
        b"iothub-message-source": b"twinChangeEvents",
        b"number": 2**40,
        b"x-opt-partition-key": "dévice/1".encode(),
        b"x-opt-sequence-number": 0,
        b"x-opt-offset": b"0",
        b"x-opt-enqueued-time": int(T0.timestamp() * 1000),
    } == event.system_properties
    assert event.enqueued_time == T0


def test_a_routed_event_is_stored_with_its_properties_and_its_body(exchanged: Exchange) -> None:
    event = exchanged[1][0]
    assert (ROUTED.body, "dévice/1", T0) == (event.body, event.partition_key, event.enqueued_time)
    assert ROUTED.properties == event.properties
    assert {**ROUTED.system_properties, "x-opt-partition-key": "dévice/1"} == event.system_properties


@pytest.mark.parametrize("index", [2, 3], ids=["alone", "in a batch"])
def test_properties_that_were_sent_come_back_as_they_were(exchanged: Exchange, index: int) -> None:
    event = exchanged[0][index]
    assert (
        event.content_type,
        event.correlation_id,
        event.message_id,
    ) == ("application/json", "correlation", "message")
    assert {
        b"text": b"t",
        b"number": -70000,
        b"yes": True,
        b"time": int(T0.timestamp() * 1000),
        b"bytes": b"\xff",
        b"none": None,
    } == event.properties


@pytest.mark.parametrize("index", [2, 3], ids=["alone", "in a batch"])
def test_properties_that_were_sent_are_stored(exchanged: Exchange, index: int) -> None:
    event = exchanged[1][index]
    assert event.properties == PROPERTIES
    assert event.system_properties == {
        "content-type": "application/json",
        "correlation-id": "correlation",
        "message-id": "message",
    }


def test_a_body_that_is_a_value_comes_back_as_a_value(exchanged: Exchange) -> None:
    event = exchanged[0][4]
    assert event.body == {b"a": [1, 2.5]}
    assert event.system_properties[b"x-own"] == 7


def test_empty_and_largest_bodies_come_back_byte_for_byte(exchanged: Exchange) -> None:
    received, stored = exchanged
    assert [body(received[index]) for index in (1, 5, 6)] == [b"", b"", LARGE]
    assert [stored[index].body for index in (1, 5, 6)] == [b"", b"", LARGE]
