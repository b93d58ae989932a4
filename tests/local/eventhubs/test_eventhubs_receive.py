"""What the SDK receives: from which position, in which order, and who may."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError
from namespaces import (
    ONE_ATTEMPT,
    body,
    consumer,
    producer,
    receive,
    receiving,
    routed,
    running,
    together,
    until,
)
from side_by_side import SideBySide

side_by_side = SideBySide()

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@side_by_side
async def test_a_consumer_starts_where_it_asks_to() -> None:
    clock = iter(range(100))
    async with running({"twins": 1}, lambda: T0 + timedelta(seconds=next(clock))) as namespace:
        for number in range(6):
            namespace.append("twins", routed(str(number).encode()))
        stored = namespace.events("twins")
        offset, time = stored[3].offset, stored[3].enqueued_time
        asked = [
            ("-1", False, 0),
            (3, False, 4),
            (3, True, 3),
            (offset, False, 4),
            (offset, True, 3),
            (time, False, 4),
            (time, True, 3),
        ]
        received = await together(
            *(
                receive(
                    consumer(namespace, "twins"),
                    6 - first,
                    partition_id="0",
                    starting_position=position,
                    starting_position_inclusive=inclusive,
                )
                for position, inclusive, first in asked
            )
        )
        for (position, inclusive, first), events in zip(asked, received, strict=True):
            numbers = [event.sequence_number for event in events]
            assert list(range(first, 6)) == numbers, f"from {position}, inclusive: {inclusive}"


@side_by_side
async def test_a_consumer_that_starts_at_the_latest_gets_only_what_comes_then() -> None:
    bodies: list[bytes] = []
    async with running({"twins": 1}) as namespace:
        namespace.append("twins", routed(b"before"))
        client = consumer(namespace, "twins")
        async with receiving(client, lambda _, event: bodies.append(body(event)), starting_position="@latest"):

            def appended_and_received() -> bool:
                namespace.append("twins", routed(b"after"))
                return len(bodies) > 1

            await until(appended_and_received)
        assert {b"after"} == set(bodies)


@side_by_side
async def test_consumers_of_all_groups_get_all_events_in_the_order_of_each_partition() -> None:
    async with running({"twins": 3}) as namespace:
        expected: dict[str, list[bytes]] = defaultdict(list)

        def append(numbers: range) -> None:
            for number in numbers:
                text = str(number).encode()
                partition_id, _ = namespace.append("twins", routed(text, f"device-{number % 20}"))
                expected[partition_id].append(text)

        async def receive_all(group: str) -> dict[str, list[bytes]]:
            bodies: dict[str, list[bytes]] = defaultdict(list)
            client = consumer(namespace, "twins", group)
            async with receiving(client, lambda partition_id, event: bodies[partition_id].append(body(event))):
                await until(lambda: sum(map(len, bodies.values())) >= 500)
                if sum(map(len, expected.values())) < 1000:  # one of them finds the rest stored, one sees it come
                    append(range(500, 1000))
                await until(lambda: sum(map(len, bodies.values())) >= 1000)
            return bodies

        append(range(500))
        received = await together(receive_all("$Default"), receive_all("others"))
        assert [expected, expected] == received
        assert len(namespace.events("twins")) == 1000


@side_by_side
async def test_a_higher_owner_level_takes_the_partition_over() -> None:
    bodies: dict[int, list[bytes]] = {1: [], 2: []}
    errors: dict[int, list[Exception]] = {1: [], 2: []}

    async def read_until_the_end(level: int) -> None:
        async def on_error(_: object, error: Exception) -> None:
            errors[level].append(error)

        client = consumer(namespace, "twins")
        options = {"partition_id": "0", "owner_level": level, "on_error": on_error}
        async with receiving(client, lambda _, event: bodies[level].append(body(event)), **options):
            await until(lambda: b"end" in bodies[2])

    async with running({"twins": 1}) as namespace, asyncio.TaskGroup() as readers:
        namespace.append("twins", routed(b"1"))
        readers.create_task(read_until_the_end(1))
        await until(lambda: bodies[1] == [b"1"])
        readers.create_task(read_until_the_end(2))
        await until(lambda: bodies[2] == [b"1"] and bool(errors[1]))
        namespace.append("twins", routed(b"end"))
    assert "link:stolen" in str(errors[1][0])
    assert not errors[2]
    assert bodies[1] == [b"1"]
    assert bodies[2] == [b"1", b"end"]


@side_by_side
async def test_the_sdk_reads_the_properties_of_hubs_and_partitions() -> None:
    async with running({"twins": 2}, lambda: T0) as namespace, producer(namespace, "twins") as client:
        partition_id, _ = namespace.append("twins", routed(b"1"))
        namespace.append("twins", routed(b"2"))
        empty = str(1 - int(partition_id))
        assert await client.get_eventhub_properties() == {
            "eventhub_name": "twins",
            "created_at": T0,
            "partition_ids": ["0", "1"],
        }
        full, nothing = (
            await client.get_partition_properties(partition_id),
            await client.get_partition_properties(empty),
        )
        assert {
            "eventhub_name": "twins",
            "id": partition_id,
            "beginning_sequence_number": 0,
            "last_enqueued_sequence_number": 1,
            "last_enqueued_offset": namespace.events("twins")[1].offset,
            "is_empty": False,
            "last_enqueued_time_utc": T0,
        } == full
        assert (
            nothing["last_enqueued_sequence_number"],
            nothing["last_enqueued_offset"],
            nothing["is_empty"],
        ) == (-1, "-1", True)


@side_by_side
async def test_hubs_and_partitions_that_do_not_exist_are_not_found() -> None:
    async with (
        running({"twins": 1}) as namespace,
        producer(namespace, "nowhere", ONE_ATTEMPT) as no_hub,
        producer(namespace, "twins", ONE_ATTEMPT) as no_partition,
    ):
        with pytest.raises(EventHubError, match="NotFound"):
            await no_hub.send_event(EventData(b""))
        with pytest.raises(EventHubError, match="NotFound"):
            await no_hub.get_eventhub_properties()
        with pytest.raises(EventHubError, match="NotFound"):
            await no_partition.get_partition_properties("7")
