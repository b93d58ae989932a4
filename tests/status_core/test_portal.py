"""What IoT Hub's own counters say of a device: they look at no module and no image."""

from typing import Any

import pytest
from twins import GONE, MODULE, STATUS, judged

from status_core import Portal


@pytest.mark.parametrize(
    ("changes", "counter"),
    [
        ({}, Portal.SUCCESSFUL),
        ({MODULE: GONE}, Portal.SUCCESSFUL),
        ({f"{STATUS}.code": 406}, Portal.FAILED),
        ({f"{STATUS}.code": 500}, Portal.FAILED),
        ({f"{STATUS}.code": 418}, Portal.FAILED),
        ({f"{STATUS}.code": "200"}, Portal.FAILED),
        ({f"{STATUS}.code": GONE}, Portal.APPLIED),
        ({STATUS: GONE}, Portal.APPLIED),
        ({"reported.lastDesiredVersion": 11}, Portal.APPLIED),
        ({"reported.lastDesiredVersion": 11, f"{STATUS}.code": 400}, Portal.APPLIED),
        ({"reported.lastDesiredVersion": GONE, "desired.$version": GONE}, Portal.APPLIED),
    ],
)
def test_the_furthest_counter_that_counts_an_applied_device(changes: dict[str, Any], counter: Portal) -> None:
    assert counter is judged(changes).portal


@pytest.mark.parametrize("configurations", [GONE, {}, {"a": {"status": "Targeted"}}])
def test_no_counter_counts_a_device_to_which_nothing_is_applied(configurations: Any) -> None:
    assert judged({"configurations": configurations}).portal is None
