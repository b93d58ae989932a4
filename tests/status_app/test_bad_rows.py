"""A row that a person edited, a crash cut off or a newer release wrote costs only itself, and no other row."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import App, forget, fresh_app, writers_are_dead
from asking import ask, listed, pages
from azure.data.tables import UpdateMode

from status_app.fleet_index.rows import shard_of
from status_app.http import routes
from status_app.reconcile.twin_changes import MAX_RETRIES, BatchError
from status_app.storage.keys import TRANSITION, escape

MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE
NEWER = "2026-01-05T08:00:00+00:00"


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables) as app:
        yield app
        await app.empty()  # rows that are broken by hand keep no promise


async def show(app: App, name: str, case: str, *deployments: str) -> str:
    """A device that the app has read, with deployments applied."""
    device = app.put(name, case, configurations={name: {"status": "Applied"} for name in deployments})
    await app.handle(app.event(device))
    return device


async def edit(app: App, device: str, row_key: str, **columns: Any) -> None:
    """Change a row of a device by hand."""
    row = {"PartitionKey": escape(device), "RowKey": row_key, **columns}
    await app.client.get_table_client("DeploymentStatus").update_entity(row, UpdateMode.MERGE)


async def edit_deployment(app: App, deployment: str, **columns: Any) -> None:
    """Change the row of a deployment by hand."""
    row = {"PartitionKey": "deployments", "RowKey": f"deployment|{deployment}", **columns}
    await app.client.get_table_client("Deployments").update_entity(row, UpdateMode.MERGE)


async def four_devices(app: App) -> list[str]:
    return [await show(app, f"{number}", "048", "camera-2") for number in range(4)]


async def edit_index(app: App, key: str, **columns: Any) -> None:
    """Change a row of the index by hand."""
    index = app.client.get_table_client("DeploymentIndex")
    (row,) = [row async for row in index.query_entities(f"RowKey eq '{key}'")]
    await index.update_entity({**row, **columns}, UpdateMode.REPLACE)


async def add_to_index(app: App, shard: str, key: str, **columns: Any) -> None:
    row = {"PartitionKey": shard, "RowKey": key, **columns}
    await app.client.get_table_client("DeploymentIndex").create_entity(row)


@pytest.mark.parametrize("columns", [{"Deployments": "no list"}, {"Deployments": 5}, {"Flags": "["}])
async def test_a_list_leaves_out_a_device_that_cannot_be_read_and_no_other(
    app: App, caplog: pytest.LogCaptureFixture, columns: dict[str, Any]
) -> None:
    devices = await four_devices(app)
    await edit(app, devices[1], "device", **columns)
    for limit in (1, 2, 3, 50):
        caplog.clear()
        found = await pages(app.services.fleet(), routes.devices, limit=limit)
        assert [item["deviceId"] for page in found for item in page] == [devices[0], *devices[2:]]
        assert all(found)
        assert f"device '{devices[1]}' cannot be read" in caplog.text


async def test_no_page_follows_where_only_devices_are_left_that_cannot_be_read(app: App) -> None:
    devices = await four_devices(app)
    for device in devices[2:]:
        await edit(app, device, "device", Deployments="no list")
    for limit in (1, 2):
        found = await pages(app.services.fleet(), routes.devices, limit=limit)
        assert [item["deviceId"] for page in found for item in page] == devices[:2]
        assert [len(page) for page in found] == [limit] * (2 // limit)


@pytest.mark.parametrize("columns", [{"Evidence": "["}, {"Deployments": "no list"}])
async def test_a_history_leaves_out_a_transition_that_cannot_be_read_and_no_other(
    app: App, columns: dict[str, Any]
) -> None:
    device = await show(app, "d", "048")
    app.deploy(device, MINUTE, runtimeStatus="running")
    await app.handle(app.event(device))
    await app.flag_stuck()
    fleet, path = app.services.fleet(), {"deviceId": device}
    whole = await listed(fleet, routes.transitions, path=path)
    keys = sorted(key for key in await app.rows(device) if key.startswith(TRANSITION))
    assert len(keys) > 2
    for bad in range(len(keys)):
        await edit(app, device, keys[bad], **columns)
        for limit in (1, 2, 50):
            found = await pages(fleet, routes.transitions, path=path, limit=limit)
            assert [item for page in found for item in page] == whole[bad + 1 :]
            assert all(found) or bad == len(keys) - 1


async def test_a_device_is_shown_without_evidence_that_cannot_be_read(app: App) -> None:
    device = await show(app, "d", "048")
    fleet = app.services.fleet()
    before = (await ask(fleet, routes.device, deviceId=device)).json
    (newest, *_) = sorted(key for key in await app.rows(device) if key.startswith(TRANSITION))
    await edit(app, device, newest, Evidence="[")
    answered = await ask(fleet, routes.device, deviceId=device)
    assert answered.status == 200
    assert {**answered.json, "evidence": before["evidence"]} == before


async def test_a_milestone_of_a_newer_release_is_kept_and_shown(app: App) -> None:
    await show(app, "d", "048", "camera-2")
    await app.flag_stuck()
    fleet = app.services.fleet()
    (counted,) = await listed(fleet, routes.deployments)
    reached = {**counted["milestones"], "rolled_back": NEWER}
    await edit_deployment(app, "camera-2", Reached=json.dumps(reached))
    await show(app, "e", "003", "camera-2")
    await app.flag_stuck()
    (counted,) = await listed(fleet, routes.deployments)
    assert counted["devices"] == 2
    assert counted["milestones"]["rolled_back"].startswith("2026-01-05T08:00:00")
    answered = await ask(fleet, routes.deployment, deploymentId="camera-2")
    assert answered.json["milestones"] == counted["milestones"]


@pytest.mark.parametrize("columns", [{"Reached": "["}, {"Reached": '{"started": "yesterday"}'}, {"Devices": "many"}])
async def test_other_deployments_are_counted_and_listed_beside_one_that_cannot_be_read(
    app: App, columns: dict[str, Any]
) -> None:
    names = ["a", "b", "c"]
    for name in names:
        await show(app, f"{name}-1", "048", name)
    await app.flag_stuck()
    await edit_deployment(app, "b", **columns)
    for name in names:
        await show(app, f"{name}-2", "003", name)
    with pytest.raises(ExceptionGroup, match="flag_stuck: 1 failed"):
        await app.flag_stuck()
    fleet = app.services.fleet()
    for limit in (1, 2, 50):
        found = await pages(fleet, routes.deployments, limit=limit)
        others = [item for page in found for item in page if item["deploymentId"] != "b"]
        assert [(item["deploymentId"], item["devices"]) for item in others] == [("a", 2), ("c", 2)]
        assert all(found)
    answered = await ask(fleet, routes.deployment, deploymentId="b")
    assert (answered.status, answered.json["devices"]) == (200, 2)


async def test_a_page_has_a_next_one_only_if_that_has_an_item(app: App) -> None:
    devices = await four_devices(app)
    table = app.client.get_table_client("DeploymentStatus")
    for device in devices[2:]:  # the index still names them
        for key in await app.rows(device):
            await table.delete_entity(escape(device), key)
    answered = await ask(app.services.fleet(), routes.devices, "limit=2")
    assert [item["deviceId"] for item in answered.json["items"]] == devices[:2]
    assert answered.json["next"] is None


async def test_a_device_that_cannot_be_read_costs_no_other_in_its_batch(app: App) -> None:
    bad, known = await show(app, "bad", "003"), await show(app, "known", "003")
    await edit(app, bad, "device", Deployments="no list")
    await forget(app.services)
    new = app.put("new", "048")
    await app.handle(app.event(known), app.event(bad), app.event(new))  # it is as new as its notification
    app.report(bad, MINUTE, runtimeStatus="backoff")
    app.report(new, MINUTE, runtimeStatus="running")
    with pytest.raises(BatchError, match="1 devices"):
        await app.handle(app.event(known), app.event(bad), app.event(new))
    assert (await app.rows(new))["device"]["State"] == "successful"
    await app.handle(app.event(bad), attempt=MAX_RETRIES)
    assert [row["Reason"] for row in await app.dead_letters()] == ["internal_error"]
    await app.client.delete_table("DeadLetter")


async def test_the_timer_flags_other_devices_beside_one_that_cannot_be_read(app: App) -> None:
    bad, good = await show(app, "bad", "048"), await show(app, "good", "048")
    await app.flag_stuck()
    await edit(app, bad, "device", Deployments="no list")
    await add_to_index(app, shard_of(bad), f"pending|{bad}|5", Device=bad)
    await add_to_index(app, shard_of(good), f"pending|{good}|5", Device=good)
    with pytest.raises(ExceptionGroup, match="flag_stuck: 2 failed"), writers_are_dead():
        await app.flag_stuck(HOUR)
    assert (await app.rows(good))["module:m1"]["Stuck"] is True
    assert await app.index("pending") == [f"{bad}|5"]


@pytest.mark.parametrize("columns", [{"Rows": "["}, {"Counters": 5}, {"Published": "many"}])
async def test_a_summary_that_cannot_be_read_costs_only_its_device(app: App, columns: dict[str, Any]) -> None:
    bad, good = await show(app, "bad", "003"), await show(app, "good", "003")
    await app.flag_stuck()
    await edit_index(app, f"summary|{bad}", **columns)
    await forget(app.services)
    for device in (bad, good):
        app.report(device, MINUTE, runtimeStatus="backoff")
    with pytest.raises(BatchError, match="1 devices"):
        await app.handle(app.event(bad), app.event(good))
    assert (await app.rows(good))["device"]["State"] == "module_failed"
    with pytest.raises(ExceptionGroup, match=r"resync: [12] failed"):  # a second time if its check is due
        await app.resync()
    await app.flag_stuck()
    assert [item["deviceId"] for item in await listed(app.services.fleet(), routes.devices)] == [good, bad]


@pytest.mark.parametrize("devices", ["many", None])
async def test_devices_and_deployments_are_counted_beside_a_counter_without_a_number(
    app: App, caplog: pytest.LogCaptureFixture, devices: str | None
) -> None:
    device, other = await show(app, "d", "003", "a"), await show(app, "other", "003", "b")
    index = app.client.get_table_client("DeploymentIndex")
    counters = index.query_entities("RowKey ge 'count|a|' and RowKey lt 'count|a}'")
    (row,) = [row async for row in counters]
    columns = {name: value for name, value in row.items() if name != "Devices"}
    await index.update_entity(columns | ({"Devices": devices} if devices else {}), UpdateMode.REPLACE)
    await forget(app.services)
    await app.flag_stuck()
    found = {item["deploymentId"]: item["devices"] for item in await listed(app.services.fleet(), routes.deployments)}
    assert found == {"b": 1}
    for name in (device, other):
        app.report(name, MINUTE, runtimeStatus="backoff")
        await app.handle(app.event(name))
    await app.flag_stuck()
    found = {item["deploymentId"]: item["devices"] for item in await listed(app.services.fleet(), routes.deployments)}
    assert found == {"a": 1, "b": 1}
    assert "has no number" in caplog.text
    assert "cannot be read" in caplog.text


async def test_index_rows_of_a_later_release_change_nothing_that_this_one_knows(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    device = await show(app, "d", "048", "a")
    shard, counter = shard_of(device), "count|a||module_failed|backoff|successful|0|"
    like = {"Deployment": "a", "State": "module_failed", "Reason": "backoff", "Portal": "", "Stuck": False}
    await add_to_index(app, shard, f"count|a|zone=north|{counter[9:]}", Devices=1, Cohort="zone=north", **like)
    later = like | {"State": "melted", "Deployment": "c", "Cause": "leak"}
    await add_to_index(app, shard, "count|c||melted|sunk|lost|0|leak", Devices=1, **later)
    await add_to_index(app, shard, "picture|sha256:1", Digest="sha256:1")
    await add_to_index(app, shard, f"promise|{device}", Device=device)
    await add_to_index(app, shard, f"quota|{device}", Device=device, Format=2)
    await app.flag_stuck(HOUR)
    assert (await app.rows(device))["module:m1"]["Stuck"] is True
    fleet = app.services.fleet()
    (a, c) = await listed(fleet, routes.deployments)
    assert (a["deploymentId"], a["devices"], a["stuck"]) == ("a", 1, 1)
    assert (c["deploymentId"], c["devices"]) == ("c", 1)
    assert [item["deviceId"] for item in await listed(fleet, routes.devices)] == [device]
    assert "row 'picture|sha256:1' of the index names no device" in caplog.text
