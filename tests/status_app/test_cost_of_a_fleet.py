"""What a timer costs follows what is due and what changed, and not how many devices there are."""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from app_over_azurite import App
from asking import listed

from benchmarks.seeding import seed
from local.azurite import azurite_tables
from local.tables import table_proxy
from status_app.fleet_index import index_writes
from status_app.fleet_index.index_rows import SHARDS
from status_app.http import routes

DEVICES = 20_000
DUE = 100
PAGES_OF_MEMBERS = 2 * len(SHARDS)
"""Every device of the fleet is one, some 1,250 in each shard."""


async def requests_of_a_run(app: App, requests: Mapping[Any, int]) -> dict[str, int]:
    """Let a hundred modules get stuck. The table requests of the run that flags them."""
    devices = [app.put(f"due-{number}", "048") for number in range(DUE)]
    for device in devices:
        twin = app.hub.twins[device] = copy.deepcopy(app.hub.twins[device])
        twin["properties"]["reported"]["$metadata"]["$lastUpdated"] = app.now.isoformat()
    await app.handle(*map(app.event, devices))
    app.now += timedelta(minutes=15)
    before = dict(requests)
    await (await app.services.flag_stuck()).run()
    made = {op: count - before[op] for op, count in requests.items()}
    assert [(await app.rows(device))["module:m1"]["Stuck"] for device in devices[:3]] == [True] * 3
    return made


async def requests_of_a_count(app: App, requests: Mapping[Any, int]) -> dict[str, int]:
    """Let one device of the fleet change. The table requests of the run that counts its deployment."""
    await (await app.services.flag_stuck()).run()
    await app.handle(app.event(app.put("due-0", "002", version=8)))
    app.now += timedelta(minutes=1)
    known = await deployment(app)
    before = dict(requests)
    await (await app.services.flag_stuck()).run()
    made = {op: count - before[op] for op, count in requests.items()}
    assert await deployment(app) == {**known, "pending": 1, "module_failed": known["module_failed"] - 1}
    return made


async def deployment(app: App) -> dict[str, int]:
    """Of the one deployment how many devices were counted in which state."""
    (item,) = await listed(app.services.fleet(), routes.deployments)
    return dict(item["states"])


@asynccontextmanager
async def running(tables: str) -> AsyncIterator[tuple[App, Mapping[Any, int]]]:
    """The app, and the table requests that it makes."""
    async with table_proxy(tables) as proxy:
        app = App(proxy.connection_string)
        yield app, proxy.requests
        await app.services.close()
        await app.client.close()


async def test_a_run_over_a_hundred_due_devices_makes_the_same_requests_in_a_fleet_of_twenty_thousand(
    tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_writes, "LINGER", 60)  # on a slow machine too
    async with running(tables) as (app, _):
        device = app.put("one", "048")
        await app.handle(app.event(device))
        row = (await app.rows(device))["device"]
        waits = {**row, "LookAt": app.now + timedelta(hours=2)}
    seed(tmp_path, [waits], (f"fleet-{number}" for number in range(DEVICES - DUE)))
    with azurite_tables(tmp_path) as fleet:
        async with running(fleet) as (app, requests):
            made = await requests_of_a_run(app, requests)
            # Of each shard the deadlines and the changes, and the rows of each device; what is kept of deployments, the
            # tally of this one, and, since there is none, its members: a page for each thousand.
            assert made["read"] == 2 * len(SHARDS) + DUE + 2 + PAGES_OF_MEMBERS
            # A transaction of each device, and of each shard one for the rows of the index that come before these, one
            # for those that go after them, and one for changes that were counted. Of the deployment a mark and a count.
            assert made["write"] == DUE + 3 * len(SHARDS) + 2
            assert await requests_of_a_count(app, requests) == {
                # Of each shard the deadlines and the changes; what is kept of deployments, the tally of this one, and
                # the chunk of the device that changed.
                "read": 2 * len(SHARDS) + 3,
                "write": 2,  # the count, and that the change is in it
            }
            table = app.client.get_table_client("DeploymentStatus")
            devices = table.query_entities("RowKey eq 'device'", select=["RowKey"])
            assert len([device async for device in devices]) == DEVICES
