"""A fleet under one clock, to which a hub rolls out deployments."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.fleet import Fleet, Trouble, mixed_fleet, release
from local.iothub import Change, Registry

NOW = datetime(2024, 5, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Hub:
    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.registry = Registry(lambda: NOW, self.changes.append)

    def twin(self, device_id: str) -> Any:
        return self.registry.get(device_id)


@pytest.fixture
def hub() -> Hub:
    return Hub()


def rolled_out(hub: Hub, size: int = 12) -> tuple[Fleet, dict[str, Trouble]]:
    """A mixed fleet, ten minutes after release 2."""
    fleet, troubles = mixed_fleet(hub.registry, size, NOW)
    fleet.deploy("release-1", release(1), troubles, NOW)
    fleet.step(NOW + 2 * MINUTE)
    fleet.deploy("release-2", release(2), troubles, NOW + 2 * MINUTE)
    fleet.step(NOW + 12 * MINUTE)
    return fleet, troubles


def test_a_deployment_is_applied_and_those_before_it_are_targeted(hub: Hub) -> None:
    fleet = Fleet(hub.registry)
    fleet.add("edge-1")
    fleet.deploy("release-1", release(1), ["edge-1"], NOW)
    fleet.deploy("release-2", release(2), ["edge-1"], NOW)
    twin = hub.twin("edge-1")
    assert twin["configurations"] == {"release-1": {"status": "Targeted"}, "release-2": {"status": "Applied"}}
    assert twin["properties"]["desired"]["$version"] == 3
    assert twin["properties"]["desired"]["$metadata"]["modules"]["$lastUpdatedBy"] == "release-2"


def test_a_device_that_the_hub_has_is_taken_as_it_is(hub: Hub) -> None:
    hub.registry.create("edge-1")
    Fleet(hub.registry).add("edge-1")
    assert len(hub.changes) == 1


def test_the_changes_of_a_fleet_come_in_the_order_of_their_times(hub: Hub) -> None:
    rolled_out(hub)
    times = [change.at for change in hub.changes]
    assert times == sorted(times)


def test_the_same_seed_gives_the_same_reports() -> None:
    one, other = Hub(), Hub()
    rolled_out(one)
    rolled_out(other)
    assert one.changes == other.changes


def test_devices_can_be_stopped_and_started(hub: Hub) -> None:
    fleet = Fleet(hub.registry)
    for device_id in ("cut", "stopped"):
        fleet.add(device_id)
        fleet.start(device_id, NOW)
    fleet.deploy("release-1", release(1), ["cut", "stopped"], NOW)
    fleet.step(NOW + MINUTE)
    fleet.power_off("cut", NOW + MINUTE)
    fleet.shut_down("stopped", NOW + MINUTE)
    fleet.step(NOW + 9 * MINUTE)
    codes = [hub.twin(name)["properties"]["reported"]["lastDesiredStatus"]["code"] for name in ("cut", "stopped")]
    assert codes == [200, 406]
    fleet.start("stopped", NOW + 9 * MINUTE)
    fleet.step(NOW + 10 * MINUTE)
    assert hub.twin("stopped")["properties"]["reported"]["lastDesiredStatus"]["code"] == 200


@pytest.mark.parametrize("size", [0, 1, 6, 7, 100])
def test_a_mixed_fleet_has_every_trouble_as_long_as_there_are_devices(hub: Hub, size: int) -> None:
    _, troubles = mixed_fleet(hub.registry, size, NOW)
    found = Counter(troubles.values())
    assert found.total() == size == len(hub.registry)
    assert len(set(found) - {Trouble.NONE}) == min(size, 6)
    assert size < 100 or found[Trouble.NONE] > 70


@pytest.mark.parametrize(
    ("trouble", "code", "version", "vision"),
    [
        (Trouble.NONE, 200, 3, ("running", "2.0")),
        (Trouble.CRASHING_MODULE, 200, 3, ("backoff", "2.0")),
        (Trouble.SLOW_PULL, 200, 3, ("running", "2.0")),
        (Trouble.HANGING_PULL, 500, 3, ("running", "1.0")),
        (Trouble.REFUSED_PULL, 500, 3, ("running", "1.0")),
        (Trouble.OLD_AGENT, 412, 2, ("running", "1.0")),
    ],
)
def test_each_trouble_of_a_mixed_fleet_shows_in_the_twin(
    hub: Hub, trouble: Trouble, code: int, version: int, vision: tuple[str, str]
) -> None:
    _, troubles = rolled_out(hub)
    device_id = next(device_id for device_id, its in troubles.items() if its is trouble)
    reported = hub.twin(device_id)["properties"]["reported"]
    assert (reported["lastDesiredStatus"]["code"], reported["lastDesiredVersion"]) == (code, version)
    entry = reported["modules"]["vision"]
    assert (entry["runtimeStatus"], entry["settings"]["image"].rpartition(":")[2]) == vision


def test_a_device_that_is_off_has_its_deployment_and_reports_nothing(hub: Hub) -> None:
    _, troubles = rolled_out(hub)
    device_id = next(device_id for device_id, its in troubles.items() if its is Trouble.OFF)
    properties = hub.twin(device_id)["properties"]
    assert (properties["desired"]["$version"], properties["reported"]["$version"]) == (3, 1)
