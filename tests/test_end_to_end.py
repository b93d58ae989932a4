"""The app itself: AMQP, the worker library, azure-iot-hub over HTTPS, and Azurite."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from local.stack import Stack, running_stack
from status_app.tables.keys import escape

ROOT = Path(__file__).parents[1]
CASES = [json.loads(path.read_bytes()) for path in sorted((ROOT / "tests/cases").glob("*.json"))]
COUNT = 100


@pytest.fixture
async def stack(tmp_path: Path, tables: str) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path, tables, lambda: datetime.now(UTC)) as stack:
        yield stack


async def rows_of(tables: str, device: str) -> dict[str, Any]:
    async with TableServiceClient.from_connection_string(tables) as service:
        table = service.get_table_client("DeploymentStatus")
        query = table.query_entities(f"PartitionKey eq '{escape(device)}'")
        return {row["RowKey"]: row async for row in query}


async def test_a_hundred_twin_changes_become_rows_and_the_same_batch_again_reads_and_writes_nothing(
    stack: Stack, tables: str
) -> None:
    stamp = f"{datetime.now(UTC):%H%M%S%f}"
    expected = {}
    for number in range(COUNT):
        case = CASES[number % len(CASES)]
        device = f"{stamp}-{number}"
        stack.iot_hub.registry.put(case["twin"] | {"deviceId": device})
        expected[device] = case["expected"]["state"]
    assert set(stack.host.functions) == {"on_twin_changes"}
    await stack.host.drained()
    before = {device: await rows_of(tables, device) for device in expected}
    assert expected == {device: rows["device"]["State"] for device, rows in before.items()}
    assert all(outcome.ok for outcome in stack.host.invocations)
    assert stack.iot_hub.reads.keys() == expected.keys()

    reads = stack.iot_hub.reads.total()
    for event in list(stack.sent):
        stack.send(event)
    await stack.host.drained()
    after = {device: await rows_of(tables, device) for device in expected}
    etags = [
        {(device, key): row.metadata["etag"] for device, rows in found.items() for key, row in rows.items()}
        for found in (before, after)
    ]
    assert etags[0] == etags[1]
    assert stack.iot_hub.reads.total() == reads


async def test_a_throttled_hub_and_one_that_drops_the_connection_are_asked_again(stack: Stack, tables: str) -> None:
    device = f"busy-{datetime.now(UTC):%H%M%S%f}"
    stack.iot_hub.faults.add("read", 429, 1)
    stack.iot_hub.faults.add("read", 503, 1)
    stack.iot_hub.registry.put(CASES[2]["twin"] | {"deviceId": device})
    await stack.host.drained()
    assert (await rows_of(tables, device))["device"]["State"] == "successful"


async def test_a_twin_with_wrong_types_gets_a_state(stack: Stack, tables: str) -> None:
    device = f"odd-{datetime.now(UTC):%H%M%S%f}"
    twin = CASES[2]["twin"] | {"deviceId": device, "tags": 5, "configurations": "x"}
    twin["properties"] = twin["properties"] | {"desired": [1]}
    stack.iot_hub.registry.put(twin)
    await stack.host.drained()
    assert (await rows_of(tables, device))["device"]["State"] == "no_deployment"


def test_a_scenario_is_replayed_through_the_real_app(tmp_path: Path) -> None:
    twin = CASES[2]["twin"]
    steps: list[dict[str, Any]] = [
        {"at": "2024-05-02T09:05:00Z", "twin": twin, "repeat": 3},
        {"at": "2024-05-02T09:06:00Z", "twin": twin | {"deviceId": "lost"}, "notify": False},
        {"at": "2024-05-02T09:07:00Z", "twin": twin | {"deviceId": "hint"}, "body": {}},
        {"at": "2024-05-02T09:08:00Z", "raw": "garbage", "properties": {"opType": "updateTwin"}},
        {"at": "2024-05-02T09:09:00Z", "delete": "hint"},
    ]
    file = tmp_path / "scenario.jsonl"
    file.write_text("\n".join(json.dumps(step) for step in steps))
    command = [sys.executable, "-m", "local", "replay", str(file)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    found = json.loads(result.stdout)
    states = {row["PartitionKey"]: row["State"] for row in found["rows"] if row["RowKey"] == "device"}
    assert states == {"edge-device-01": "successful"}
    kinds = [row["Kind"] for row in found["rows"] if row["PartitionKey"] == "hint"]
    assert sorted(kinds) == ["deleted", "device", "module", "module"]
    assert [row["Reason"] for row in found["deadLetters"]] == ["not_json"]


def test_a_step_that_is_none_is_told_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "scenario.jsonl"
    file.write_text('\n{"at": "noon", "twin": {}}')
    command = [sys.executable, "-m", "local", "replay", str(file)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (a fixed command)
    assert result.returncode == 2
    assert "line 2: `at` takes an ISO 8601 time" in result.stderr
