"""doctor --end-to-end over the stand-ins: its device gets from the hub to the API, and nothing of it stays."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from azure.data.tables.aio import TableServiceClient
from doctor_chain import KEY

from local.stack import Stack, running_stack
from status_app.commands.doctor import followed_device
from status_app.commands.doctor.end_to_end import end_to_end
from status_app.iothub.doctors_device import PREFIX

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_device, "EVERY", 0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tables: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running_stack(
        tmp_path_factory.mktemp("stack"), tables, lambda: datetime.now(UTC), function_key=KEY
    ) as stack:
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


def device_of(lines: list[str]) -> str:
    """The device that was made."""
    return lines[0].split()[4]


async def what_is_left(stack: Stack, tables: str, device_id: str) -> list[Any]:
    """The device in the hub, and rows that mention it, once the app is done with all events."""
    await stack.drained()
    twin = stack.iot_hub.registry.get(device_id)
    found: list[Any] = [] if twin is None else [twin]
    async with TableServiceClient.from_connection_string(tables) as service:
        for name in ("DeploymentStatus", "DeploymentIndex", "Deployments", "DeadLetter"):
            rows = service.get_table_client(name).list_entities()
            found += [row async for row in rows if device_id in str(dict(row))]
    return found


async def test_a_device_is_followed_from_the_hub_to_the_api_and_nothing_of_it_stays(stack: Stack, tables: str) -> None:
    code, lines = await run(stack)
    assert words(lines) == [
        "creates the edge device DEVICE in localhost, and deletes it again",
        "deployments that may take it meanwhile: none",
        "ok       twin change in the IoT hub: after",
        "ok       row: pending, never_reported: after",
        "ok       index: after",
        "ok       event: after",
        "ok       API: after",
        "removed  DEVICE, and its rows",
    ]
    assert code == 0
    assert await what_is_left(stack, tables, device_of(lines)) == []


async def test_it_lists_deployments_that_may_take_the_device_and_does_nothing_without_a_yes(stack: Stack) -> None:
    content: Any = {"modulesContent": {"$edgeAgent": {}}}
    listed = [
        {"id": "base", "targetCondition": "*", "content": content},
        {"id": "camera", "targetCondition": "tags.site = 'x'", "content": content},
        {"id": "rest", "targetCondition": "NOT tags.site = 'x'", "content": content},
        {"id": "device-settings", "targetCondition": "*", "content": {"deviceContent": {}}},
    ]
    stack.iot_hub.configurations.extend(listed)
    code, lines = await run(stack, yes=False)
    stack.iot_hub.configurations.clear()
    assert code == 1
    assert lines[1] == "deployments that may take it meanwhile: base (*), rest (NOT tags.site = 'x')"
    assert len(lines) == 2
    assert stack.iot_hub.registry.get(device_of(lines)) is None


async def test_a_missing_right_to_write_is_reported_and_leaves_nothing_to_remove(stack: Stack) -> None:
    stack.iot_hub.faults.add("write", 403, 1, code="IotHubUnauthorizedAccess")
    code, lines = await run(stack)
    assert code == 1
    assert lines[2:] == ["WRONG    IoT hub: a new device: answer 403 IotHubUnauthorizedAccess"]


async def test_a_device_that_cannot_be_deleted_is_named_with_the_command_that_deletes_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stack.iot_hub.registry, "delete", refused)
        code, lines = await run(stack)
    device_id = device_of(lines)
    stack.iot_hub.registry.delete(device_id)
    assert code == 1
    assert lines[-2] == f"WRONG    {device_id} is left in the IoT hub: the deletion of the device: answer 500"
    assert lines[-1].strip() == f"az iot hub device-identity delete --hub-name HUB --device-id {device_id}"


def refused(_device_id: str) -> Any:
    raise OSError("the hub fails")


@pytest.mark.parametrize("moment", ["deployments", "event:"])
async def test_after_ctrl_c_the_device_is_still_removed(stack: Stack, tables: str, moment: str) -> None:
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        if moment in line:  # as asyncio.run does at Ctrl-C: while the hub makes the device, or the API is asked
            asyncio.get_running_loop().call_later(0.1 if moment == "deployments" else 0, running.cancel)

    stack.iot_hub.faults.delay("write", 0.3)
    running = asyncio.create_task(end_to_end(environment(stack), show, lambda: True))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert words(lines)[-1] == "removed  DEVICE, and its rows"
    assert await what_is_left(stack, tables, device_of(lines)) == []


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
