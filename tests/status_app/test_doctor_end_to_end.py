"""doctor --end-to-end over the stand-ins: its device comes from the hub to the API, and nothing of it stays."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from local.stack import Stack, running_stack
from status_app.commands.doctor import end_to_end as module
from status_app.commands.doctor.end_to_end import end_to_end
from status_app.iothub.doctors_device import PREFIX

KEY = "hunter2-function-key"
SHORT = 1.0
"""Seconds until a step that cannot come is given up."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.05)


@pytest.fixture
async def stack(tables: str, tmp_path: Path) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path, tables, lambda: datetime.now(UTC), function_key=KEY) as stack:
        yield stack


def environment(stack: Stack) -> dict[str, str]:
    return dict(stack.settings) | {
        "DEPLOYMENT_STATUS_URL": stack.api.removesuffix("/api"),
        "DEPLOYMENT_STATUS_KEY": KEY,
    }


async def run(stack: Stack, *, yes: bool = True, **options: Any) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = await end_to_end(environment(stack), lines.append, lambda: yes, **options)
    assert "hunter2" not in "".join(lines)
    return code, lines


def words(lines: list[str]) -> list[str]:
    """Lines without ids and times."""
    return [re.sub(rf"{PREFIX}\w+", "DEVICE", re.sub(r"after [\d.]+ s", "after", line)) for line in lines]


async def rows_left(tables: str) -> list[Any]:
    """Rows that speak of a device of doctor's."""
    found: list[Any] = []
    async with TableServiceClient.from_connection_string(tables) as service:
        for name in ("DeploymentStatus", "DeploymentIndex", "Deployments", "DeadLetter"):
            found += [row async for row in service.get_table_client(name).list_entities() if PREFIX in str(dict(row))]
    return found


async def test_a_device_is_followed_from_the_hub_to_the_api_and_nothing_of_it_stays(stack: Stack, tables: str) -> None:
    code, lines = await run(stack)
    assert words(lines) == [
        "makes the edge device DEVICE in localhost, and removes it again",
        "deployments that may take it meanwhile: none",
        "ok       twin change in the IoT hub: after",
        "ok       row: pending, never_reported: after",
        "ok       index: after",
        "ok       event: after",
        "ok       API: after",
        "removed  DEVICE, and its rows",
    ]
    assert code == 0
    assert len(stack.iot_hub.registry) == 0
    await stack.drained()
    assert await rows_left(tables) == []


async def test_it_says_which_deployments_would_take_the_device_and_does_nothing_without_a_yes(stack: Stack) -> None:
    content: Any = {"modulesContent": {"$edgeAgent": {}}}
    stack.iot_hub.configurations.extend(
        [
            {"id": "base", "targetCondition": "*", "content": content},
            {"id": "camera", "targetCondition": "tags.site = 'x'", "content": content},
            {"id": "rest", "targetCondition": "NOT tags.site = 'x'", "content": content},
            {"id": "device-settings", "targetCondition": "*", "content": {"deviceContent": {}}},
        ]
    )
    code, lines = await run(stack, yes=False)
    assert code == 1
    assert lines[1] == "deployments that may take it meanwhile: base (*), rest (NOT tags.site = 'x')"
    assert len(lines) == 2
    assert stack.sent == []


async def test_a_route_that_leads_nowhere_is_the_step_that_does_not_come(tables: str, tmp_path: Path) -> None:
    async with running_stack(tmp_path, tables, lambda: datetime.now(UTC), routes=False, function_key=KEY) as stack:
        code, lines = await run(stack, patience=SHORT)
        assert code == 1
        assert words(lines)[3:] == [
            "WRONG    row: pending, never_reported: not within 1 s",
            "removed  DEVICE, and its rows",
        ]
        assert len(stack.iot_hub.registry) == 0


async def test_without_the_right_to_write_it_says_so_and_leaves_nothing(stack: Stack) -> None:
    stack.iot_hub.faults.add("write", 403, 2, code="IotHubUnauthorizedAccess")
    code, lines = await run(stack)
    assert code == 1
    assert "WRONG    IoT hub: a new device: answer 403 IotHubUnauthorizedAccess" in lines
    assert len(stack.iot_hub.registry) == 0


async def test_a_device_that_cannot_be_deleted_is_named_with_the_command_that_deletes_it(stack: Stack) -> None:
    deletions = stack.iot_hub.registry.delete
    stack.iot_hub.registry.delete = refused  # type: ignore[method-assign, assignment] # a hub that fails at the end
    code, lines = await run(stack)
    stack.iot_hub.registry.delete = deletions  # type: ignore[method-assign] # as above
    assert code == 1
    assert lines[-2].startswith(f"WRONG    {PREFIX}")
    assert lines[-1].strip().startswith("az iot hub device-identity delete --hub-name HUB --device-id " + PREFIX)


def refused(_device_id: str) -> Any:
    raise OSError("the hub fails")


async def test_after_ctrl_c_the_device_is_removed_all_the_same(stack: Stack, tables: str) -> None:
    lines: list[str] = []
    row_came = asyncio.Event()

    def tell(line: str) -> None:
        lines.append(line)
        if "row:" in line:
            row_came.set()

    running = asyncio.create_task(end_to_end(environment(stack), tell, lambda: True))
    await row_came.wait()
    running.cancel()  # as asyncio.run does at Ctrl-C
    with pytest.raises(asyncio.CancelledError):
        await running
    assert words(lines)[-1] == "removed  DEVICE, and its rows"
    assert len(stack.iot_hub.registry) == 0
    await stack.drained()
    assert await rows_left(tables) == []


async def test_a_device_of_doctors_counts_for_no_deployment(stack: Stack, tables: str) -> None:
    device_id = f"{PREFIX}1"
    stack.iot_hub.registry.create(device_id)
    stack.iot_hub.registry.set_configurations(device_id, {"base": {"status": "Applied"}})
    stack.iot_hub.registry.apply_desired(device_id, {"modules": {}, "schemaVersion": "1.1"}, "base")
    await stack.drained()
    await stack.host.run_timer("flag_stuck")
    async with TableServiceClient.from_connection_string(tables) as service:
        rows = [row["RowKey"] async for row in service.get_table_client("DeploymentIndex").list_entities()]
    assert [row for row in rows if "base" in row] == []
    assert [row for row in rows if row.startswith("state|pending|")]
    stack.iot_hub.registry.delete(device_id)
    await stack.drained()
