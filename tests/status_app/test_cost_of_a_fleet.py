"""What a timer and an answer cost follows what is due, changed or asked for, and not how many devices there are."""

import asyncio
import copy
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from app_over_azurite import App
from asking import Route, ask, listed
from few_shards import few_shards

from benchmarks.seeding import seed
from local.azurite import azurite_tables
from local.tables import TableProxy, table_proxy
from status_app.http import routes
from status_app.iothub.breaker import PROBES
from status_app.storage.keys import TRANSITION

SHARDS: Final = 2
DEVICES: Final = 2_500
"""More of each shard than a page holds, as a fleet of twenty thousand has in the sixteen shards of the app."""
DUE: Final = 12
LIMIT: Final = 20


async def requests_of_a_run(app: App, requests: Mapping[Any, int]) -> dict[str, int]:
    """Let some modules get stuck. The table requests of the run that flags them."""
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


async def rows_of_a_device(tables: str) -> list[Mapping[str, Any]]:
    """The rows of a device with a module that is stuck, and another that will be in a while."""
    app = App(tables)
    device = app.put("one", "048")
    await app.handle(app.event(device))
    await app.flag_stuck(timedelta(hours=1))
    rows = await app.rows(device)
    await app.close()
    soon = {**rows["module:m1"], "RowKey": "module:m2", "Stuck": False, "StuckAt": app.now + timedelta(hours=1)}
    del soon["StuckSince"]
    rows["device"] = {**rows["device"], "LookAt": soon["StuckAt"]}
    return [*(row for key, row in rows.items() if not key.startswith(TRANSITION)), soon]


@pytest.fixture(scope="module")
def seeded(accounts: Iterator[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the fleet."""
    folder = tmp_path_factory.mktemp("fleet")
    rows = asyncio.run(rows_of_a_device(next(accounts)))
    with few_shards(SHARDS):
        seed(folder, rows, (f"fleet-{number}" for number in range(DEVICES)))
    return folder


@pytest.fixture
async def fleet(seeded: Path, tmp_path: Path) -> AsyncIterator[tuple[App, TableProxy]]:
    """The app over the fleet, and what counts its requests."""
    shutil.copytree(seeded, tmp_path, dirs_exist_ok=True)
    with few_shards(SHARDS), azurite_tables(tmp_path) as tables:
        async with table_proxy(tables) as proxy:
            app = App(proxy.connection_string)
            yield app, proxy
            await app.close()


async def test_a_run_makes_requests_for_what_is_due_and_none_for_the_other_thousands_of_devices(
    fleet: tuple[App, TableProxy],
) -> None:
    app, proxy = fleet
    requests = proxy.requests
    made = await requests_of_a_run(app, requests)
    # Of each shard what is to be done, and its counters, for the projection and for the count of a deployment.
    # Of each device its rows, and its entries in the index. The stored list of the hub; the rows of deployments;
    # their events. For a new cause the comparison with peers: the counters of causes, every summary, a thousand a page,
    # and what was counted before.
    peers = SHARDS + 2 * SHARDS + 1
    assert made["read"] == 3 * SHARDS + 2 * DUE + 3 + peers
    # A transaction of each device, and of each shard an announcement and a projection; as much again of the shards of
    # the devices that show whether the hub answers; a count; the comparison with peers.
    known = DUE + 2 * SHARDS + 2
    assert known < made["write"] <= known + 2 * PROBES
    assert await requests_of_a_count(app, requests) == {
        "read": 2 * SHARDS + 1,  # of each shard what is to be done, and its counters
        "write": 1,
    }
    table = app.client.get_table_client("DeploymentStatus")
    devices = table.query_entities("RowKey eq 'device'", select=["RowKey"])
    assert len([device async for device in devices]) == DEVICES + DUE


async def test_in_a_fleet_of_thousands_an_answer_costs_what_it_holds(fleet: tuple[App, TableProxy]) -> None:
    app, proxy = fleet
    reader = app.services.fleet()

    async def cost(route: Route, query: str = "", **path: str) -> tuple[Any, dict[str, int]]:
        before = Counter({table: count["read"] for table, count in proxy.requests_of.items()})
        answered = await ask(reader, route, query, **path)
        assert answered.status == 200, answered.body
        assert proxy.requests["write"] == 0
        after = Counter({table: count["read"] for table, count in proxy.requests_of.items()})
        return answered.json, dict(after - before)

    answer, requests = await cost(routes.device, deviceId="fleet-471")
    assert (len(answer["moduleStates"]), requests) == (3, {"DeploymentStatus": 1, "Deployments": 1})
    (deployment,) = answer["deployments"]

    # Which devices have more than there is room for: it is known for a minute.
    assert (await cost(routes.devices, "deployment=none"))[1] == {"DeploymentIndex": 2 * SHARDS}

    page = {"DeploymentIndex": SHARDS, "DeploymentStatus": LIMIT + 1}  # one more shows that there is a next page
    for route, query in (
        (routes.devices, ""),
        (routes.devices, "state=module_failed"),
        (routes.devices, f"deployment={deployment}"),
        (routes.devices, f"deployment={deployment}&state=module_failed"),
        (routes.devices, f"deployment={deployment}&stuck=true"),
        (routes.devices, "stuck=true"),
        (routes.modules, "stuck=true"),
        (routes.modules, "stuckBefore=2999-01-01T00:00:00Z"),
    ):
        for _ in range(2):
            answer, requests = await cost(route, f"{query}&limit={LIMIT}")
            assert (len(answer["items"]), requests) == (LIMIT, page), query
            query += f"&next={answer['next']}"  # noqa: PLW2901 (the page that follows)
    assert (await cost(routes.devices, "state=pending"))[1] == {"DeploymentIndex": SHARDS}

    answer, requests = await cost(routes.deployment, deploymentId=deployment)
    assert answer["states"] == {"module_failed": DEVICES}
    assert (answer["devices"], answer["stuck"]) == (DEVICES, DEVICES)
    assert requests == {"DeploymentIndex": 2 * SHARDS, "Deployments": 1}  # counters, and what is stuck longest
    assert (await cost(routes.deployments, f"limit={LIMIT}"))[1] == {"Deployments": 2}
