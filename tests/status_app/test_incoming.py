"""Events as the library of the Functions worker makes them, with and without their metadata."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from azure.functions.eventhub import EventHubTriggerConverter
from azure.functions.meta import Datum

from status_app.ingest.event_batch import IncomingEvent, read_batch


def batch(count: int, **metadata: Any) -> list[func.EventHubEvent]:
    """Twin changes as the worker decodes them, with some of the metadata replaced, or left out where it is None."""
    system = [
        {
            "SequenceNumber": 7 + number,
            "Offset": str(number),
            "PartitionKey": None,
            "EnqueuedTimeUtc": "2024-05-02T09:00:00.123Z",
            "iothub-connection-device-id": f"edge-{number}",
            "x-opt-other": "not of the hub",
        }
        for number in range(count)
    ]
    known = {
        "SystemPropertiesArray": system,
        "PropertiesArray": [{"opType": "updateTwin", "deviceId": f"edge-{number}"} for number in range(count)],
        "PartitionContext": {"PartitionId": "3", "EventHubName": "twin-changes"},
    } | metadata
    events = EventHubTriggerConverter.decode(
        Datum(SimpleNamespace(bytes=[b"%d" % number for number in range(count)]), "collection_bytes"),
        trigger_metadata={name: Datum(json.dumps(value), "json") for name, value in known.items() if value is not None},
    )
    assert isinstance(events, list)
    return events


def test_each_event_gets_its_own_part_of_the_metadata_of_the_batch() -> None:
    assert read_batch(batch(3)) == [
        IncomingEvent(
            body=b"%d" % number,
            properties={"opType": "updateTwin", "deviceId": f"edge-{number}"},
            system_properties={"connection-device-id": f"edge-{number}"},
            partition_id="3",
            sequence_number=7 + number,
            enqueued_time=datetime(2024, 5, 2, 9, 0, 0, 123000, tzinfo=UTC),
        )
        for number in range(3)
    ]


def test_a_batch_without_events_is_empty() -> None:
    assert read_batch([]) == []


@pytest.mark.parametrize("array", [None, [], [{"deviceId": "edge-1"}], [{}, {}, {}], {"deviceId": "edge-1"}, "[]"])
def test_properties_that_match_no_event_are_given_to_none(array: Any) -> None:
    events = read_batch(batch(2, PropertiesArray=array))
    assert [event.properties for event in events] == [{}, {}]
    assert [event.sequence_number for event in events] == [7, 8]


@pytest.mark.parametrize("entry", [None, 5, [1], "5"])
def test_properties_that_are_no_object_are_left_out_and_their_neighbors_stay(entry: Any) -> None:
    events = read_batch(batch(2, PropertiesArray=[entry, {"deviceId": "edge-1"}]))
    assert [event.properties for event in events] == [{}, {"deviceId": "edge-1"}]


@pytest.mark.parametrize("context", [None, {}, {"PartitionId": None}, [1], "5"])
def test_a_missing_partition_is_unknown(context: Any) -> None:
    assert [event.partition_id for event in read_batch(batch(2, PartitionContext=context))] == ["unknown", "unknown"]


@pytest.mark.parametrize("partition", [0, "0"])
def test_a_partition_can_be_a_number(partition: Any) -> None:
    assert read_batch(batch(1, PartitionContext={"PartitionId": partition}))[0].partition_id == "0"


def test_an_event_without_system_properties_has_neither_number_nor_time() -> None:
    events = read_batch(batch(1, SystemPropertiesArray=[{}]))
    assert (events[0].sequence_number, events[0].enqueued_time, events[0].system_properties) == (0, None, {})


def test_events_without_any_metadata_keep_their_bodies() -> None:
    event = func.EventHubEvent(body=b"{}")
    assert read_batch([event, event]) == [IncomingEvent(b"{}", {}, {}, "unknown", 0, None)] * 2


def test_metadata_that_the_worker_leaves_as_text_is_read() -> None:
    metadata = {
        "PropertiesArray": Datum('[{"deviceId": "edge-1"}]', "string"),
        "PartitionContext": Datum('{"PartitionId": "1"}', "string"),
    }
    event = read_batch([func.EventHubEvent(body=b"{}", trigger_metadata=metadata)])[0]
    assert (event.properties, event.partition_id) == ({"deviceId": "edge-1"}, "1")


def test_the_metadata_of_a_batch_comes_from_its_first_event_alone() -> None:
    first, second = batch(2)
    second = func.EventHubEvent(body=second.get_body(), trigger_metadata={"PropertiesArray": Datum("{", "json")})
    assert [event.properties["deviceId"] for event in read_batch([first, second])] == ["edge-0", "edge-1"]
