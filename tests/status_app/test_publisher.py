"""Events sent by the real SDK to the stand-in of Event Hubs, and read back by a real consumer."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from transition_hub import TRANSITIONS, body, received, running_hub, stored
from transition_rows import rows_of_one_device

from local.clock import utc_now
from local.eventhubs import EventHubs
from status_app.errors import UnavailableError
from status_app.events.cloud_event import cloud_event
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import RETRY, TooLargeError, TransitionPublisher
from status_core import Counts, Milestone, Rollout

FOR_EVER = 10**6
TIME = datetime.fromisoformat("2024-05-02T09:02:10.765432Z")
LARGE = 400_000
"""Bytes of an event: a batch of a megabyte holds two of them."""


def events_of(device_id: str, count: int) -> list[bytes]:
    return [cloud_event(device_id, row) for row in rows_of_one_device(device_id, count)]


def event_of(number: int, size: int = 1) -> bytes:
    """An event with a message of so many characters."""
    data = {"deployments": [], "message": str(number) * size}
    return json.dumps({"type": "edge.deployment.device.stuck", "severity": "error", "data": data}).encode()


def large(count: int) -> list[bytes]:
    return [event_of(number, LARGE) for number in range(count)]


class Waits(list[float]):
    """The waits between attempts, which take no time."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@asynccontextmanager
async def publishing(
    connection: EventHubs | str, *, waits: Waits | None = None, patience: float = 10
) -> AsyncIterator[TransitionPublisher]:
    """A publisher to a namespace."""
    address = connection if isinstance(connection, str) else connection.connection_string()
    publisher = TransitionPublisher(address, TRANSITIONS, sleep=Waits() if waits is None else waits, timeout=patience)
    try:
        yield publisher
    finally:
        await publisher.close()


async def test_a_consumer_gets_the_events_of_each_device_in_order_with_key_and_content_type() -> None:
    sent = {device_id: events_of(device_id, 7) for device_id in ("edge-01", "edge/02", "édge", "edge-04")}
    async with running_hub() as namespace, publishing(namespace) as publisher:
        await asyncio.gather(*(publisher.publish(device_id, events[:4]) for device_id, events in sent.items()))
        await asyncio.gather(*(publisher.publish(device_id, events[4:]) for device_id, events in sent.items()))
        events = await received(namespace, 28)
    found: dict[str, list[bytes]] = {}
    for event in events:
        assert event.content_type == "application/cloudevents+json"
        assert event.partition_key is not None
        found.setdefault(event.partition_key.decode(), []).append(body(event))
    assert found == sent


async def test_a_filter_finds_type_severity_subject_and_deployments_outside_of_the_body() -> None:
    reached = Milestone.STARTED, TIME
    started = deployment_event(
        "hub1", "camera", Rollout(1, Counts(1, 0, 0), 0, None, TIME, reached=(reached,)), reached, {}
    )
    old = json.loads(started)
    del old["severity"]  # an unsent event of an earlier release
    events = [*events_of("edge-01", 3), started, json.dumps(old).encode()]
    async with running_hub() as namespace, publishing(namespace) as publisher:
        await publisher.publish("edge-01", events)
        found = [
            {key.decode(): value.decode() for key, value in event.properties.items()}  # type: ignore[union-attr] # bytes
            for event in await received(namespace, 5)
        ]
    transitioned = {"type": "edge.deployment.device.transitioned", "subject": "at-scale1", "deployments": "at-scale1"}
    milestone = {"type": "edge.deployment.started", "subject": "camera", "deployments": "camera"}
    assert found == [
        transitioned | {"severity": "info"},
        transitioned | {"type": "edge.deployment.module.transitioned", "subject": "m1", "severity": "info"},
        transitioned | {"severity": "info"},
        milestone | {"severity": "info"},
        milestone,
    ]


async def test_events_of_a_device_id_that_no_partition_key_can_hold_are_sent_all_the_same() -> None:
    async with running_hub() as namespace, publishing(namespace) as publisher:
        await publisher.publish("d\ud800", [event_of(1), event_of(2)])
        events = namespace.events(TRANSITIONS)
        assert [(event.partition_key, event.body) for event in events] == [("d?", event_of(1)), ("d?", event_of(2))]


async def test_without_events_the_hub_is_not_asked() -> None:
    async with publishing("Endpoint=sb://localhost:1") as publisher:
        await publisher.publish("d", [])


async def test_more_events_than_a_batch_holds_are_sent_in_several_batches_in_order() -> None:
    async with running_hub() as namespace, publishing(namespace) as publisher:
        await publisher.publish("d", large(5))
        assert stored(namespace) == large(5)


