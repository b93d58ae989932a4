"""Versions, metadata and values of a twin."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.iothub import Change, Operation, Registry, Twin

CASES = Path(__file__).parents[2] / "cases"


class Hub:
    """A registry with a clock in hand and a list of its changes."""

    def __init__(self) -> None:
        self.now = datetime(2024, 5, 2, 9, 0, 0, 123456, tzinfo=UTC)
        self.changes: list[Change] = []
        self.registry = Registry(lambda: self.now, self.changes.append)

    def twin(self, device_id: str = "edge-1") -> Twin:
        twin = self.registry.get(device_id)
        assert twin is not None
        return twin

    def section(self, name: str) -> Any:
        return self.twin()["properties"][name]


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.registry.create("edge-1")
    hub.changes.clear()
    return hub


def test_a_new_identity_starts_with_every_version_at_1(hub: Hub) -> None:
    assert hub.twin()["version"] == 1
    for name in ("desired", "reported"):
        assert hub.section(name) == {"$metadata": {"$lastUpdated": "0001-01-01T00:00:00Z"}, "$version": 1}


def test_a_new_twin_has_the_keys_of_a_real_one(hub: Hub) -> None:
    real = json.loads((CASES / "004_seed_successful_individual_no_configurations.json").read_text())["twin"]
    assert hub.twin().keys() == real.keys()


def test_a_second_identity_of_the_same_name_is_refused(hub: Hub) -> None:
    with pytest.raises(ValueError, match="edge-1"):
        hub.registry.create("edge-1")


def test_an_identity_that_is_created_again_starts_over_with_another_device_etag(hub: Hub) -> None:
    hub.registry.apply_desired("edge-1", {"a": 1})
    before = hub.twin()
    hub.registry.delete("edge-1")
    assert hub.registry.get("edge-1") is None
    hub.registry.create("edge-1")
    assert hub.twin()["version"] == 1
    assert hub.twin()["deviceEtag"] != before["deviceEtag"]
    assert [change.operation for change in hub.changes[1:]] == [Operation.DELETE_DEVICE, Operation.CREATE_DEVICE]


def test_a_reported_patch_raises_the_versions_of_its_section_and_of_the_twin(hub: Hub) -> None:
    etag = hub.twin()["etag"]
    hub.registry.patch_reported("edge-1", {"a": 1})
    assert (hub.twin()["version"], hub.section("reported")["$version"], hub.section("desired")["$version"]) == (2, 2, 1)
    assert hub.twin()["etag"] != etag


def test_a_reported_patch_merges_objects_and_removes_what_is_null(hub: Hub) -> None:
    hub.registry.patch_reported("edge-1", {"modules": {"m1": {"env": {}}, "m2": {}}, "list": [1, 2]})
    hub.registry.patch_reported("edge-1", {"modules": {"m1": {"exitCode": 0}, "m2": None}, "list": [3]})
    reported = hub.section("reported")
    assert reported["modules"] == {"m1": {"env": {}, "exitCode": 0}}
    assert reported["list"] == [3]
    assert reported["$metadata"]["modules"].keys() == {"$lastUpdated", "m1"}


def test_nulls_inside_what_is_new_leave_no_trace(hub: Hub) -> None:
    hub.registry.patch_reported("edge-1", {"modules": {"m1": {"a": 1, "b": None}}, "gone": None})
    reported = hub.section("reported")
    assert reported["modules"] == {"m1": {"a": 1}}
    assert reported["$metadata"]["modules"]["m1"].keys() == {"$lastUpdated", "a"}


def test_a_reported_patch_stamps_its_keys_and_their_sections(hub: Hub) -> None:
    first, second = "2024-05-02T09:00:00.1234560Z", "2024-05-02T09:00:05.1234560Z"
    hub.registry.patch_reported("edge-1", {"a": {"b": 1, "c": 1}, "d": 1})
    hub.now += timedelta(seconds=5)
    hub.registry.patch_reported("edge-1", {"a": {"b": 1}})
    assert hub.section("reported")["$metadata"] == {
        "$lastUpdated": second,
        "a": {"$lastUpdated": second, "b": {"$lastUpdated": second}, "c": {"$lastUpdated": first}},
        "d": {"$lastUpdated": first},
    }


def test_desired_properties_are_replaced_as_a_whole(hub: Hub) -> None:
    hub.registry.apply_desired("edge-1", {"modules": {"m1": {}, "m2": {}}})
    hub.registry.apply_desired("edge-1", {"modules": {"m2": {}}}, "release-2")
    assert hub.section("desired")["modules"] == {"m2": {}}
    assert (hub.twin()["version"], hub.section("desired")["$version"]) == (3, 3)


def test_what_a_deployment_leaves_as_it_was_keeps_its_stamp(hub: Hub) -> None:
    hub.registry.apply_desired("edge-1", {"modules": {"m1": {"image": "a:1"}, "m2": {"image": "b:1"}}}, "release-1")
    hub.now += timedelta(minutes=1)
    hub.registry.apply_desired("edge-1", {"modules": {"m1": {"image": "a:2"}, "m2": {"image": "b:1"}}}, "release-2")
    metadata = hub.section("desired")["$metadata"]
    stamps = [metadata, metadata["modules"], *(metadata["modules"][name]["image"] for name in ("m1", "m2"))]
    assert [(stamp["$lastUpdatedVersion"], stamp["$lastUpdatedBy"]) for stamp in stamps] == [
        (3, "release-2"),
        (3, "release-2"),
        (3, "release-2"),
        (2, "release-1"),
    ]
    assert metadata["$lastUpdated"] == "2024-05-02T09:01:00.1234560Z"
    assert metadata["$lastUpdatedByDigest"].isdecimal()


def test_an_individual_deployment_names_no_author(hub: Hub) -> None:
    hub.registry.apply_desired("edge-1", {"a": 1}, "release-1")
    hub.registry.apply_desired("edge-1", {"a": 2})
    assert "$lastUpdatedBy" not in json.dumps(hub.section("desired"))


def test_configurations_change_no_version_and_notify_nobody(hub: Hub) -> None:
    before = hub.twin()
    hub.registry.set_configurations("edge-1", {"release-1": {"status": "Applied"}})
    assert hub.twin() == {**before, "configurations": {"release-1": {"status": "Applied"}}}
    hub.registry.set_configurations("edge-1", {})
    assert hub.twin() == before
    assert hub.changes == []


def test_a_connection_changes_no_version_and_notifies_nobody(hub: Hub) -> None:
    before = hub.twin()
    hub.registry.set_connected("edge-1", connected=True)
    assert hub.twin() == {**before, "connectionState": "Connected"}
    hub.registry.set_connected("edge-1", connected=False)
    assert hub.twin() == before
    assert hub.changes == []


def test_a_twin_that_is_put_stays_as_it_is(hub: Hub) -> None:
    twin = {"deviceId": "odd", "properties": None, "version": "x"}
    hub.registry.put(twin)
    assert hub.twin("odd") == twin
    assert [change.operation for change in hub.changes] == [Operation.REPLACE_TWIN]


def test_a_twin_can_be_put_without_a_notification(hub: Hub) -> None:
    change = hub.registry.put({"deviceId": "odd"}, notify=False)
    assert (hub.twin("odd"), hub.changes, change.operation) == ({"deviceId": "odd"}, [], Operation.REPLACE_TWIN)


@pytest.mark.parametrize("device_id", [None, "", 7])
def test_a_twin_without_device_id_is_refused(hub: Hub, device_id: object) -> None:
    with pytest.raises(ValueError, match="id of its device"):
        hub.registry.put({"deviceId": device_id})


def test_what_was_read_stays_as_it_was_read(hub: Hub) -> None:
    hub.registry.patch_reported("edge-1", {"a": {"b": 1}})
    before = hub.twin()
    copy = json.dumps(before)
    hub.registry.patch_reported("edge-1", {"a": {"b": 2, "c": 3}})
    hub.registry.apply_desired("edge-1", {"x": 1})
    assert json.dumps(before) == copy


def test_a_change_is_visible_when_it_is_notified() -> None:
    seen = []
    registry = Registry(
        lambda: datetime(2024, 1, 1, tzinfo=UTC), lambda change: seen.append(registry.get(change.device_id))
    )
    registry.create("edge-1")
    registry.patch_reported("edge-1", {"a": 1})
    registry.delete("edge-1")
    assert [twin["version"] if twin else None for twin in seen] == [1, 2, None]


def test_changes_of_an_unknown_device_are_refused(hub: Hub) -> None:
    with pytest.raises(KeyError, match="nobody"):
        hub.registry.patch_reported("nobody", {})
    with pytest.raises(KeyError, match="nobody"):
        hub.registry.apply_desired("nobody", {})
    with pytest.raises(KeyError, match="nobody"):
        hub.registry.delete("nobody")


def test_pages_follow_the_order_of_ids_while_devices_come_and_go(hub: Hub) -> None:
    for name in "ceg":
        hub.registry.create(name)
    hub.registry.delete("edge-1")
    assert [twin["deviceId"] for twin in hub.registry.page(2)] == ["c", "e"]
    hub.registry.delete("e")
    hub.registry.create("f")
    assert [twin["deviceId"] for twin in hub.registry.page(2, after="e")] == ["f", "g"]
    assert hub.registry.page(2, after="g") == []
    assert len(hub.registry) == 3
