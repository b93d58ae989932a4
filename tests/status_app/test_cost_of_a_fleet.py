"""What a timer costs follows what is due and what changed, and not how many devices there are."""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from app_over_azurite import App
from asking import listed

from benchmarks.seeding import seed
from local.azurite import azurite_tables
from local.tables import table_proxy
from status_app.fleet_index.rows import SHARDS
from status_app.http import routes
from status_app.iothub.breaker import PROBES

DEVICES = 20_000
DUE = 100


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
    tables: str, tmp_path: Path
) -> None:
    async with running(tables) as (app, _):
        device = app.put("one", "048")
        await app.handle(app.event(device))
        row = (await app.rows(device))["device"]
        waits = {**row, "LookAt": app.now + timedelta(hours=2)}
    seed(tmp_path, [waits], (f"fleet-{number}" for number in range(DEVICES - DUE)))
    with azurite_tables(tmp_path) as fleet:
        async with running(fleet) as (app, requests):
            made = await requests_of_a_run(app, requests)
            # Of each shard what is to be done, and its counters, for the projection and for the count of a deployment.
            # Of each device its rows, and what the index says of it. The hub's list as it is kept; what is kept
            # of deployments; their events. For a cause that is new, what peers say: the counters of causes, every
            # summary, a thousand a page, and what was counted before.
            peers = len(SHARDS) + 2 * len(SHARDS) + 1
            assert made["read"] == 3 * len(SHARDS) + 2 * DUE + 3 + peers
            # A transaction of each device, and of each shard an announcement and a projection; so much again of the
            # shards of the devices that show whether the hub answers; a count; what peers say.
            known = DUE + 2 * len(SHARDS) + 2
            assert known < made["write"] <= known + 2 * PROBES
            assert await requests_of_a_count(app, requests) == {
                "read": 2 * len(SHARDS) + 1,  # of each shard what is to be done, and its counters
                "write": 1,
            }
            table = app.client.get_table_client("DeploymentStatus")
            devices = table.query_entities("RowKey eq 'device'", select=["RowKey"])
            assert len([device async for device in devices]) == DEVICES