async def test_an_event_that_is_too_large_is_reported_and_does_not_hold_back_the_others() -> None:
    async with running_hub() as namespace, publishing(namespace) as publisher:
        with pytest.raises(TooLargeError, match="1 of 4 events of device 'd'"):
            await publisher.publish("d", [event_of(1), event_of(2), event_of(0, 2**21), event_of(3)])
        assert stored(namespace) == [event_of(1), event_of(2), event_of(3)]


async def test_a_refused_batch_is_sent_again_after_a_wait_and_stored_once() -> None:
    waits, events = Waits(), events_of("d", 3)
    async with running_hub() as namespace, publishing(namespace, waits=waits) as publisher:
        namespace.faults.refuse(TRANSITIONS, 3)  # the SDK makes two attempts of each of ours
        await publisher.publish("d", events)
        assert stored(namespace) == events
    assert len(waits) == 1
    assert RETRY.first_wait / 2 <= waits[0] <= RETRY.first_wait


async def test_a_hub_that_always_refuses_is_reported_and_the_next_publish_loses_and_reorders_nothing() -> None:
    waits, events = Waits(), events_of("d", 5)
    async with running_hub() as namespace, publishing(namespace, waits=waits) as publisher:
        await publisher.publish("d", events[:2])
        namespace.faults.refuse(TRANSITIONS, FOR_EVER)
        for _ in range(2):
            with pytest.raises(UnavailableError, match=r"transitions is unavailable: The server is busy"):
                await publisher.publish("d", events[2:])
        assert stored(namespace) == events[:2]
        namespace.faults.refuse(TRANSITIONS, 0)
        await publisher.publish("d", events[2:])
        assert [body(event) for event in await received(namespace, 5)] == events
    assert len(waits) == 2 * (RETRY.attempts - 1)
    limits = [RETRY.first_wait * 2**attempt for attempt in range(3)]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits[:3], limits, strict=True))


async def test_a_batch_that_fails_stops_the_batches_after_it() -> None:
    hubs: list[EventHubs] = []

    def refuse_from_the_first_event_on() -> datetime:
        for hub in hubs:
            hub.faults.refuse(TRANSITIONS, FOR_EVER)
        return utc_now()

    events = large(5)
    async with running_hub(refuse_from_the_first_event_on) as namespace, publishing(namespace) as publisher:
        hubs.append(namespace)
        with pytest.raises(UnavailableError):
            await publisher.publish("d", events)
        assert stored(namespace) == events[:2]
        hubs.clear()
        namespace.faults.refuse(TRANSITIONS, 0)
        await publisher.publish("d", events)
        assert stored(namespace) == [*events[:2], *events]


async def test_after_a_cut_connection_and_after_a_restart_events_are_stored_once() -> None:
    events = events_of("d", 4)
    async with running_hub() as namespace, publishing(namespace) as publisher:
        await publisher.publish("d", events[:1])
        namespace.faults.drop_connections()
        await publisher.publish("d", events[1:2])
        namespace.faults.drop_connections()
        await publisher.publish("d", events[2:3])
        await publisher.close()
        await publisher.publish("d", events[3:])
        assert stored(namespace) == events


async def test_a_hub_that_does_not_exist_is_reported() -> None:
    async with running_hub() as namespace:
        address = namespace.connection_string()
    async with publishing(address) as publisher:
        with pytest.raises(UnavailableError, match="transitions is unavailable: Failed to initiate the connection"):
            await publisher.publish("d", [event_of(1)])


async def test_a_connection_that_falls_silent_is_replaced() -> None:
    silence = asyncio.Event()

    class EndsTheSilence(Waits):
        async def __call__(self, seconds: float) -> None:
            silence.clear()
            self.append(seconds)

    async with running_hub() as namespace, relaying(namespace.port, silence) as port:
        address = namespace.connection_string().replace(f":{namespace.port}", f":{port}")
        async with publishing(address, waits=EndsTheSilence(), patience=2) as publisher:
            await publisher.publish("d", [event_of(1)])
            silence.set()
            await publisher.publish("d", [event_of(2)])
            assert stored(namespace) == [event_of(1), event_of(2)]


@asynccontextmanager
async def relaying(port: int, silence: asyncio.Event) -> AsyncIterator[int]:
    """A network that may drop a connection without notice: what arrives in the silence is lost, and all after it."""
    writers: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.extend([writer, hub_writer])
        await asyncio.gather(pump(reader, hub_writer), pump(hub_reader, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = False
        while data := await reader.read(65536):
            lost = lost or silence.is_set()
            if not lost:
                writer.write(data)
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()


async def test_a_connection_that_is_an_address_uses_the_identity_of_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    async with publishing("localhost") as publisher:
        with pytest.raises(UnavailableError):
            await publisher.publish("d", [event_of(1)])


def test_the_sdk_is_imported_only_when_events_are_sent() -> None:
    code = "import sys, status_app.events.publisher; sys.exit('azure.eventhub' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 (a fixed command)
