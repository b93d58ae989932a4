"""The first start over the tables of an earlier release: the index is built, and nothing waits for it or is lost."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import DELETED, START, App, flags, forget, fresh_app, transitions, writers_are_dead
from asking import listed
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from transition_hub import TRANSITIONS, running_hub, stored
from whole_index import wrong_rows

from local.tables import TableProxy, is_transaction
from status_app.events.cloud_event import cloud_event
from status_app.fleet_index.index_transaction import Projection
from status_app.fleet_index.projection import FleetProjection
from status_app.fleet_index.rows import FORMAT, shard_of
from status_app.http import routes
from status_app.storage.keys import escape, key_part, time_text

BACKOFF = "048"
CASES = ("003", BACKOFF, "002", "006", "016", "022", "032")
NOW = timedelta(0)
MINUTE = timedelta(minutes=1)
GRACE = 15 * MINUTE
FORMAT_1_BARS = 6
"""Bars in the key of a counter of format 1, after its kind."""
GENERATION = EntityProperty((5 << 32) + 1, EdmType.INT64)


@pytest.fixture
async def app(proxy: TableProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.setattr("status_app.status_table.reader.PAGE", 3)
    async with fresh_app(proxy.connection_string, shards=1) as app:  # a page is projected in one transaction
        yield app


async def fleet(app: App) -> list[str]:
    """Devices in all kinds of states: a module of the second is stuck, and two deployments are counted."""
    devices = [app.put(f"d{number}", case) for number, case in enumerate(CASES)]
    app.report(devices[1], NOW)
    await app.handle(*map(app.event, devices))
    await app.flag_stuck(GRACE)
    await app.flag_stuck(GRACE)
    return devices


async def as_the_release_before_left_it(app: App, unsent: Mapping[str, tuple[int, int]] | None = None) -> None:
    """Make the tables what the release before would have written, and start a new process.

    Args:
        unsent: Of each device the first and the last transition that were not sent.
    """
    status, index = (app.client.get_table_client(name) for name in ("DeploymentStatus", "DeploymentIndex"))
    async for row in index.list_entities():
        await index.delete_entity(row["PartitionKey"], row["RowKey"])
    async for row in status.query_entities("RowKey eq 'device'"):
        del row["Published"]
        await status.upsert_entity({**row, "Generation": GENERATION}, UpdateMode.REPLACE)
        for former in former_rows(row):
            await index.create_entity(former)
    async for row in status.query_entities("RowKey gt 'transition:'"):
        del row["Initial"]
        await status.upsert_entity(row, UpdateMode.REPLACE)
    for device, (first, last) in (unsent or {}).items():
        await index.create_entity(former_row(device, f"unsent|{key_part(device)}|{first:019d}-{last:019d}"))
    deployments = app.client.get_table_client("Deployments")
    async for row in deployments.list_entities():
        await index.create_entity({**row, "Tally": "tally|5"})
        await deployments.delete_entity(row["PartitionKey"], row["RowKey"])
    await index.create_entity({"PartitionKey": "deployments", "RowKey": "tally|5|0", "Counts": "{}"})
    await forget(app.services)
    app.restart()


def former_rows(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the release before, by the row of a device."""
    device = row["PartitionKey"]
    keys = [f"state|{key_part(row['State'])}|{key_part(device)}|{GENERATION.value}"]
    if "LookAt" in row:
        keys.append(f"deadline|{time_text(row['LookAt'])}|{key_part(device)}|{GENERATION.value}")
    return [former_row(device, key) for key in keys]


def former_row(device: str, key: str) -> dict[str, Any]:
    shard = shard_of(device).replace("index:", "shard:")
    own = {"Device": escape(device), "Generation": GENERATION, "Written": START}
    return {"PartitionKey": shard, "RowKey": key, **own}


async def as_format_1_left_it(app: App) -> None:
    """Make the index that of a release whose counters had no standing, and start a new process."""
    index = app.client.get_table_client("DeploymentIndex")
    counters: dict[tuple[str, str], dict[str, Any]] = {}
    async for row in index.list_entities():
        shard, key = row["PartitionKey"], row["RowKey"]
        kind = key.partition("|")[0]
        if kind in {"count", "deployment", "reconcile"}:
            await index.delete_entity(shard, key)
        if kind == "deployment":
            del row["Version"]
            await index.create_entity(row)
        elif kind == "summary":
            rows = {key: own for key, own in json.loads(row["Rows"]).items() if not key.startswith("reconcile|")}
            for own in rows.values():
                own.pop("Version", None)
            moved = dict(map(format_1, json.loads(row["Counters"]).values()))
            for counter, like in moved.items():
                known = counters.setdefault((shard, counter), {**like, "Devices": 0})
                known["Devices"] += 1
            texts = {"Rows": json.dumps(rows), "Counters": json.dumps(moved)}
            await index.upsert_entity({**row, **texts, "Format": 1}, UpdateMode.REPLACE)
    for (shard, key), like in counters.items():
        await index.create_entity({"PartitionKey": shard, "RowKey": key, **like})
    await index.delete_entity("build", f"format:{FORMAT}")
    await index.create_entity({"PartitionKey": "build", "RowKey": "format:1", "Place": "null", "Done": True})
    await forget(app.services)
    app.restart()


