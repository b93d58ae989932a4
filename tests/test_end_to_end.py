"""The app itself: AMQP, the worker library, azure-iot-hub over HTTPS, and Azurite."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from local.__main__ import main
from local.replay import replay
from local.stack import Stack, running_stack
from status_app.storage.keys import escape

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


async def test_a_hundred_twin_changes_become_rows_though_reads_fail_and_the_same_again_reads_and_writes_nothing(
    stack: Stack, tables: str
) -> None:
    stamp = f"{datetime.now(UTC):%H%M%S%f}"
    odd = {
        **CASES[2]["twin"],
        "deviceId": f"{stamp}-odd",
        "tags": 5,
        "configurations": "x",
        "properties": {"desired": [1]},
    }
    expected = {odd["deviceId"]: "no_deployment"}
    stack.iot_hub.faults.add("read", 429)
    stack.iot_hub.faults.add("read", 503)
    stack.iot_hub.faults.cut("read")
    stack.iot_hub.registry.put(odd)
    for number in range(COUNT - 1):
        case = CASES[number % len(CASES)]
        device = f"{stamp}-{number}"
        stack.iot_hub.registry.put(case["twin"] | {"deviceId": device})
        expected[device] = case["expected"]["state"]
    assert {"on_twin_changes", "flag_stuck", "resync"} <= set(stack.host.functions)
    await stack.drained()
    before = {device: await rows_of(tables, device) for device in expected}
    assert expected == {device: rows["device"]["State"] for device, rows in before.items()}
    assert all(outcome.ok for outcome in stack.host.invocations)
    assert stack.iot_hub.reads.keys() == expected.keys()

    reads = stack.iot_hub.reads.total()
    for event in list(stack.sent):
        stack.send(event)
    await stack.drained()
    after = {device: await rows_of(tables, device) for device in expected}
    etags = [
        {(device, key): row.metadata["etag"] for device, rows in found.items() for key, row in rows.items()}
        for found in (before, after)
    ]
    assert etags[0] == etags[1]
    assert stack.iot_hub.reads.total() == reads


def test_two_replays_of_a_scenario_at_the_same_time_come_to_the_same(tmp_path: Path) -> None:
    twin = CASES[2]["twin"]
    steps: list[dict[str, Any]] = [
        {"at": "2024-05-02T09:05:00Z", "twin": twin, "repeat": 3},
        {"at": "2024-05-02T09:06:00Z", "twin": twin | {"deviceId": "lost"}, "notify": False},
        {"at": "2024-05-02T09:07:00Z", "twin": twin | {"deviceId": "hint"}, "body": {}},
        {"at": "2024-05-02T09:08:00Z", "raw": "garbage", "properties": {"opType": "updateTwin"}},
        {"at": "2024-05-02T09:09:00Z", "delete": "hint"},
        {"at": "2024-05-02T09:10:00Z", "fault": {"service": "iothub", "op": "query", "status": 503, "count": 100}},
        {"at": "2024-05-02T09:11:00Z", "run": "resync"},
    ]
    file = tmp_path / "scenario.jsonl"
    file.write_text("\n".join(json.dumps(step) for step in steps), encoding="utf-8-sig")
    command = [sys.executable, "-m", "local", "replay", str(file)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 (a fixed command)
        for _ in range(2)
    ]
    results = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [error for _, error in results if "resync failed in attempt 1" not in error] == []
    found, other = (json.loads(output) for output, _ in results)
    assert found == other
    states = {row["PartitionKey"]: row["State"] for row in found["rows"] if row["RowKey"] == "device"}
    assert states == {"edge-device-01": "successful"}
    kinds = [row["Kind"] for row in found["rows"] if row["PartitionKey"] == "hint"]
    assert sorted(kinds) == ["deleted", "device"]
    assert [row["Reason"] for row in found["deadLetters"]] == ["not_json"]
    events = [(event["data"]["deviceId"], event["sequence"].lstrip("0")) for event in found["events"]]
    assert events == [("edge-device-01", "1"), ("hint", "1"), ("hint", "2")]


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b'\n{"at": "noon", "twin": {}}', 2, "line 2: `at` takes an ISO 8601 time"),
        (b'{"at": "2024-05-02T09:05:00Z", "delete": "\xff"}', 2, "not UTF-8"),
        (
            b'\n{"at": "2024-05-02T09:05:00Z", "run": "resync"}',
            1,
            "line 2: the app is not done with it after 0 seconds",
        ),
    ],
)
def test_what_is_no_scenario_and_what_does_not_end_is_reported(  # noqa: PLR0913, PLR0917 (fixtures)
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    code: int,
    message: str,
) -> None:
    file = tmp_path / "scenario.jsonl"
    file.write_bytes(content)
    monkeypatch.setattr("sys.argv", ["local", "replay", str(file)])
    monkeypatch.setattr("local.replay.replay", partial(replay, patience=0))
    assert main() == code
    assert capsys.readouterr() == ("", f"{file}: {message}\n")
