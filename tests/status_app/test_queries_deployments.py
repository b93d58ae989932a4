"""Questions about deployments."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from app_over_azurite import App, fresh_app
from asking import ask, listed, pages

from local.tables import table_proxy
from status_app.fleet_index.rows import SHARDS
from status_app.http import routes

NAMES = ("camera-2", "o'neill", "a%2fb", "+_*!", "z" * 128)


@pytest.fixture
async def app(tables: str, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    """Its parameter is the number of partitions of the index: a test that counts requests takes all of them."""
    async with fresh_app(tables, shards=getattr(request, "param", 2)) as app:
        yield app


async def credited(app: App, name: str, case: str, *deployments: str) -> str:
    applied = {deployment: {"status": "Applied"} for deployment in deployments}
    device = app.put(name, case, configurations=applied)
    await app.handle(app.event(device))
    return device


@pytest.mark.parametrize("app", [len(SHARDS)], indirect=True)
async def test_a_deployment_is_counted_now_from_the_index_and_no_device_is_read(app: App, tables: str) -> None:
    devices = [
        await credited(app, str(number), case, "camera-2")
        for number, case in enumerate(["003", "003", "048", "002", "028", "048"])
    ]
    await app.flag_stuck(timedelta(days=3650))
    await credited(app, "late", "048", "camera-2")
    fleet = app.services.fleet()
    items = await listed(fleet, routes.devices, deployment="camera-2")
    stuck = min((item["stuckSince"], item["deviceId"]) for item in items if item["stuck"])
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        answer = (await ask(services.fleet(), routes.deployment, deploymentId="camera-2")).json
        # Of each partition: the devices that have more rows than fit, its counters, and the device stuck longest.
        expected = {"DeploymentIndex": {"read": 3 * len(SHARDS)}, "Deployments": {"read": 1}}
        assert proxy.requests_of == expected
        await ask(services.fleet(), routes.deployment, deploymentId="camera-2")
        expected["DeploymentIndex"]["read"] += 2 * len(SHARDS)  # the first answer is kept for a minute
        expected["Deployments"]["read"] += 1
        assert proxy.requests_of == expected
        await services.close()
    assert answer["devices"] == len(devices) + 1
    assert answer["states"] == Counter(item["state"] for item in items)
    assert answer["successful"] == answer["states"]["successful"]
    assert answer["stuck"] == sum(item["stuck"] for item in items)
    assert answer["longestStuck"] == {"since": stuck[0], "deviceId": stuck[1]}
    assert answer["portal"] == {
        "applied": len(items),
        "successful": sum(item["portal"] == "successful" for item in items),
        "failed": sum(item["portal"] == "failed" for item in items),
    }
    reasons = Counter((item["state"], item["reason"]) for item in items)
    assert {(reason["state"], reason["reason"]): reason["devices"] for reason in answer["reasons"]} == reasons
    counts = [reason["devices"] for reason in answer["reasons"]]
    assert counts == sorted(counts, reverse=True)
    (counted,) = await listed(fleet, routes.deployments)
    assert (counted["devices"], counted["milestones"]) == (len(devices), answer["milestones"])
    assert set(answer["milestones"]) >= {"started", "first_failure"}


async def test_the_list_has_the_states_that_the_timer_counted(app: App) -> None:
    for number, case in enumerate(("003", "048", "048")):
        await credited(app, str(number), case, "camera-2")
    fleet = app.services.fleet()
    assert await listed(fleet, routes.deployments) == []
    await app.flag_stuck()
    (counted,) = await listed(fleet, routes.deployments)
    assert counted["states"] == {"module_failed": 2, "successful": 1}
    index = app.client.get_table_client("Deployments")
    row = await index.get_entity("deployments", "deployment|camera-2")
    assert json.loads(row["States"]) == counted["states"]
    del row["States"]  # a row of an older release
    await index.upsert_entity(row, mode="replace")
    assert (await listed(fleet, routes.deployments))[0]["states"] is None


async def test_a_deployment_of_any_name_is_found_and_is_on_one_page_of_the_list(app: App) -> None:
    await credited(app, "one", "003", *NAMES)
    await app.flag_stuck()
    fleet = app.services.fleet()
    for limit in (1, 2, 5, 50):
        found = await pages(fleet, routes.deployments, limit=limit)
        assert sorted(item["deploymentId"] for page in found for item in page) == sorted(NAMES)
        assert len(found) == -(-len(NAMES) // limit)
    for name in NAMES:
        answer = (await ask(fleet, routes.deployment, deploymentId=name)).json
        assert (answer["deploymentId"], answer["devices"], answer["version"]) == (name, 1, 1)


async def test_a_deployment_that_was_never_counted_has_no_version_and_an_unknown_one_is_not_found(app: App) -> None:
    await credited(app, "one", "003", "camera-2")
    fleet = app.services.fleet()
    answer = (await ask(fleet, routes.deployment, deploymentId="camera-2")).json
    assert (answer["version"], answer["milestones"], answer["devices"]) == (None, {}, 1)
    assert answer["longestStuck"] is None
    assert (await ask(fleet, routes.deployment, deploymentId="camera")).status == 404


async def test_a_deployment_that_has_left_every_device_is_still_known(app: App) -> None:
    device = await credited(app, "one", "003", "camera-2")
    await app.flag_stuck()
    app.hub.twins[device] = {**app.hub.twins[device], "configurations": {}, "version": 8}
    await app.handle(app.event(device))
    answer = (await ask(app.services.fleet(), routes.deployment, deploymentId="camera-2")).json
    assert (answer["version"], answer["devices"], answer["states"], answer["reasons"]) == (1, 0, {}, [])
