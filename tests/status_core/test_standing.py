"""How far a device is in one of its deployments."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from device import COUNT, RUNS, Device, after, followed
from twins import DESIRED_AT, GONE, STATUS

from status_core import Listing, Listings, Standing, standing

DEPLOYMENT = "at-scale1"
SECOND: dict[str, Any] = {"type": "docker", "status": "running", "settings": {"image": "m2:1"}}
REJECTED = {f"{STATUS}.code": 400, f"{STATUS}.description": "x"}


def placed(
    device: Device, seconds: float, listings: Listings | None = None, deployment: str = DEPLOYMENT
) -> tuple[Standing, datetime | None]:
    return standing(device.kept, deployment, listings or {}, after(seconds))


def new_version(seconds: float, version: int = 13, **images: str) -> tuple[float, dict[str, Any]]:
    """Version 13, or a later one, taken at once, with other images for modules."""
    wanted = {f"desired.modules.{name}.settings.image": image for name, image in images.items()}
    stamp = {"desired.$metadata.$lastUpdated": after(seconds).isoformat()}
    return seconds, {"desired.$version": version, "reported.lastDesiredVersion": version, **stamp, **wanted}


def test_a_device_whose_clocks_are_off_is_successful() -> None:
    assert placed(followed(), 1) == (Standing.SUCCESSFUL, None)


def test_one_that_is_as_desired_settles_until_its_clocks_have_ended() -> None:
    device = followed((100, {RUNS: "backoff", COUNT: 1}), (110, {RUNS: "running"}), (700, None))
    assert placed(device, 700) == (Standing.SETTLING, None)
    device.look(710)
    assert placed(device, 710) == (Standing.SUCCESSFUL, None)


def test_one_that_is_not_as_desired_is_underway_until_it_is_stuck() -> None:
    device = followed((100, {RUNS: "backoff"}), (990, None))
    assert placed(device, 990) == (Standing.UNDERWAY, None)
    device.look(1000)
    assert placed(device, 1000) == (Standing.FAILING, None)


def test_one_that_came_back_while_stuck_settles_and_fails_again_where_it_leaves_again() -> None:
    device = followed((100, {RUNS: "backoff"}), (1000, None), (1010, {RUNS: "running"}))
    assert placed(device, 1010) == (Standing.SETTLING, None)
    device.look(1020, {RUNS: "backoff"})
    assert placed(device, 1020) == (Standing.FAILING, None)


def test_one_whose_manifest_is_rejected_fails_at_once() -> None:
    assert placed(followed((100, REJECTED)), 100) == (Standing.FAILING, None)


def test_a_pending_device_is_underway_and_fails_once_it_is_stuck() -> None:
    device = followed((100, {"desired.$version": 13}))
    assert placed(device, 100) == (Standing.UNDERWAY, None)
    device.look(1000)
    assert placed(device, 1000) == (Standing.FAILING, None)


def test_a_report_that_lags_after_success_changes_nothing() -> None:
    device = followed()
    device.look(100, {RUNS: "backoff"}, lags=True)
    assert device.kept.verdict.state == "module_failed"
    assert placed(device, 100) == (Standing.SUCCESSFUL, None)
    device.look(160)
    assert placed(device, 160) == (Standing.UNDERWAY, None)


def test_a_first_report_that_lags_is_no_success() -> None:
    device = Device()
    device.look(0, {RUNS: "backoff"}, lags=True)
    assert placed(device, 0) == (Standing.UNDERWAY, None)


def test_a_report_that_lags_after_anything_else_is_no_success() -> None:
    device = followed()
    device.look(100, {RUNS: "backoff"}, lags=True)
    device.record = replace(device.kept, news=replace(device.kept.news, state="no_deployment"))
    assert placed(device, 100) == (Standing.UNDERWAY, None)


def test_a_module_that_is_not_desired_holds_nothing_back() -> None:
    device = followed(
        (100, {"reported.modules.m9": {"runtimeStatus": "running", "settings": {"image": "m9"}}}), (5000, None)
    )
    assert device.module("m9").clock.is_stuck
    assert placed(device, 5000) == (Standing.SUCCESSFUL, None)


STUCK_BEFORE = (
    (100.0, {"desired.modules.m2": SECOND, "reported.modules.m2": {**SECOND, "runtimeStatus": "running"}}),
    (200.0, {"reported.modules.m2.runtimeStatus": "backoff"}),
    (2000.0, None),
)


def test_what_was_stuck_before_the_version_counts_once_its_grace_from_the_version_is_over() -> None:
    device = followed(*STUCK_BEFORE)
    other = {"configurations": {"v13": {"status": "Applied"}}}
    seconds, changes = new_version(3000, m1="registry.example/m1:1.0")
    device.look(seconds, changes | other)
    assert device.module("m2").clock.is_stuck
    assert device.kept.credited == (after(3000),)
    assert placed(device, 3000, deployment="v13") == (Standing.UNDERWAY, after(3900))
    assert placed(device, 3900, deployment="v13") == (Standing.FAILING, None)


@pytest.mark.parametrize("version_at", [3000, 3400])
def test_what_gets_stuck_under_the_version_counts_at_once(version_at: float) -> None:
    seconds, changes = new_version(version_at)
    other = {"configurations": {"v13": {"status": "Applied"}}}
    device = followed((2500, {RUNS: "backoff"}), (seconds, changes | other), (3400, None))
    assert device.module().clock.stuck_since == after(3400)
    assert placed(device, 3400, deployment="v13") == (Standing.FAILING, None)


def test_a_deployment_that_stays_credited_under_another_version_keeps_its_failure() -> None:
    device = followed(*STUCK_BEFORE)
    both = {"configurations": {DEPLOYMENT: {"status": "Applied"}, "v13": {"status": "Applied"}}}
    seconds, changes = new_version(3000)
    device.look(seconds, changes | both)
    assert device.kept.credited == (DESIRED_AT, after(3000))
    assert placed(device, 3000) == (Standing.FAILING, None)
    assert placed(device, 3000, deployment="v13")[0] is Standing.UNDERWAY


def test_what_was_stuck_before_it_was_created_again_counts_from_then_on() -> None:
    device = followed(*STUCK_BEFORE)
    seconds, changes = new_version(3000)
    device.look(seconds, changes)
    listings = {DEPLOYMENT: Listing(created=after(2990))}
    assert placed(device, 3000, listings) == (Standing.UNDERWAY, after(3890))


def test_a_row_of_a_release_before_counts_what_is_stuck_at_once() -> None:
    device = followed(*STUCK_BEFORE)
    device.record = replace(device.kept, credited=())
    assert device.kept.credited_since(DEPLOYMENT) is None
    assert placed(device, 2000) == (Standing.FAILING, None)


BASE = Listing(
    created=DESIRED_AT,
    priority=1,
    modules={"$edgeAgent": ("registry.example/agent:1.5", None), "$edgeHub": ("registry.example/hub:1.5", "running")},
)
LAYER = Listing(created=DESIRED_AT, priority=2, modules={"m1": ("registry.example/m1:1.0", "running")})


def test_a_layer_counts_its_own_modules_and_a_base_the_system_modules() -> None:
    listings = {"base": BASE, "layer": LAYER}
    both = {"configurations": {name: {"status": "Applied"} for name in listings}}
    device = followed((10, both), (100, {RUNS: "backoff"}), (1000, None))
    assert placed(device, 1000, listings, "layer")[0] is Standing.FAILING
    assert placed(device, 1000, listings, "base")[0] is Standing.UNDERWAY
    assert placed(device, 1000, {}, "base")[0] is Standing.FAILING
    device.look(1010, {RUNS: "running"})
    device.look(1620, None)
    assert placed(device, 1620, listings, "layer")[0] is Standing.SUCCESSFUL


def created_again(*, created: float = 50, priority: int | None = 2, **modules: str) -> Listing:
    wanted = {name.replace("_", "$"): (image, "running") for name, image in modules.items()}
    return Listing(created=after(created), priority=priority, modules=wanted)


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (created_again(m1="registry.example/m1:1.0"), Standing.SUCCESSFUL),
        (created_again(m1="registry.example/m1:2.0"), Standing.WAITING),
        (created_again(m3="registry.example/m1:1.0"), Standing.WAITING),
        (created_again(_edgeAgent="registry.example/agent:1.5"), Standing.SUCCESSFUL),
        (created_again(_edgeAgent="registry.example/agent:1.6"), Standing.WAITING),
        (created_again(), Standing.SUCCESSFUL),
        (Listing(created=after(50)), Standing.WAITING),
        (Listing(created=DESIRED_AT), Standing.SUCCESSFUL),
        (Listing(), Standing.SUCCESSFUL),
    ],
)
def test_a_device_waits_until_it_has_what_one_that_was_created_again_asks_for(
    listing: Listing, expected: Standing
) -> None:
    assert placed(followed(), 100, {DEPLOYMENT: listing})[0] is expected


def test_a_change_after_the_creation_brings_the_version_whatever_the_images_are() -> None:
    seconds, changes = new_version(60)
    device = followed((seconds, changes))
    assert placed(device, 60, {DEPLOYMENT: created_again(m1="registry.example/m1:2.0")})[0] is Standing.SUCCESSFUL


def test_a_twin_that_does_not_say_when_it_was_desired_goes_by_its_images() -> None:
    device = followed((10, {"desired.$metadata": GONE}))
    assert placed(device, 100, {DEPLOYMENT: created_again(m1="registry.example/m1:1.0")})[0] is Standing.SUCCESSFUL
    assert placed(device, 100, {DEPLOYMENT: created_again(m1="registry.example/m1:2.0")})[0] is Standing.WAITING


@pytest.mark.parametrize(
    ("higher", "expected"),
    [
        (created_again(priority=3, m1="registry.example/m1:1.0"), Standing.SUCCESSFUL),
        (created_again(priority=2, created=55, m1="registry.example/m1:1.0"), Standing.SUCCESSFUL),
        (Listing(priority=2, modules={"m1": (None, None)}), Standing.WAITING),
        (created_again(priority=1, m1="registry.example/m1:1.0"), Standing.WAITING),
        (created_again(priority=None, m1="registry.example/m1:1.0"), Standing.WAITING),
        (created_again(priority=3, m4="x"), Standing.WAITING),
        (Listing(priority=3), Standing.WAITING),
    ],
)
def test_a_module_that_a_deployment_of_higher_priority_names_too_is_not_waited_for(
    higher: Listing, expected: Standing
) -> None:
    both = {"configurations": {name: {"status": "Applied"} for name in (DEPLOYMENT, "higher")}}
    listings = {DEPLOYMENT: created_again(m1="registry.example/m1:2.0"), "higher": higher}
    assert placed(followed((10, both)), 100, listings)[0] is expected


def test_no_priority_is_the_lowest_and_an_applied_deployment_that_the_hub_does_not_list_overrides_nothing() -> None:
    both = {"configurations": {name: {"status": "Applied"} for name in (DEPLOYMENT, "other")}}
    listed = {DEPLOYMENT: created_again(priority=1, m1="registry.example/m1:2.0")}
    later = created_again(priority=None, created=55, m1="registry.example/m1:1.0")
    assert placed(followed((10, both)), 100, listed)[0] is Standing.WAITING
    assert placed(followed((10, both)), 100, {**listed, "other": later})[0] is Standing.WAITING


def test_a_deployment_that_is_not_applied_overrides_nothing() -> None:
    listings = {DEPLOYMENT: created_again(m1="registry.example/m1:2.0"), "other": created_again(priority=9, m1="x")}
    assert placed(followed(), 100, listings)[0] is Standing.WAITING