def format_1(like: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The key and the columns that a counter of today had in format 1."""
    columns = {name: like[name] for name in ("Deployment", "State", "Reason", "Portal", "Stuck")}
    parts = (like["State"], like["Reason"], like["Portal"], str(int(like["Stuck"])))
    return f"count|{like['Deployment']}||{'|'.join(parts)}|", columns


async def former_keys(app: App) -> dict[tuple[str, str], Any]:
    rows = app.client.get_table_client("DeploymentIndex").query_entities("PartitionKey ge 'shard' and RowKey ge ''")
    return {(row["PartitionKey"], row["RowKey"]): row.metadata["etag"] async for row in rows}


async def status_etags(app: App) -> dict[tuple[str, ...], Any]:
    return {key: etag for key, etag in (await app.etags()).items() if key[0] == "DeploymentStatus"}


def stop_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run end before it goes on with the build, as if its time were over."""
    monkeypatch.setattr("status_app.reconcile.index_build.RUN_FOR", NOW)


async def half_built(app: App, proxy: TableProxy, pages: int) -> None:
    """Interrupt the build after some pages."""
    projected = 0

    async def cut_off(_op: str, path: str) -> None:
        nonlocal projected
        projected += is_transaction(path, "DeploymentIndex")
        if projected > pages and is_transaction(path, "DeploymentIndex"):
            raise ConnectionResetError

    proxy.before = cut_off
    with pytest.raises(ExceptionGroup, match="left for the next run"):
        await app.flag_stuck()
    proxy.before = None


async def test_the_first_start_builds_the_index_once_and_asks_the_hub_nothing(app: App, proxy: TableProxy) -> None:
    await fleet(app)
    await as_the_release_before_left_it(app)
    before, former = await status_etags(app), await former_keys(app)
    assert len(former) >= len(CASES)
    app.hub.reads.clear()
    await app.flag_stuck()
    assert await wrong_rows(app) == {}
    assert (app.hub.reads, app.hub.asked) == ([], [])
    assert await status_etags(app) == before
    assert await former_keys(app) == former, "the release before can still use its own rows"
    before = await app.etags()
    app.restart()
    await app.flag_stuck()
    read = proxy.requests_of["DeploymentStatus"]["read"]
    await app.flag_stuck()
    assert proxy.requests_of["DeploymentStatus"]["read"] == read
    assert await app.etags() == before


async def lose(app: App, *devices: str) -> None:
    """Remove devices from the index, as if a writer had been paused for days before it projected them."""
    projection = FleetProjection(app.client.get_table_client("DeploymentIndex"))

    async def again(_: Projection) -> Projection:
        raise AssertionError

    await projection.project([Projection(await projection.read(device), None) for device in devices], again)


async def test_the_resyncs_of_a_week_restore_each_device_that_the_index_has_lost(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("status_app.reconcile.index_build.CHECKS", 3)
    devices = await fleet(app)
    runs = [0]
    for _ in range(2):
        await lose(app, *devices[::2])
        assert await wrong_rows(app) != {}
        before = await status_etags(app)
        while await wrong_rows(app) != {} and runs[-1] < len(devices):
            await app.resync(MINUTE)
            runs[-1] += 1
        assert await wrong_rows(app) == {}
        assert await status_etags(app) == before
        runs.append(0)
    assert runs[1] <= 3, "how many devices there are is known after the first pass"


async def test_a_device_that_a_query_heals_is_in_the_index_again_at_once(app: App) -> None:
    devices = await fleet(app)
    await lose(app, *devices)
    for device in devices:
        with app.edit(device, MINUTE) as reported:
            reported["something"] = "else"
    await app.resync(MINUTE)
    assert await wrong_rows(app) == {}


async def test_an_interrupted_build_goes_on_after_its_last_page(app: App, proxy: TableProxy) -> None:
    devices = await fleet(app)
    await as_the_release_before_left_it(app)
    await half_built(app, proxy, pages=1)
    half = await app.index("summary")
    assert len(half) == 3
    found = await listed(app.services.fleet(), routes.devices)
    assert len(found) == len(half), "the devices that it has are answered"
    app.restart()
    read = proxy.requests_of["DeploymentStatus"]["read"]
    await app.flag_stuck()
    pages = 2
    each = 2  # its state, and what this release may have announced of it
    assert proxy.requests_of["DeploymentStatus"]["read"] - read == pages + each * (len(devices) - len(half))
    assert await wrong_rows(app) == {}
    assert sorted(item["deviceId"] for item in await listed(app.services.fleet(), routes.devices)) == devices


@pytest.mark.parametrize("pages", [0, 1, 2])
async def test_changes_while_the_index_is_half_built_are_in_it_once(app: App, proxy: TableProxy, pages: int) -> None:
    devices = await fleet(app)
    await as_the_release_before_left_it(app)
    await half_built(app, proxy, pages)
    app.report(devices[0], MINUTE, runtimeStatus="backoff")
    gone = app.hub.twins.pop(devices[1])
    new = app.put("new", BACKOFF)
    await app.handle(app.event(devices[0]), app.event(devices[1], b"{}", **DELETED), app.event(new))
    app.hub.twins[devices[1]] = gone
    await app.handle(app.event(devices[1], **DELETED | {"opType": "createDeviceIdentity"}))
    await app.resync(MINUTE)
    await app.flag_stuck()
    assert await wrong_rows(app) == {}


async def test_a_device_that_is_due_by_the_former_index_is_reconciled_before_the_index_is_built(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, other = app.put("d", BACKOFF), app.put("other", "003")
    app.report(device, NOW)
    await app.handle(app.event(device), app.event(other))
    await as_the_release_before_left_it(app)
    late = former_row(other, f"deadline|{time_text(START)}|{other}|{GENERATION.value}")
    await app.client.get_table_client("DeploymentIndex").create_entity(late)  # its writer died before the change
    app.hub.reads.clear()
    with monkeypatch.context() as patch:
        stop_the_build(patch)
        await app.flag_stuck(GRACE - MINUTE)
        assert (flags(await app.rows(device)), app.hub.reads) == ([], [])
        for _ in range(2):
            await app.flag_stuck(MINUTE)
        rows = await app.rows(device)
        assert flags(rows) == [("stuck", "m1")]
        assert transitions(rows)[-1]["At"] == START + GRACE
        assert app.hub.reads == [device]
    await app.flag_stuck(MINUTE)
    assert await wrong_rows(app) == {}
    assert app.hub.reads == [device]


async def test_no_deployment_is_counted_from_half_an_index(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = await fleet(app)
    fleet_ = app.services.fleet()
    before = await listed(fleet_, routes.deployments)
    assert before
    await as_the_release_before_left_it(app)
    with monkeypatch.context() as patch:
        stop_the_build(patch)
        app.report(devices[0], MINUTE, exitCode=1)
        await app.handle(app.event(devices[0]))
        for _ in range(2):
            await app.flag_stuck(GRACE)
        assert await listed(app.services.fleet(), routes.deployments) == before
    await app.flag_stuck()
    after = await listed(app.services.fleet(), routes.deployments)
    assert [(item["deploymentId"], item["devices"], item["milestones"].get("started")) for item in after] == [
        (item["deploymentId"], item["devices"], item["milestones"].get("started")) for item in before
    ]


async def test_an_index_of_the_format_before_is_rebuilt_and_no_device_is_counted_twice(app: App) -> None:
    await fleet(app)
    before = await listed(app.services.fleet(), routes.deployments)
    await as_format_1_left_it(app)
    old = {key for key in await app.index("count") if key.count("|") == FORMAT_1_BARS}
    assert old
    app.hub.reads.clear()
    await app.flag_stuck()
    assert await wrong_rows(app) == {}
    assert not old & set(await app.index("count"))
    assert (app.hub.reads, app.hub.asked) == ([], [])
    after = await listed(app.services.fleet(), routes.deployments)
    assert [item | {"countedAt": None} for item in after] == [item | {"countedAt": None} for item in before]


async def test_a_rebuild_of_the_format_before_takes_nothing_from_rows_of_older_releases(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = await fleet(app)
    await as_format_1_left_it(app)
    index = app.client.get_table_client("DeploymentIndex")
    sent = {"PartitionKey": "deployments", "RowKey": "event|a|000000001-01", "Body": "{}"}  # years ago
    late = former_row(devices[0], f"deadline|{time_text(START)}|{devices[0]}|{GENERATION.value}")
    for row in (sent, late):
        await index.create_entity(row)
    build = (await app.services.flag_stuck())._build  # noqa: SLF001 (which devices it would reconcile)
    with monkeypatch.context() as patch:
        stop_the_build(patch)
        await app.flag_stuck()
        assert not build.is_done
        assert await build.due() == []
    await app.flag_stuck()
    deployments = app.client.get_table_client("Deployments")
    assert [row["RowKey"] async for row in deployments.list_entities() if row["RowKey"].startswith("event|")] == []
    assert await wrong_rows(app) == {}


async def test_the_next_run_counts_a_device_again_that_a_process_of_the_format_before_counted_last(
    app: App,
) -> None:
    await fleet(app)
    await as_format_1_left_it(app)
    index = app.client.get_table_client("DeploymentIndex")
    await index.create_entity({"PartitionKey": "build", "RowKey": f"format:{FORMAT}", "Place": "null", "Done": True})
    await app.flag_stuck()
    assert [key for key in await app.index("count") if key.count("|") == FORMAT_1_BARS] == []
    assert await wrong_rows(app) == {}


async def test_adopted_counts_of_a_deployment_are_not_replaced_by_older_ones(app: App) -> None:
    await fleet(app)
    await as_the_release_before_left_it(app)
    await app.flag_stuck()
    index = app.client.get_table_client("DeploymentIndex")
    await index.delete_entity("build", f"format:{FORMAT}")  # as if the first run had been killed right after that
    device = app.put("more", BACKOFF)
    await app.handle(app.event(device))
    await app.flag_stuck()
    counted = await listed(app.services.fleet(), routes.deployments)
    app.restart()
    await app.flag_stuck()
    assert await listed(app.services.fleet(), routes.deployments) == counted


async def test_a_device_that_cannot_be_read_does_not_keep_others_out_of_the_index(app: App) -> None:
    devices = await fleet(app)
    status = app.client.get_table_client("DeploymentStatus")
    (row,) = [row async for row in status.query_entities(f"PartitionKey eq '{devices[1]}' and RowKey eq 'device'")]
    await as_the_release_before_left_it(app)
    bad = {"PartitionKey": devices[1], "RowKey": "device", "Deployments": "no list"}
    await status.update_entity(bad, UpdateMode.MERGE)
    with pytest.raises(ExceptionGroup, match="flag_stuck: 2 failed"):  # by the build, and by what it has announced
        await app.flag_stuck()
    assert len(await app.index("summary")) == len(devices) - 1
    with pytest.raises(ExceptionGroup, match="flag_stuck: 1 failed"):
        await app.flag_stuck()
    await status.update_entity(bad | {"Deployments": row["Deployments"]}, UpdateMode.MERGE)
    app.hub.reads.clear()
    with writers_are_dead():
        await app.flag_stuck()
    assert app.hub.reads == []
    assert await wrong_rows(app) == {}


@pytest.mark.parametrize("begin", [App.flag_stuck, App.resync])
async def test_a_deleted_index_is_built_again(app: App, begin: Callable[[App], Any]) -> None:
    await fleet(app)
    await app.client.delete_table("DeploymentIndex")
    app.restart()
    await begin(app)
    await app.flag_stuck()
    assert await wrong_rows(app) == {}


async def test_events_that_the_release_before_had_not_sent_are_sent_once_and_no_others(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, changes, gone, sent = (app.put(name, BACKOFF) for name in ("waits", "changes", "gone", "sent"))
    await app.handle(*map(app.event, (waits, changes, gone, sent)))
    del app.hub.twins[gone]
    await app.handle(app.event(gone, b"{}", **DELETED))
    await as_the_release_before_left_it(app, {waits: (1, 1), changes: (1, 1), gone: (2, 2)})
    async with running_hub() as hub:
        app.restart(Transitions=hub.connection_string(), TRANSITIONS_HUB=TRANSITIONS)
        app.deploy(changes, MINUTE, runtimeStatus="running")
        await app.handle(app.event(changes))
        with monkeypatch.context() as patch:
            stop_the_build(patch)
            for _ in range(2):
                await app.flag_stuck(MINUTE)
        for _ in range(2):
            await app.flag_stuck(MINUTE)
        rows = {device: transitions(await app.rows(device)) for device in (waits, changes, gone)}
        expected = {waits: rows[waits], changes: rows[changes], gone: rows[gone][1:]}
        assert [len(found) for found in expected.values()] == [1, 3, 1]
        events = [event for event in stored(hub) if b'"deviceId":' in event]
        assert sorted(events) == sorted(cloud_event(device, row) for device, found in expected.items() for row in found)
        assert await wrong_rows(app) == {}
        await app.services.close()
        app.restart()


async def test_a_device_that_comes_back_first_sends_the_unsent_events_of_its_former_life(app: App) -> None:
    device = app.put("d", BACKOFF)
    await app.handle(app.event(device))
    twin = app.hub.twins.pop(device)
    await app.handle(app.event(device, b"{}", **DELETED))
    await as_the_release_before_left_it(app, {device: (2, 2)})
    async with running_hub() as hub:
        app.restart(Transitions=hub.connection_string(), TRANSITIONS_HUB=TRANSITIONS)
        app.hub.twins[device] = twin
        app.now += MINUTE
        await app.handle(app.event(device))
        expected = [cloud_event(device, row) for row in transitions(await app.rows(device))][1:]
        assert len(expected) == 2
        assert stored(hub) == expected
        await app.services.close()
        app.restart()
