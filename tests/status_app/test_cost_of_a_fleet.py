"""What a timer costs follows what is due, and not how many devices there are, but for a page for each thousand."""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from app_over_azurite import App

from benchmarks.seeding import seed
from local.azurite import azurite_tables
from local.tables import table_proxy
from status_app.tables import index_writes
from status_app.tables.index_rows import SHARDS

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
            # A page of each shard, and the rows of each device; what is kept of deployments, and their members: a page
            # for each thousand.
            assert made["read"] == len(SHARDS) + DUE + 1 + PAGES_OF_MEMBERS
            # A transaction of each device, and of each shard one for the rows of the index that come before these and
            # one for those that go after them. Of the deployment a mark and the count.
            assert made["write"] == DUE + 2 * len(SHARDS) + 2
            table = app.client.get_table_client("DeploymentStatus")
            devices = table.query_entities("RowKey eq 'device'", select=["RowKey"])
            assert len([device async for device in devices]) == DEVICES
