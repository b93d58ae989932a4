"""The event hub trigger, over the real SDK: what a function gets, in which order, how often.

The tests share one host, which opens the event hub with an identity connection; each appends its own events.
"""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio
from azure.core.credentials import AccessToken
from sample_hosts import SAMPLE_APP, append, drained, running_app, until

from local.eventhubs import EventHubs
from local.host import FunctionsHost
from local.routed_event import RoutedEvent

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Credential:
    """Gives a token that the stand-in takes, as it takes any."""

    async def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        return AccessToken("token", int(datetime.now(UTC).timestamp()) + 3600)

    async def close(self) -> None:
        return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        return


class Waits(list[tuple[float, Any]]):
    """The waits between attempts, which take no time: (seconds, what the checkpoint file holds meanwhile)."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints

    async def sleep(self, seconds: float) -> None:
        self.append((seconds, self.read_checkpoints()))
        await asyncio.sleep(0)

    def read_checkpoints(self) -> Any:
        return json.loads(self.checkpoints.read_text("utf-8")) if self.checkpoints.exists() else {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hubs() -> AsyncIterator[EventHubs]:
    server = EventHubs({"twins": 2})
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> Waits:
    return Waits(tmp_path_factory.mktemp("data") / "checkpoints.json")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(hubs: EventHubs, waits: Waits) -> AsyncIterator[FunctionsHost]:
    settings = {"HUB": "twins", "Events__fullyQualifiedNamespace": f"localhost:{hubs.port}", "SCHEDULE": "01:00:00"}
    host = FunctionsHost(
        SAMPLE_APP, settings, data_dir=waits.checkpoints.parent, sleep=waits.sleep, credential=Credential()
    )
    await host.start()
    yield host
    await host.stop()


@pytest.fixture
def batches(host: FunctionsHost, waits: Waits) -> list[Any]:  # noqa: ARG001 - the host has loaded the app
    """The batches that the app has been given in this test."""
    waits.clear()
    found: list[Any] = running_app().batches
    found.clear()
    return found


async def test_an_event_arrives_with_its_body_its_place_its_time_and_its_properties(
    host: FunctionsHost, hubs: EventHubs, batches: list[Any]
) -> None:
    bodies = [b'{"a": 1}', b"", b"\xff\x00\xfe"]
    for number, body in enumerate(bodies):
        properties = {"opType": "updateTwin", "number": str(number)}
        system_properties = {"iothub-connection-device-id": "d1"}
        partition, last = hubs.append("twins", RoutedEvent(body, "d1", properties, system_properties))
    await drained(host)
    (batch,) = batches
    assert batch.bodies == bodies
    assert batch.numbers == [last - 2, last - 1, last]
    first = batch.events[0]
    assert first.partition_key == "d1"
    assert first.enqueued_time.tzinfo is None
    assert datetime.now(UTC) - first.enqueued_time.replace(tzinfo=UTC) < timedelta(minutes=5)
    assert first.iothub_metadata == {"connection-device-id": "d1"}
    metadata = first.metadata
    assert metadata["PropertiesArray"][2] == {"opType": "updateTwin", "number": "2"}
    assert metadata["SequenceNumberArray"] == batch.numbers
    assert metadata["PartitionKeyArray"] == ["d1", "d1", "d1"]
    assert len(metadata["OffsetArray"]) == len(metadata["EnqueuedTimeUtcArray"]) == 3
    assert metadata["SystemPropertiesArray"][2]["SequenceNumber"] == last
    assert metadata["PartitionContext"] == {
        "FullyQualifiedNamespace": f"localhost:{hubs.port}",
        "EventHubName": "twins",
        "ConsumerGroup": "$Default",
        "PartitionId": partition,
        "IsCheckpointingAfterInvocation": True,
    }
    assert metadata["sys"]["MethodName"] == "collect"


async def test_batches_hold_no_more_than_host_json_allows_and_keep_their_order(
    host: FunctionsHost, hubs: EventHubs, batches: list[Any]
) -> None:
    bodies = [b"%d" % number for number in range(10)]
    append(hubs, *bodies)
    await drained(host)
    assert max(len(batch.bodies) for batch in batches) <= 3
    assert [body for batch in batches for body in batch.bodies] == bodies


async def test_a_batch_that_fails_is_tried_again_as_often_as_its_policy_allows_and_then_given_up(
    host: FunctionsHost, hubs: EventHubs, batches: list[Any], waits: Waits
) -> None:
    before = waits.read_checkpoints()
    partition = append(hubs, b"bad", b"good")
    await drained(host)
    error = "ValueError: a bad event"
    assert [batch.retry for batch in batches] == [(0, 0, ""), (1, 2, error), (2, 2, error)]
    assert all(batch.bodies == [b"bad", b"good"] for batch in batches)
    first, second = waits
    assert first == (2, before)
    assert 3.6 <= second[0] <= 4.4
    assert second[1] == before
    last = hubs.last_sequence("twins")[partition]
    assert waits.read_checkpoints() == before | {f"$Default/twins/{partition}": last}
    assert [(outcome.attempt, outcome.ok) for outcome in host.invocations][-3:] == [(0, False), (1, False), (2, False)]
    append(hubs, b"next")
    await drained(host)
    assert (batches[-1].bodies, host.invocations[-1].ok) == ([b"next"], True)


async def test_partitions_run_side_by_side_and_the_batches_of_each_in_turn(
    host: FunctionsHost, hubs: EventHubs, batches: list[Any]
) -> None:
    def bodies(wanted: Callable[[str], bool]) -> list[bytes]:
        return [body for batch in batches if wanted(batch.partition) for body in batch.bodies]

    held = append(hubs, b"hold", key="d0")
    await until(lambda: batches)
    append(hubs, b"behind", key="d0")
    key = next(key for key in (f"d{n}" for n in range(1, 100)) if append(hubs, b"?", key=key) != held)
    append(hubs, b"beside", key=key)
    await until(lambda: b"beside" in bodies(lambda partition: partition != held))
    assert bodies(lambda partition: partition == held) == [b"hold"]
    running_app().held.set()
    await drained(host)
    assert bodies(lambda partition: partition == held)[:2] == [b"hold", b"behind"]


# The SDK lets go of a connection that the server has cut without closing its socket.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_each_event_is_delivered_once_though_the_connection_breaks(
    host: FunctionsHost, hubs: EventHubs, batches: list[Any]
) -> None:
    append(hubs, b"0", b"1")
    await drained(host)
    hubs.faults.drop_connections()
    append(hubs, b"2", b"3")
    await drained(host)
    assert [body for batch in batches for body in batch.bodies] == [b"0", b"1", b"2", b"3"]
    gc.collect()
