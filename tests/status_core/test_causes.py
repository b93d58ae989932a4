"""Devices that fail alike have one cause, whatever differs between them."""

from typing import Any

import pytest
from twins import AGENT, ASKED, GONE, MODULE, STATUS, judged

from status_core import DeploymentStatus, Reason
from status_core.causes import Cause

STATUS_OF = f"{MODULE}.runtimeStatus"
AGGREGATE = "One or more errors occurred."
EARLIER = {"reported.lastDesiredVersion": 11}
IMAGE = "registry.example/m1:1.0"


def failed(description: str, **changes: Any) -> DeploymentStatus:
    return judged({f"{STATUS}.code": 500, f"{STATUS}.description": description, **changes})


@pytest.mark.parametrize(
    ("changes", "device", "module"),
    [
        ({}, None, None),
        ({"desired": {"$version": 12}}, None, None),
        (EARLIER, "waiting_for_device", None),
        ({**EARLIER, "connectionState": "Disconnected"}, "device_disconnected", None),
        ({f"{STATUS}.code": 400}, "config_rejected", None),
        ({f"{STATUS}.code": 406, f"{STATUS}.description": "Agent is not running"}, "agent_stopped", None),
        ({f"{STATUS}.code": 418}, "unknown_code", None),
        ({MODULE: GONE}, f"settling: m1, {IMAGE}", f"settling: m1, {IMAGE}"),
        (
            {STATUS_OF: "failed", f"{MODULE}.exitCode": 139},
            f"exited: m1, {IMAGE}, exit code 139",
            f"exited: m1, {IMAGE}, exit code 139",
        ),
        ({STATUS_OF: "backoff"}, f"backoff: m1, {IMAGE}, exit code 0", f"backoff: m1, {IMAGE}, exit code 0"),
        (
            {f"{ASKED}.status": "stopped", f"{MODULE}.exitCode": 137},
            f"still_running: m1, {IMAGE}",
            f"still_running: m1, {IMAGE}",
        ),
        (
            {STATUS_OF: "stopped", f"{MODULE}.lastStartTimeUtc": "0001-01-01T00:00:00"},
            f"never_started: m1, {IMAGE}",
            f"never_started: m1, {IMAGE}",
        ),
        (
            {f"{STATUS}.code": 400, STATUS_OF: "failed", f"{MODULE}.exitCode": 1},
            "config_rejected",
            f"unmanaged: m1, {IMAGE}, exit code 1",
        ),
        (
            {"desired": {"$version": 12}, STATUS_OF: "failed", f"{MODULE}.exitCode": 1},
            f"unmanaged: m1, {IMAGE}, exit code 1",
            f"unmanaged: m1, {IMAGE}, exit code 1",
        ),
    ],
)
def test_a_cause_is_reason_module_image_and_exit_code(
    changes: dict[str, Any], device: str | None, module: str | None
) -> None:
    status = judged(changes)
    assert (device, module) == tuple(
        None if cause is None else str(cause) for cause in (status.cause, status.modules["m1"].cause)
    )
    assert status.as_json()["cause"] == device


def test_what_nobody_manages_has_the_image_that_ran_and_not_that_of_the_rejected_version() -> None:
    old = "registry.example/m1:0.9"
    changes = {f"{STATUS}.code": 400, STATUS_OF: "backoff", f"{MODULE}.exitCode": 1, f"{MODULE}.settings.image": old}
    assert judged(changes).modules["m1"].cause == Cause(Reason.UNMANAGED, "m1", old, 1)


def test_the_cause_of_a_failed_step_is_that_of_the_module_that_it_names() -> None:
    pull = "Error calling prepare update for module m1: unauthorized"
    old = {f"{MODULE}.settings.image": "registry.example/m1:0.9", f"{MODULE}.exitCode": 137}
    status = failed(f"{AGGREGATE} (Error calling stop module old: no) ({pull})", **old)
    assert status.cause == Cause(Reason.REGISTRY_REFUSED, "m1", IMAGE)
    assert status.cause == status.modules["m1"].cause
    other = {"desired.modules.m2": {"status": "running", "settings": {"image": "m2:1"}}}
    both = failed(f"{AGGREGATE} (Error calling prepare update for module m2: no) ({pull})", **old, **other)
    assert both.cause == status.cause


