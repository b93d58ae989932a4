"""What the SDK sends is stored in the right partition, once and in order."""

import asyncio

import pytest
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from namespaces import ONE_ATTEMPT, QUICK, READS_AT_ONCE, body, producer, routed, running
from side_by_side import SideBySide

from local.eventhubs import EventHubs

side_by_side = SideBySide()

LIMIT = 1024 * 1024


@side_by_side
async def test_single_events_and_batches_are_stored_in_the_order_of_sending() -> None:
    async with running({"twins": 2}) as namespace, producer(namespace, "twins") as client:
        await client.send_event(EventData(b"1"), partition_id="1")
        batch = await client.create_batch(partition_id="1")
        for text in (b"2", b"3", b"\xff\x00"):
            batch.add(EventData(text))
        await client.send_batch(batch)
        await client.send_event(EventData(b""), partition_id="1")
        stored = namespace.events("twins")
        assert [event.body for event in stored] == [b"1", b"2", b"3", b"\xff\x00", b""]
        assert [event.partition_id for event in stored] == ["1"] * 5
        assert [event.sequence_number for event in stored] == [0, 1, 2, 3, 4]
        assert namespace.last_sequence("twins") == {"0": -1, "1": 4}


@side_by_side
async def test_events_of_one_key_share_a_partition_with_those_that_a_route_appends() -> None:
    keys = [f"device-{number}" for number in range(12)]
    async with running({"twins": 4}) as namespace, producer(namespace, "twins") as client:
        expected = {key: namespace.append("twins", routed(b"routed", key))[0] for key in keys}
        for key in keys:
            await client.send_batch([EventData(b"sent"), EventData(b"sent")], partition_key=key)
        sent = [event for event in namespace.events("twins") if event.body == b"sent"]
        assert len(keys) * 2 == len(sent)
        assert expected == {event.partition_key: event.partition_id for event in sent}
        assert {"0", "1", "2", "3"} == set(expected.values())


@side_by_side
async def test_events_without_a_key_take_turns_and_only_too_large_ones_are_refused() -> None:
    async with running({"twins": 2}) as namespace, producer(namespace, "twins", ONE_ATTEMPT) as client:
        await client.send_event(EventData(b"1"))
        with pytest.raises(EventHubError):
            await client.send_event(EventData(b"\xff" * LIMIT))
        await client.send_event(EventData(b"2"))
        assert [(event.partition_id, event.body) for event in namespace.events("twins")] == [("0", b"1"), ("1", b"2")]


@side_by_side
async def test_the_synchronous_clients_send_and_receive() -> None:
    async with running({"twins": 1}) as namespace:
        assert await asyncio.to_thread(send_and_receive, namespace) == [b"1", b"2", b"3"]


def send_and_receive(namespace: EventHubs) -> list[bytes]:
    connection = namespace.connection_string("twins")
    with EventHubProducerClient.from_connection_string(connection, **QUICK) as sender:
        sender.send_event(EventData(b"1"))
        sender.send_batch([EventData(b"2"), EventData(b"3")])
    bodies: list[bytes] = []
    receiver = EventHubConsumerClient.from_connection_string(connection, "$Default", **READS_AT_ONCE)

    def on_event(_: object, event: EventData | None) -> None:
        assert event is not None
        bodies.append(body(event))
        if len(bodies) == 3:
            receiver.close()

    receiver.receive(on_event, partition_id="0", starting_position="-1")
    return bodies
