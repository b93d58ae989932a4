"""What is read of the hub's own list of deployments."""

from datetime import UTC, datetime
from typing import Any

import pytest

from status_core import Listing, read_listings

CREATED = "2026-01-05T08:55:00Z"
SETTINGS = {"image": "r/m1:1", "createOptions": "{}"}
M1 = {
    "type": "docker",
    "status": "Running",
    "restartPolicy": "always",
    "settings": SETTINGS,
    "env": {"K": {"value": "s"}},
}
BASE = {
    "properties.desired": {
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": {"image": "agent:1"}},
            "edgeHub": {"type": "docker", "status": "running", "settings": {"image": "hub:1"}},
        },
        "modules": {"m1": M1},
    }
}


def item(content: Any, **others: Any) -> dict[str, Any]:
    return {"id": "d", "createdTimeUtc": CREATED, "content": content, **others}


def agent(content: Any) -> dict[str, Any]:
    return item({"modulesContent": {"$edgeAgent": content}})


def read(*items: Any) -> Listing:
    return read_listings(items)["d"]


def test_a_base_names_its_modules_and_the_system_modules() -> None:
    assert read(agent(BASE)).modules == {
        "$edgeAgent": ("agent:1", None),
        "$edgeHub": ("hub:1", "running"),
        "m1": ("r/m1:1", "running"),
    }


def test_a_module_that_a_layer_gives_no_image_is_named_without_one() -> None:
    assert read(agent({"properties.desired.modules.m1": {"status": "running"}})).modules == {"m1": (None, "running")}


def test_a_layer_names_a_module_with_each_of_its_keys() -> None:
    layer = {"properties.desired.modules.m.1": M1, "properties.desired.systemModules.edgeHub": M1, "other": M1}
    assert read(agent(layer)).modules == {"m.1": ("r/m1:1", "running"), "$edgeHub": ("r/m1:1", "running")}


def test_a_layer_of_routes_alone_names_no_module() -> None:
    assert read(item({"modulesContent": {"$edgeHub": {"properties.desired.routes.r": "FROM x"}}})).modules == {}


@pytest.mark.parametrize("content", [None, "x", [], {}, 7, {"modulesContent": "x"}, {"modulesContent": []}])
def test_nobody_knows_what_a_content_names_that_cannot_be_read(content: Any) -> None:
    listing = read(item(content))
    assert listing.modules is None
    assert listing.names("anything")


def test_a_configuration_of_devices_is_no_deployment() -> None:
    assert read_listings([item({"deviceContent": {"properties.desired.x": 1}})]) == {}


@pytest.mark.parametrize("wrong", [None, "x", 7, [], {}, {"id": ""}, {"id": 7}, {"id": None, "content": {}}])
def test_what_is_no_deployment_costs_only_itself(wrong: Any) -> None:
    assert list(read_listings([wrong, agent(BASE)])) == ["d"]


def test_of_two_under_one_id_the_one_that_was_created_later_counts() -> None:
    late, early = item({}), item({}, createdTimeUtc="2026-01-01T00:00:00Z", priority=9)
    none = item({}, createdTimeUtc=None)
    for items in ([late, early], [early, late], [none, late], [late, none]):
        assert read(*items).created == datetime(2026, 1, 5, 8, 55, tzinfo=UTC)
    assert read(late, item({}, priority=9)).priority is None


def test_the_hubs_counts_and_labels_are_kept_and_values_of_another_kind_are_not() -> None:
    results = {"targetedCount": 9, "appliedCount": 8, "reportedSuccessfulCount": 7, "reportedFailedCount": 6}
    full = item(
        {},
        priority=5,
        targetCondition="tags.site='a'",
        labels={"team": "a", "n": 1},
        systemMetrics={"results": results},
    )
    created = datetime(2026, 1, 5, 8, 55, tzinfo=UTC)
    assert read(full) == Listing(created, 5, None, "tags.site='a'", {"team": "a"}, 9, 8, 7, 6)
    wrong = item({}, priority="5", targetCondition=7, labels=[], systemMetrics={"results": {"targetedCount": "9"}})
    assert read(wrong) == Listing(created, labels={})
