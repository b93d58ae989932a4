"""The phases of a batch over real tables: what is written when, who loses a race, and who finishes what is left."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import App, fresh_app, transitions, writers_are_dead
from azure.data.tables import UpdateMode
from whole_index import wrong_rows

from local.tables import Operation, TableProxy, is_transaction
from status_app.fleet_index.projection import LOSSES
from status_app.fleet_index.rows import shard_of, summary_key
from status_app.reconcile.twin_changes import MAX_RETRIES, BatchError

BACKOFF = "048"
SUCCESSFUL = "003"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def app(proxy: TableProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    assert monkeypatch  # what a test sets holds until the end is checked
    async with fresh_app(proxy.connection_string) as app:
        yield app


@pytest.fixture
def written(proxy: TableProxy) -> list[str]:
    """What is written, by table and kind, in order."""
    paths: list[str] = []

    async def note(op: Operation, path: str) -> None:
        if op == "write":
            kind = "transaction" if "/$batch/" in path else "row"
            paths.append(f"{'index' if 'DeploymentIndex' in path else 'status'} {kind}")

    proxy.before = note
    return paths


async def failing(app: App, *devices: str) -> None:
    for device in devices:
        app.report(device, MINUTE, runtimeStatus="backoff")
    await app.handle(*map(app.event, devices))


async def touch(app: App, key: str, shard: str) -> None:
    """Write rows of the index as they are: they have another ETag then."""
    table = app.client.get_table_client("DeploymentIndex")
    end = f"{key[:-1]}{chr(ord(key[-1]) + 1)}"
    async for row in table.query_entities(f"PartitionKey eq '{shard}' and RowKey ge '{key}' and RowKey lt '{end}'"):
        await table.upsert_entity(dict(row), UpdateMode.REPLACE)


async def test_a_change_is_announced_then_committed_then_projected_with_its_announcement_in_one_transaction(
    app: App, written: list[str]
) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))
    await app.index()
    written.clear()
    await failing(app, device)
    assert written == ["index row", "status transaction", "index transaction"]
    assert await app.index("pending") == []
    assert await app.index("state") == [f"module_failed|{device}"]


async def test_what_changes_nothing_is_not_announced(app: App, written: list[str]) -> None:
    devices = [app.put("known", SUCCESSFUL), app.put("gone", SUCCESSFUL)]
    await app.handle(*map(app.event, devices))
    written.clear()
    await app.handle(app.event(devices[0], b"{}"), app.event(devices[0]))
    await app.resync(MINUTE)
    assert [text for text in written if text.startswith("status") or text.endswith("transaction")] == []


@pytest.mark.parametrize("lost_to", ["counters", "the device"])
async def test_a_writer_that_loses_three_times_leaves_its_announcement_to_the_timer_which_finishes_it(
    app: App, proxy: TableProxy, lost_to: str
) -> None:
    device, waits, attempts = app.put("d", SUCCESSFUL), list[float](), 0
    await app.handle(app.event(device))

    async def come_first(_op: Operation, path: str) -> None:
        nonlocal attempts
        if is_transaction(path, "DeploymentIndex"):
            attempts += 1
            await touch(app, "count|" if lost_to == "counters" else summary_key(device), shard_of(device))

    async def keep(seconds: float) -> None:
        waits.append(seconds)

    projection = (await app.services.reconciler())._index._projection  # noqa: SLF001 (nobody waits in a test)
    projection._sleep = keep  # noqa: SLF001 (as above)
    proxy.before = come_first
    await failing(app, device)
    proxy.before = None
    assert attempts == LOSSES
    assert len(waits) == LOSSES - 1
    assert all(0.05 <= wait <= 0.25 for wait in waits)
    assert (await app.rows(device))["device"]["State"] == "module_failed"
    assert await app.index("state") == [f"successful|{device}"]
    assert len(await app.index("pending")) == 1
    await app.flag_stuck()
    assert await app.index("state") == [f"module_failed|{device}"]
    with writers_are_dead():
        await app.flag_stuck()
    assert await wrong_rows(app) == {}


async def test_a_writer_that_loses_once_projects_what_is_stored_then(app: App, proxy: TableProxy) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))

    async def come_first(_op: Operation, path: str) -> None:
        if is_transaction(path, "DeploymentIndex"):
            proxy.before = None
            app.report(device, MINUTE, runtimeStatus="running")
            await (await app.another().twin_changes()).handle([app.event(device)], attempt=0)

    proxy.before = come_first
    await failing(app, device)
    assert proxy.before is None
    assert await app.index("state") == [f"successful|{device}"]
    assert await wrong_rows(app) == {}


async def test_a_change_that_cannot_be_announced_is_not_committed_and_its_neighbors_are(
    app: App, proxy: TableProxy
) -> None:
    bad, *others = [app.put(f"d{number}", SUCCESSFUL) for number in range(40)]
    good = next(device for device in others if shard_of(device) != shard_of(bad))
    await app.handle(app.event(bad), app.event(good))

    async def refuse(_op: Operation, path: str) -> None:
        if f"pending|{bad}|" in path:
            raise ConnectionResetError

    proxy.before = refuse
    before = await app.rows(bad)
    with pytest.raises(BatchError, match="1 devices"):
        await failing(app, bad, good)
    assert await app.rows(bad) == before
    assert (await app.rows(good))["device"]["State"] == "module_failed"
    await app.handle(app.event(bad), attempt=MAX_RETRIES)
    assert [row["Reason"] for row in await app.dead_letters()] == ["tables_unavailable"]
    await app.client.delete_table("DeadLetter")
    proxy.before = None
    await app.handle(app.event(bad))
    assert await wrong_rows(app) == {}


async def test_a_batch_costs_one_announcement_and_one_projection_for_each_shard(app: App, written: list[str]) -> None:
    devices = [app.put(f"d{number}", SUCCESSFUL, configurations={}) for number in range(20)]
    await app.handle(*map(app.event, devices))
    assert len({shard_of(device) for device in devices}) == 2
    written.clear()
    await failing(app, *devices)
    assert written.count("status transaction") == len(devices)
    assert len([text for text in written if text.startswith("index")]) == 4
    assert await wrong_rows(app) == {}


async def test_only_the_device_of_a_batch_that_lost_a_race_is_committed_again(
    app: App, proxy: TableProxy, written: list[str]
) -> None:
    first, second = app.put("a", SUCCESSFUL), app.put("b", SUCCESSFUL)
    await app.handle(app.event(first), app.event(second))
    note, times = proxy.before, 0
    assert note is not None

    async def come_first(op: Operation, path: str) -> None:
        nonlocal times
        await note(op, path)
        times += is_transaction(path, "DeploymentStatus")
        if times == 1 and is_transaction(path, "DeploymentStatus"):
            row = {"PartitionKey": first, "RowKey": "device"}  # it has another ETag then
            await app.client.get_table_client("DeploymentStatus").update_entity(row, UpdateMode.MERGE)

    proxy.before = come_first
    written.clear()
    await failing(app, first, second)
    proxy.before = None
    assert written.count("status transaction") == 3
    assert len(transitions(await app.rows(first))) == len(transitions(await app.rows(second))) == 3
    assert await wrong_rows(app) == {}


async def test_two_tasks_of_the_timer_for_one_device_come_to_one_change(app: App) -> None:
    device = app.put("d", BACKOFF)
    app.report(device, timedelta(0))
    await app.handle(app.event(device))
    index = app.client.get_table_client("DeploymentIndex")
    row: dict[str, Any] = {"PartitionKey": shard_of(device), "RowKey": f"pending|{device}|5", "Device": device}
    await index.create_entity(row)  # and it is due too
    with writers_are_dead():
        await app.flag_stuck(15 * MINUTE)
    assert [row["Kind"] for row in transitions(await app.rows(device))][1:] == ["stuck"]
    assert await wrong_rows(app) == {}
