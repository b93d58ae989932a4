"""Questions about modules of the whole fleet that are stuck, or soon will be."""

from datetime import datetime, timedelta
from typing import Any

from app_over_azurite import App
from asking import ask, listed, pages

from status_app.http import routes

HOUR = timedelta(hours=1)


async def several(app: App) -> None:
    """Devices whose clocks start an hour apart: with a module in backoff, not reached, and with a hanging pull."""
    for number, case in enumerate(("048", "002", "026", "048")):
        device = app.put(f"{9 - number}", case)
        await app.handle(app.event(device))
        if case == "048":
            app.report(device, HOUR, runtimeStatus="running")
            await app.handle(app.event(device))
            app.report(device, HOUR, runtimeStatus="backoff")
            await app.handle(app.event(device))


async def expected(app: App) -> list[dict[str, Any]]:
    """Every module, and every device as one, as the answers about devices have them."""
    fleet = app.services.fleet()
    found = []
    for device in await listed(fleet, routes.devices):
        answer = (await ask(fleet, routes.device, deviceId=device["deviceId"])).json
        found += answer["moduleStates"]
        rows = await app.rows(device["deviceId"])
        own = {name: answer[name] for name in ("deviceId", "state", "reason", "message", "since")}
        found.append(
            dict.fromkeys(answer["moduleStates"][0])
            | own
            | {"module": "$edgeAgent", "stuck": rows["device"]["Stuck"]}
            | {name: answer[name] for name in ("unsettledSince", "stuckAt", "gracePeriod", "graceSource")}
            | {name: answer[name] for name in ("announcedState", "cause")}
            | {"stuckSince": answer["stuckAt"] if rows["device"]["Stuck"] else None}
        )
    return found


async def test_stuck_modules_come_longest_stuck_first_and_a_stuck_device_as_its_agent(app: App) -> None:
    await several(app)
    await app.flag_stuck(HOUR)
    key = ("stuckSince", "deviceId", "module")
    stuck = [item for item in await expected(app) if item["stuck"]]
    stuck.sort(key=lambda item: [item[name] for name in key])
    assert {item["module"] for item in stuck} == {"$edgeAgent", "m1"}
    for limit in (1, 2, 200):
        assert await listed(app.services.fleet(), routes.modules, stuck="true", limit=limit) == stuck


async def test_modules_that_will_be_stuck_before_a_time_are_listed_and_no_others(app: App) -> None:
    await several(app)
    everything = [item for item in await expected(app) if item["stuckAt"] is not None and not item["stuck"]]
    fleet = app.services.fleet()
    times = sorted({datetime.fromisoformat(item["stuckAt"]) for item in everything})
    assert len(times) > 2
    for time in (*times, times[-1] + timedelta(microseconds=1), times[-1] + HOUR):
        before = time.isoformat().replace("+00:00", "Z")
        waiting = [item for item in everything if datetime.fromisoformat(item["stuckAt"]) < time]
        waiting = [item for item in waiting if item["module"] == "$edgeAgent" or item["state"] != "pending"]
        for limit in (1, 2, 3, 200):
            found = await pages(fleet, routes.modules, stuckBefore=before, limit=limit)
            assert sum(map(len, found)) == len(waiting)
            for page in found:
                assert all(item in waiting for item in page)
                assert [item["stuckAt"] for item in page] == sorted(item["stuckAt"] for item in page)


async def test_neither_a_stuck_nor_a_settled_module_will_get_stuck(app: App) -> None:
    await several(app)
    await app.flag_stuck(HOUR * 24)
    late = (app.now + HOUR * 24).isoformat().replace("+00:00", "Z")
    assert await listed(app.services.fleet(), routes.modules, stuckBefore=late) == []


async def test_a_module_that_runs_again_will_not_get_stuck(app: App) -> None:
    device = app.put("again", "048")
    late = (app.now + HOUR).isoformat().replace("+00:00", "Z")
    for runtime_status, names in (("backoff", ["m1"]), ("running", [])):
        app.report(device, timedelta(seconds=20), runtimeStatus=runtime_status)
        await app.handle(app.event(device))
        found = await listed(app.services.fleet(), routes.modules, stuckBefore=late)
        assert [item["module"] for item in found if item["module"] == "m1"] == names


async def test_many_modules_of_one_device_take_several_pages(app: App) -> None:
    device = app.put("many", "084")
    twin = app.hub.twins[device]
    for module in twin["properties"]["reported"]["modules"].values():
        module["runtimeStatus"] = "backoff"
    await app.handle(app.event(device))
    late = (app.now + HOUR * 24 * 365).isoformat().replace("+00:00", "Z")
    fleet = app.services.fleet()
    found = await pages(fleet, routes.modules, stuckBefore=late, limit=4)
    names = [item["module"] for page in found for item in page]
    assert len(names) > 12
    assert names == [item["module"] for item in await listed(fleet, routes.modules, stuckBefore=late, limit=200)]
    assert [len(page) for page in found[:-1]] == [4] * (len(found) - 1)
    await app.flag_stuck(HOUR * 24 * 365)
    stuck = await listed(fleet, routes.modules, stuck="true", limit=4)
    assert sorted(item["module"] for item in stuck) == sorted(names)
    assert (await ask(fleet, routes.device, deviceId=device)).json["modules"]["stuck"] == len(names)


async def test_an_index_row_of_a_module_that_has_recovered_is_skipped(app: App) -> None:
    await several(app)
    await app.flag_stuck(HOUR)
    index = app.client.get_table_client("DeploymentIndex")
    left = [row async for row in index.list_entities() if row["RowKey"].startswith("module|")]
    device = f"{app.prefix}-9"
    app.report(device, HOUR, runtimeStatus="running")
    await app.handle(app.event(device))
    await app.flag_stuck(HOUR)
    for row in left:
        await index.upsert_entity(row)
    found = await listed(app.services.fleet(), routes.modules, stuck="true")
    assert len(found) == len(left) - 1
    assert device not in [item["deviceId"] for item in found]
    await app.empty()
