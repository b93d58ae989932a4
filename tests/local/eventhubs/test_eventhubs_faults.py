"""Failures on purpose, as the SDK sees them."""

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventDataSendError
from namespaces import ONE_ATTEMPT, body, consumer, producer, receiving, routed, running, until
from side_by_side import SideBySide

side_by_side = SideBySide()


@side_by_side
async def test_refused_sends_fail_in_the_sdk_and_later_ones_pass() -> None:
    async with running({"twins": 1, "others": 1}) as namespace:
        namespace.faults.refuse("twins", 3)  # the SDK tries each send twice
        async with producer(namespace, "twins", ONE_ATTEMPT) as client, producer(namespace, "others") as other:
            with pytest.raises(EventDataSendError, match="server-busy"):
                await client.send_batch([EventData(b"refused"), EventData(b"refused")])
            await other.send_event(EventData(b"other"))
            await client.send_event(EventData(b"passed"))
        assert [event.body for event in namespace.events("twins")] == [b"passed"]
        assert [event.body for event in namespace.events("others")] == [b"other"]


@side_by_side
async def test_after_a_cut_the_sdk_sends_once_and_goes_on_receiving() -> None:
    bodies: list[bytes] = []
    async with (
        running({"twins": 1}) as namespace,
        producer(namespace, "twins") as client,
        receiving(consumer(namespace, "twins"), lambda _, event: bodies.append(body(event)), partition_id="0"),
    ):
        await client.send_event(EventData(b"1"))
        await until(lambda: bodies == [b"1"])
        namespace.faults.drop_connections()
        await client.send_event(EventData(b"2"))
        assert [event.body for event in namespace.events("twins")] == [b"1", b"2"]
        await until(lambda: bodies == [b"1", b"2"])


@side_by_side
async def test_a_namespace_that_was_stopped_starts_again_with_its_events() -> None:
    async with running({"twins": 1}) as namespace:
        namespace.append("twins", routed(b"1"))
        await namespace.stop()
        with pytest.raises(RuntimeError, match="not running"):
            namespace.connection_string()
        await namespace.start()
        async with producer(namespace, "twins") as client:
            await client.send_event(EventData(b"2"))
        assert [event.body for event in namespace.events("twins")] == [b"1", b"2"]
