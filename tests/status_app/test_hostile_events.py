"""Events that are too long, nested too deeply or no JSON: each is a dead letter, and costs its neighbors nothing."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from app_over_azurite import CASES, SECRET, App
from azure.data.tables.aio import TableServiceClient

from local.clock import utc_now
from local.routed_event import RoutedEvent
from local.stack import running_stack
from status_app.ingest.event_batch import IncomingEvent

TWIN = json.loads((CASES / "003_seed_successful.json").read_bytes())["twin"]
PROPERTIES = {
    "iothub-message-schema": "twinChangeNotification",
    "opType": "updateTwin",
    "deviceId": "never-seen",
    "moduleId": "$edgeAgent",
}
PLANTED = f'{{"env": {{"P": {{"value": "{SECRET}"}}}}, "x": '.encode()
"""The beginning of a body with a secret in it."""


def nested(depth: int) -> Any:
    """A list in a list, as deep as that."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def deepest() -> int:
    """The deepest list that can still be read from JSON."""
    least, most = 100, 1_000_000
    while most - least > 1:
        depth = (least + most) // 2
        try:
            json.loads("[" * depth + "]" * depth)
            least = depth
        except RecursionError:
            most = depth
    return least


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (PLANTED + b'"' + b"x" * 8_000_000 + b'"}', "device_not_found"),
        (PLANTED + b'"' + "é\u2028".encode() * 1_000_000, "not_json"),
        (PLANTED + random.Random(1).randbytes(3_000_000), "not_utf8"),  # noqa: S311 (the same each time)
        (PLANTED + b"[" * 1_000_000, "not_json"),
        (PLANTED + b"[" * 5000 + b"]" * 5000 + b"}", "device_not_found"),
        (PLANTED + b'{"a":' * 5000 + b"1" + b"}" * 5001, "device_not_found"),
        (PLANTED + b"1, " + b'"x": 1, ' * 100_000 + b'"x": 2}', "device_not_found"),
        (PLANTED + b"9" * 1_000_000 + b"}", "not_json"),
        (PLANTED + b"[NaN, -Infinity, 1e999]}", "device_not_found"),
        (PLANTED + b'"\\ud800\\u0000\\u001b[2J"}', "device_not_found"),
        (PLANTED + b'"\x1b[2J\r\nforged"}', "not_json"),
        (b"\x00" * 1_000_000, "not_json"),
    ],
    ids=[
        "megabytes", "megabytes of no ASCII", "megabytes of bytes", "nested too deeply", "nested", "objects nested",
        "a key many times", "a million digits", "NaN", "control characters", "raw control characters", "nothing",
    ],
)  # fmt: skip
async def test_a_hostile_body_is_a_dead_letter_without_its_secret(
    app: App, caplog: pytest.LogCaptureFixture, body: bytes, reason: str
) -> None:
    caplog.set_level("DEBUG", logger="status_app")
    good = app.put("good", "003")
    await app.handle(app.event("never-seen", body), app.event(good))
    (letter,) = await app.dead_letters()
    assert letter["Reason"] == reason
    assert (await app.rows(good))["device"]["State"] == "successful"
    assert SECRET not in repr(letter)
    assert_plain(caplog)


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"iothub-message-schema": "x\n\x1b[2J" * 100_000}, "unknown_schema"),
        ({"opType": "\ud800" * 1_000_000}, "unknown_operation"),
        ({"opType": nested(5000)}, "unknown_operation"),
        ({"deviceId": nested(5000)}, "no_device_id"),
        ({"deviceId": float("nan")}, "no_device_id"),
        ({"deviceId": "x" * 1_000_000}, "device_id_too_long"),
        ({"deviceId": "\r\nforged\x1b[2J\ud800"}, "device_not_found"),
        ({"operationTimestamp": "9" * 1_000_000}, "device_not_found"),
        ({"other": "x" * 1_000_000}, "device_not_found"),
        ({"other": nested(5000)}, "device_not_found"),
        ({"other": 10**4000}, "device_not_found"),
        ({"\x00\ud800" * 1000: "\x00\ud800"}, "device_not_found"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_hostile_properties_are_a_dead_letter(
    app: App, caplog: pytest.LogCaptureFixture, properties: Mapping[str, Any], reason: str
) -> None:
    caplog.set_level("DEBUG", logger="status_app")
    good = app.put("good", "003")
    bad = event(app, {**PROPERTIES, **properties})
    await app.handle(bad, app.event(good))
    assert [letter["Reason"] for letter in await app.dead_letters()] == [reason]
    assert (await app.rows(good))["device"]["State"] == "successful"
    assert_plain(caplog)


async def test_properties_that_can_just_be_read_are_kept_or_replaced_by_nested_too_deeply(app: App) -> None:
    depth = deepest()
    events = [event(app, PROPERTIES | {"other": nested(depth - less)}) for less in range(1, 10)]
    await app.handle(*events)
    letters = await app.dead_letters()
    assert len(letters) == len(events)
    assert "nested too deeply" in {letter["Properties"] for letter in letters}


async def test_hostile_system_properties_name_no_device(app: App) -> None:
    values: tuple[Any, ...] = (nested(5000), "x" * 129, float("inf"), {})
    for value in values:
        await app.handle(event(app, {**PROPERTIES, "deviceId": ""}, {"connection-device-id": value}))
    assert {letter["Reason"] for letter in await app.dead_letters()} == {"no_device_id", "device_id_too_long"}


async def test_hostile_events_cost_the_good_ones_between_them_nothing_in_the_whole_app(
    tables: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="status_app")
    async with running_stack(tmp_path, tables, utc_now) as stack:
        stack.iot_hub.registry.put({**TWIN, "deviceId": "first"})
        stack.send(RoutedEvent(PLANTED + b"[" * 500_000, "first", PROPERTIES))
        stack.send(RoutedEvent(b"\xff" * 900_000, "first", PROPERTIES, {"iothub-connection-device-id": "[" * 90_000}))
        stack.send(RoutedEvent(b"{}", "first", {**PROPERTIES, "opType": "\r\n\x1b[2J" * 10_000}))
        stack.iot_hub.registry.put({**TWIN, "deviceId": "last"})
        await stack.drained()
        assert all(outcome.ok for outcome in stack.host.invocations)
    async with TableServiceClient.from_connection_string(tables) as service:
        rows = [row async for row in service.get_table_client("DeploymentStatus").list_entities()]
        letters = [row async for row in service.get_table_client("DeadLetter").list_entities()]
    assert {row["PartitionKey"] for row in rows} >= {"first", "last"}
    assert {letter["Reason"] for letter in letters} >= {"not_json", "not_utf8", "unknown_operation"}
    assert_plain(caplog)


def event(app: App, properties: Mapping[str, Any], system: Mapping[str, Any] | None = None) -> IncomingEvent:
    """The next event, with these properties."""
    app.sequence += 1
    return IncomingEvent(b"{}", properties, system or {}, app.prefix, app.sequence, app.now)


def assert_plain(caplog: pytest.LogCaptureFixture) -> None:
    """Every message of the app is one short line without control characters, and no log quotes the secret."""
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("status_app")]
    assert lines
    for line in lines:
        assert line.isprintable()
        assert len(line) < 2000
    assert SECRET not in caplog.text