def test_a_step_that_names_no_module_is_the_cause_of_the_only_one_that_is_outstanding_or_of_the_device() -> None:
    canceled = f"{AGGREGATE} (The operation was canceled.)"
    assert str(failed(canceled, **{MODULE: GONE}).cause) == f"pull_timed_out: m1, {IMAGE}"
    both = {MODULE: GONE, "desired.modules.m2": {"status": "running", "settings": {"image": "m2:1"}}}
    assert str(failed(canceled, **both).cause) == "pull_timed_out"
    assert str(failed(canceled).cause) == "step_timed_out"


def test_a_step_of_a_module_that_the_twin_does_not_hold_names_it_all_the_same() -> None:
    assert str(failed(f"{AGGREGATE} (Error calling stop module old: no)").cause) == "stop_failed: old"


def test_a_wiped_list_has_the_cause_of_the_device() -> None:
    status = failed("A task was canceled.", **{f"{AGENT}.type": "Unknown", "reported.modules": GONE})
    assert str(status.cause) == "runtime_unreachable"
    assert {module.cause for module in status.modules.values()} == {None}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("exec failed in container 8134f1a538930b7e at 10:42:03.5", "exec failed in container 0a1b2c3d at 23:01:59"),
        ("container_linux.go:380: pid 4711 on edge-a", "container_linux.go:380: pid 12 on edge-b"),
        ("id 7f3c0a52-9d1e-4b6f-8a21-0c9d8e7f6a5b: 0x1f", "id 00000000-1111-2222-3333-444444444444: 0xab"),
        ("deadbeefcafe is not running", "abcdefabcdef is not running"),
    ],
)
@pytest.mark.parametrize(
    "step", ["Error calling start module m1: Could not start module m1\n\tcaused by: {}", "Odd: {}"]
)
def test_where_a_reason_gathers_many_causes_the_agents_words_tell_them_apart_without_what_is_each_devices_own(
    step: str, one: str, other: str
) -> None:
    first = failed(f"{AGGREGATE} ({step.format(one)})", **{"deviceId": "edge-a", STATUS_OF: "stopped"})
    second = failed(f"{AGGREGATE} ({step.format(other)})", **{"deviceId": "edge-b", STATUS_OF: "stopped"})
    third = failed(f"{AGGREGATE} ({step.format('Xorg says no')})", **{STATUS_OF: "stopped"})
    assert first.cause == second.cause != third.cause
    assert first.cause is not None
    assert first.cause.words
    assert third.cause is not None
    assert third.cause.words.endswith("Xorg says no")


def test_the_words_of_a_cause_are_short_printable_and_without_secrets() -> None:
    secret = "hunter2-correct-horse"
    text = f'Error calling start module m1: "{secret}"\x1b[2J\n is wrong {"x" * 500}'
    cause = failed(text, **{STATUS_OF: "stopped", f"{MODULE}.env": {"A": {"value": secret}}}).cause
    assert cause is not None
    assert cause.words.startswith("*** [# is wrong xxx")
    assert len(cause.words) <= 160
    assert cause.words.isprintable()


def test_a_cause_fits_into_a_row_whatever_the_names_are() -> None:
    long = {"status": "running", "settings": {"image": "i" * 5000}}
    status = judged({"desired.modules": {"m" * 5000: long}})
    assert status.cause is not None
    assert len(str(status.cause)) < 500


@pytest.mark.parametrize(
    "cause",
    [
        Cause(Reason.WAITING_FOR_DEVICE),
        Cause(Reason.STOP_FAILED, "old"),
        Cause(Reason.BACKOFF, "m1", IMAGE, 139),
        Cause(Reason.BACKOFF, "m1", IMAGE, -1),
        Cause(Reason.PULL_FAILED, "m1, the second", IMAGE),
        Cause(Reason.START_FAILED, "m1", IMAGE, None, "exec failed, in container #: no such file"),
        Cause(Reason.PLAN_FAILED, "", "", None, "odd: exit code #"),
    ],
)
def test_a_cause_is_read_from_its_line(cause: Cause) -> None:
    assert Cause.parse(str(cause)) == cause


@pytest.mark.parametrize("line", ["", ": m1", "a_reason_of_a_later_release: m1, image:1"])
def test_a_line_of_which_this_release_does_not_know_the_reason_is_no_cause(line: str) -> None:
    assert Cause.parse(line) is None
