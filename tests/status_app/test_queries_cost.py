"""What an answer costs follows what is asked for, and not how many devices there are."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from app_over_azurite import App
from asking import Route, ask

from benchmarks.seeding import seed
from local.azurite import azurite_tables
from local.tables import TableProxy, table_proxy
from status_app.fleet_index.rows import SHARDS
from status_app.http import routes
from status_app.storage.keys import TRANSITION

DEVICES = 20_000
LIMIT = 20
INDEX_PAGE = len(SHARDS)


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


@pytest.fixture
async def fleet(tables: str, tmp_path: Path) -> AsyncIterator[tuple[App, TableProxy]]:
    rows = await rows_of_a_device(tables)
    seed(tmp_path, rows, (f"fleet-{number}" for number in range(DEVICES)))
    with azurite_tables(tmp_path) as seeded:
        async with table_proxy(seeded) as proxy:
            app = App(proxy.connection_string)
            yield app, proxy
            await app.close()


async def test_in_a_fleet_of_twenty_thousand_an_answer_costs_what_it_holds(fleet: tuple[App, TableProxy]) -> None:
    app, proxy = fleet
    reader = app.services.fleet()

    async def cost(route: Route, query: str = "", **path: str) -> tuple[Any, dict[str, int]]:
        before = Counter({table: count["read"] for table, count in proxy.requests_of.items()})
        answered = await ask(reader, route, query, **path)
        assert answered.status == 200, answered.body
        assert proxy.requests["write"] == 0
        after = Counter({table: count["read"] for table, count in proxy.requests_of.items()})
        return answered.json, dict(after - before)

    answer, requests = await cost(routes.device, deviceId="fleet-4711")
    assert (len(answer["moduleStates"]), requests) == (3, {"DeploymentStatus": 1, "Deployments": 1})
    (deployment,) = answer["deployments"]

    # Which devices have more than there is room for: it is known for a minute.
    assert (await cost(routes.devices, "deployment=none"))[1] == {"DeploymentIndex": 2 * INDEX_PAGE}

    page = {"DeploymentIndex": INDEX_PAGE, "DeploymentStatus": LIMIT + 1}  # one more: it is the promise of a next page
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
    assert (await cost(routes.devices, "state=pending"))[1] == {"DeploymentIndex": INDEX_PAGE}

    answer, requests = await cost(routes.deployment, deploymentId=deployment)
    assert answer["states"] == {"module_failed": DEVICES}
    assert (answer["devices"], answer["stuck"]) == (DEVICES, DEVICES)
    assert requests == {"DeploymentIndex": 2 * len(SHARDS), "Deployments": 1}  # counters, and what is stuck longest
    assert (await cost(routes.deployments, f"limit={LIMIT}"))[1] == {"Deployments": 2}
