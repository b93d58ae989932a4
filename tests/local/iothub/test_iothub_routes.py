"""The events that a route makes of a hub's changes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.iothub import IotHub
from local.routed_event import RoutedEvent

NOW = datetime(2024, 5, 2, 9, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def events() -> list[RoutedEvent]:
    return []


@pytest.fixture
def hub(tmp_path: Path, events: list[RoutedEvent]) -> IotHub:
    hub = IotHub(tmp_path, name="fleet-hub", now=lambda: NOW, route=events.append)
    hub.registry.create("edge-1")
    events.clear()
    return hub


def body(event: RoutedEvent) -> Any:
    return json.loads(event.body)


def test_a_twin_change_carries_the_hubs_application_properties(hub: IotHub, events: list[RoutedEvent]) -> None:
    hub.registry.patch_reported("edge-1", {"a": 1})
    assert events[0].partition_key == "edge-1"
    assert events[0].properties == {
        "iothub-message-schema": "twinChangeNotification",
        "opType": "updateTwin",
        "hubName": "fleet-hub",
        "deviceId": "edge-1",
        "moduleId": "$edgeAgent",
        "operationTimestamp": "2024-05-02T09:00:00.1234560Z",
    }


def test_a_twin_change_carries_the_hubs_system_properties(hub: IotHub, events: list[RoutedEvent]) -> None:
    hub.registry.patch_reported("edge-1", {"a": 1})
    system = dict(events[0].system_properties)
    assert len(str(system.pop("correlation-id"))) == 32
    assert system == {
        "iothub-connection-device-id": "edge-1",
        "iothub-connection-module-id": "$edgeAgent",
        "iothub-message-source": "twinChangeEvents",
        "iothub-enqueuedtime": 1714640400123,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "user-id": "fleet-hub",
    }


def test_a_reported_change_is_the_patch_with_its_metadata(hub: IotHub, events: list[RoutedEvent]) -> None:
    hub.registry.patch_reported("edge-1", {"kept": 1, "modules": {"m1": {"exitCode": 0}, "m2": {"exitCode": 0}}})
    hub.registry.patch_reported("edge-1", {"modules": {"m1": {"exitCode": 1}, "m2": None}})
    stamp = {"$lastUpdated": "2024-05-02T09:00:00.1234560Z"}
    assert body(events[-1]) == {
        "version": 3,
        "properties": {
            "reported": {
                "modules": {"m1": {"exitCode": 1}, "m2": None},
                "$metadata": {**stamp, "modules": {**stamp, "m1": {**stamp, "exitCode": stamp}}},
                "$version": 3,
            }
        },
    }


def test_a_desired_change_is_the_whole_desired_section(hub: IotHub, events: list[RoutedEvent]) -> None:
    hub.registry.apply_desired("edge-1", {"modules": {"m1": {}}, "schemaVersion": "1.0"})
    hub.registry.apply_desired("edge-1", {"modules": {"m1": {}}, "schemaVersion": "1.1"}, "release-2")
    twin = hub.registry.get("edge-1")
    assert twin is not None
    assert body(events[-1]) == {"version": 3, "properties": {"desired": twin["properties"]["desired"]}}


def test_a_replaced_twin_comes_with_its_ids_and_all_its_properties(hub: IotHub, events: list[RoutedEvent]) -> None:
    twin = dict(hub.registry.get("edge-1") or {})
    hub.registry.put({**twin, "tags": {"site": "north"}, "configurations": {"release-1": {"status": "Applied"}}})
    assert events[-1].properties["opType"] == "replaceTwin"
    kept = ("deviceId", "moduleId", "etag", "version", "properties")
    assert body(events[-1]) == {"tags": {"site": "north"}, **{key: twin[key] for key in kept}}


def test_no_body_holds_configurations(hub: IotHub, events: list[RoutedEvent]) -> None:
    hub.registry.set_configurations("edge-1", {"release-1": {"status": "Applied"}})
    hub.registry.apply_desired("edge-1", {"a": 1}, "release-1")
    hub.registry.patch_reported("edge-1", {"a": 1})
    hub.registry.put(hub.registry.get("edge-1") or {})
    hub.registry.delete("edge-1")
    assert len(events) == 4
    assert not any(b"configurations" in event.body for event in events)


@pytest.mark.parametrize("operation", ["deleteDeviceIdentity", "createDeviceIdentity"])
def test_a_lifecycle_event_names_the_device_and_no_module(
    hub: IotHub, events: list[RoutedEvent], operation: str
) -> None:
    hub.registry.delete("edge-1")
    hub.registry.create("edge-1")
    event = next(event for event in events if event.properties["opType"] == operation)
    assert event.properties["iothub-message-schema"] == "deviceLifecycleNotification"
    assert event.system_properties["iothub-message-source"] == "deviceLifecycleEvents"
    assert "moduleId" not in event.properties
    assert "iothub-connection-module-id" not in event.system_properties
    assert body(event)["deviceId"] == "edge-1"
    assert "moduleId" not in body(event)


def test_a_twin_of_any_json_makes_an_event(hub: IotHub, events: list[RoutedEvent]) -> None:
    hub.registry.put({"deviceId": "odd \ud800", "properties": [None], "version": {}})
    assert body(events[-1]) == {"deviceId": "odd \ud800", "properties": [None], "version": {}}


def test_the_event_of_a_change_can_be_made_again(hub: IotHub, events: list[RoutedEvent]) -> None:
    change = hub.registry.patch_reported("edge-1", {"a": 1})
    assert hub.event(change) == events[-1]
