"""The entries of a device in the index, and how they find it."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import DELETED, START, App, fresh_app
from asking import listed, pages
from azure.data.tables import EdmType, EntityProperty, UpdateMode

from status_app.fleet_index.counters import COUNTED
from status_app.fleet_index.index_transaction import Projection
from status_app.fleet_index.lookups import FleetIndex
from status_app.fleet_index.projection import FleetProjection
from status_app.fleet_index.rows import ROWS, SHARDS, Summary, project, shard_of, summary_key
from status_app.http import routes
from status_app.status_table.stored_device import StoredDevice

MINUTE = timedelta(minutes=1)
GRACE = 15 * MINUTE
ROW: Mapping[str, Any] = {"State": "pending", "Reason": "waiting_for_device", "Deployments": "[]"}
"""The columns of a device that the index uses."""
MODULE: Mapping[str, Any] = {"Reason": "backoff", "Since": START}
"""The columns of a module that the index uses."""
CAUSE = "backoff: m1, image:1, exit code 139"
CAUSE_ID = hashlib.sha256(CAUSE.encode()).hexdigest()[:16]
START_TEXT = "2024-05-02T09:10:00.000000+00:00"


def stored(name: str, columns: Mapping[str, Any], **modules: Mapping[str, Any]) -> StoredDevice:
    rows = {f"module:{module}": row for module, row in modules.items()}
    device = {**ROW, "Sequence": EntityProperty(3, EdmType.INT64), **columns}
    return StoredDevice(name, {"device": device, **rows}, "etag", 3)


async def never(_: Projection) -> Projection:
    raise AssertionError("no other process writes")


async def move(app: App, before: Summary, after: Summary | None) -> Summary | None:
    """Project a device whose entries are known."""
    projection = FleetProjection(app.client.get_table_client("DeploymentIndex"))
    summary = (await projection.project([Projection(before, after)], never))[before.device_id]
    assert not isinstance(summary, Exception)
    return summary


def test_a_device_has_an_entry_for_each_question_that_finds_it() -> None:
    columns = {"LookAt": START + GRACE, "FirstStuckSince": START, "Portal": "applied", "Deployments": '["a|b:c"]'}
    module = {**MODULE, "StuckSince": START + MINUTE, "UnsettledSince": START - 2 * MINUTE, "Cause": CAUSE}
    summary = project(stored("a|b", columns, m1=module, m2={}), Summary("a|b"), 2, now=START + GRACE)
    assert summary is not None
    assert summary.entries == {
        "state|pending|a~7Cb": {},
        "reconcile|2024-05-02T09:25:00.000000+00:00|a~7Cb": {},
        f"stuck||{START_TEXT}|a~7Cb": {"State": "pending"},
        f"stuck|a~7Cb~3Ac|{START_TEXT}|a~7Cb": {"State": "pending"},
        "deployment|a~7Cb~3Ac|a~7Cb": {"State": "pending", "Version": ""},
        "module|2024-05-02T09:11:00.000000+00:00|a~7Cb|m1": {"Row": "module:m1"},
        f"cause|{CAUSE_ID}|2024-05-02T09:08:00.000000+00:00|a~7Cb": {"Stuck": True, "Deployments": '["a|b:c"]'},
        "publish|a~7Cb": {},
    }
    assert summary.counters == {
        f"count|{deployment}||pending|waiting_for_device|applied|1|{how_far}||{CAUSE_ID}": {
            "Deployment": deployment,
            "State": "pending",
            "Reason": "waiting_for_device",
            "Portal": "applied",
            "Stuck": True,
            "Standing": how_far,
            "Version": "",
            "Cause": CAUSE,
        }
        for deployment, how_far in (("", ""), ("a~7Cb~3Ac", "failing"))
    }
    assert Summary.read(summary.row(), "etag of it") == Summary(
        "a|b", "etag of it", summary.entries, summary.counters, 2, "etag", summary.profile
    )


def test_a_device_that_is_published_settled_and_on_no_deployment_has_one_row_beside_its_summary() -> None:
    summary = project(stored("d", {"State": "no_deployment"}), Summary("d"), 3, now=START)
    assert summary is not None
    assert (summary.entries, summary.counters) == ({"state|no_deployment|d": {}}, {})


def test_a_device_that_has_modules_of_its_own_counts_for_the_deployment_of_all_such_devices() -> None:
    summary = project(stored("d", {}), Summary("d"), 3, now=START)
    assert summary is not None
    assert "deployment|~7Eindividual|d" in (summary.entries or {})
    assert [like["Deployment"] for like in (summary.counters or {}).values()] == ["~7Eindividual"]


def test_a_removed_device_has_an_entry_until_its_last_event_is_published() -> None:
    gone = StoredDevice("d", last_sequence=3)
    unsent = project(gone, Summary("d"), 2, now=START)
    assert unsent is not None
    assert (unsent.entries, unsent.counters) == ({"publish|d": {}}, {})
    assert project(gone, Summary("d"), 3, now=START) is None


def test_a_device_that_is_stored_in_part_is_due_at_once_and_in_no_list() -> None:
    summary = project(stored("d", {"State": "", "At": START, "Deployments": '["a"]'}), Summary("d"), 3, now=START)
    assert summary is not None
    assert (summary.entries, summary.counters) == ({f"reconcile|{START_TEXT}|d": {}}, {})


def test_the_entry_by_due_time_may_be_early_until_the_timer_runs_and_is_never_late() -> None:
    early, late = stored("d", {"LookAt": START}), stored("d", {"LookAt": START + MINUTE})
    first = project(early, Summary("d"), 3, now=START)
    assert first is not None
    for moved, expected in ((False, first.due), (True, "reconcile|2024-05-02T09:11:00.000000+00:00|d")):
        after = project(late, first, 3, moved=moved, now=START)
        assert after is not None
        assert after.due == expected
        back = project(early, after, 3, now=START)
        assert back is not None
        assert back.due == first.due


def test_no_device_has_more_rows_and_counters_than_a_transaction_takes() -> None:
    modules = {f"m{number:02d}": {"StuckSince": START, **MODULE} for number in range(50)}
    names = json.dumps([f"deployment-{number:03d}" for number in range(100)])
    large = stored("d", {"Deployments": names, "FirstStuckSince": START, "LookAt": START}, **modules)
    summary = project(large, Summary("d"), 0, now=START)
    assert summary is not None
    entries, counters = summary.entries or {}, summary.counters or {}
    assert (len(entries), len(counters)) == (ROWS, COUNTED)
    assert {
        "progress|more|d",
        "publish|d",
        f"reconcile|{START_TEXT}|d",
        "state|pending|d",
        f"stuck||{START_TEXT}|d",
    } <= set(entries)
    # Each of them is replaced by another, with the summary, an announcement, and the row that marks moved counters.
    assert 2 * (len(entries) + len(counters)) + 3 <= 100


async def test_a_deadline_is_found_when_it_is_due_and_the_oldest_comes_first(app: App) -> None:
    index = FleetIndex(app.client.get_table_client("DeploymentIndex"))
    ids = [f"device-{number}" for number in range(40)] + ["Odd |device'~#?%/\\", "é|", "|", "\x00"]
    summaries = {}
    for number, name in enumerate(ids):
        after = project(stored(name, {"LookAt": START + number * MINUTE}), Summary(name), 3, now=START)
        summaries[name] = await move(app, Summary(name), after)
    work = await index.work(START + 20 * MINUTE)
    assert [entry.device_id for entry in work.due] == ids[:21]
    assert [entry.device_id for entry in (await index.work(START + 100 * MINUTE)).due] == ids
    assert (work.announced, work.overflowing, len(work.counter_etags)) == ([], [], 2)  # of both partitions
    assert sorted([device async for device in index.devices()]) == sorted(ids)
    for summary in summaries.values():
        assert summary is not None
        await move(app, summary, None)
    assert await app.index() == []


async def test_one_run_takes_a_page_of_deadlines_of_each_shard_and_the_next_run_the_others(
    tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fresh_app(tables, shards=1) as app:
        devices = [app.put(f"d{number}", "048", configurations={}) for number in range(7)]
        await app.handle(*map(app.event, devices))
        monkeypatch.setattr("status_app.fleet_index.lookups.PAGE", 4)  # one row of a page marks moved counters
        for left in (4, 1, 0):
            await app.flag_stuck(GRACE)
            assert len(await app.index("reconcile")) == left


async def many_of_all(app: App) -> str:
    """A device with 100 deployments and 50 modules, all of them stuck."""
    names = [f"deployment-{number:03d}" for number in range(100)]
    device = app.put("large", "048", configurations={name: {"status": "Applied"} for name in names})
    for section in ("desired", "reported"):
        modules = app.hub.twins[device]["properties"][section]["modules"]
        modules |= {f"n{number:02d}": modules["m1"] for number in range(49)}
    await app.handle(app.event(device))
    await app.flag_stuck(timedelta(hours=1))
    return device


async def test_a_device_with_more_entries_than_there_is_room_for_is_found_by_and_counted_for_all(app: App) -> None:
    small = app.put("small", "003", configurations={"deployment-099": {"status": "Applied"}})
    await app.handle(app.event(small))
    large = await many_of_all(app)
    fleet = app.services.fleet()
    for limit in (7, 200):
        modules = await listed(fleet, routes.modules, stuck="true", limit=limit)
        assert sorted(item["module"] for item in modules) == ["m1", *(f"n{number:02d}" for number in range(49))]
    for number in (0, 50, 99):
        name = f"deployment-{number:03d}"
        others = [small] if number == 99 else []
        for limit in (1, 50):
            found = await pages(fleet, routes.devices, limit=limit, deployment=name)
            assert sorted(item["deviceId"] for page in found for item in page) == sorted([large, *others])
            assert all(found)  # no page is empty
            stuck = await listed(fleet, routes.devices, limit=limit, stuck="true", deployment=name)
            assert [item["deviceId"] for item in stuck] == [large]
    await app.flag_stuck()

    async def counts() -> dict[str, tuple[int, int]]:
        items = await listed(fleet, routes.deployments, limit=200)
        return {item["deploymentId"]: (item["devices"], item["stuck"]) for item in items}

    once = {f"deployment-{number:03d}": (1, 1) for number in range(100)}
    assert await counts() == once | {"deployment-099": (2, 1)}
    answer = await fleet.deployment("deployment-099")
    assert answer is not None
    assert (answer["devices"], answer["longestStuck"]["deviceId"]) == (2, large)
    app.hub.twins[large] = app.hub.twins[large] | {"configurations": {}, "version": 8}
    await app.handle(app.event(large))
    await app.flag_stuck()
    left = {"deployment-099": (1, 0), "~individual": (1, 1)}
    assert await counts() == dict.fromkeys(once, (0, 0)) | left
    assert await listed(fleet, routes.devices, deployment="deployment-050") == []
    assert await app.index("progress|more") == [large]  # so many modules are stuck
    del app.hub.twins[large]
    await app.handle(app.event(large, b"{}", **DELETED))
    assert await app.index("progress|more") == []
    assert await listed(fleet, routes.modules, stuck="true") == []


async def test_a_summary_of_a_later_release_is_read_and_its_rows_are_replaced(app: App) -> None:
    device = app.put("d", "003", configurations={"a": {"status": "Applied"}})
    await app.handle(app.event(device))
    table, shard, key = app.client.get_table_client("DeploymentIndex"), shard_of(device), summary_key(device)
    row = dict(await table.get_entity(shard, key))
    rows = json.loads(row["Rows"]) | {f"image|sha256:1|{device}": {"Digest": "1"}}
    await table.upsert_entity({"PartitionKey": shard, "RowKey": f"image|sha256:1|{device}", "Device": device})
    await table.upsert_entity(row | {"Format": 2, "Rows": json.dumps(rows), "Causes": "[]"}, UpdateMode.REPLACE)
    app.report(device, MINUTE, runtimeStatus="backoff")
    await app.handle(app.event(device))
    await app.flag_stuck()
    assert await app.index("image") == []
    assert [item["state"] for item in await listed(app.services.fleet(), routes.devices)] == ["module_failed"]


async def test_a_second_summary_of_a_device_costs_no_resync(app: App) -> None:
    devices = [app.put(name, "003") for name in ("a", "b")]
    await app.handle(*map(app.event, devices))
    table, device = app.client.get_table_client("DeploymentIndex"), devices[0]
    row = dict(await table.get_entity(shard_of(device), summary_key(device)))
    (other,) = {*SHARDS[:2]} - {shard_of(device)}
    await table.upsert_entity(row | {"PartitionKey": other})
    del app.hub.twins[device]
    app.report(devices[1], MINUTE, runtimeStatus="backoff")
    await app.resync()
    assert await app.state(device) == {}
    assert (await app.rows(devices[1]))["device"]["State"] == "module_failed"
