"""Questions about devices: one, and lists of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import DELETED, App
from asking import ask, listed, pages
from azure.data.tables import EdmType, EntityProperty

from local.tables import table_proxy
from status_app.fleet_index.rows import shard_of
from status_app.http import routes
from status_app.storage.keys import TRANSITION, escape, time_text, transition_key
from status_core import State

MINUTE = timedelta(minutes=1)
ODD = "-.+%_#*?!(),:=@$'aZ9"
"""Every kind of character that IoT Hub allows in the id of a device."""


async def seen(app: App, *cases: tuple[str, str]) -> list[str]:
    """Devices by name and case that the app has seen."""
    devices = [app.put(name, case) for name, case in cases]
    await app.handle(*map(app.event, devices))
    return devices


def ids(items: Sequence[Any]) -> list[str]:
    return [item["deviceId"] for item in items]


async def test_devices_come_by_state_and_then_by_id_in_pages_that_miss_and_repeat_none(app: App) -> None:
    cases = ["090", "048", "002", "048", "090", "001", "010"] * 3
    devices = await seen(app, *((f"{number:02d}", case) for number, case in enumerate(cases)))
    fleet = app.services.fleet()
    expected = ids(await listed(fleet, routes.devices))
    items = await listed(fleet, routes.devices, limit=200)
    assert [(item["state"], item["deviceId"]) for item in items] == sorted(
        (item["state"], item["deviceId"]) for item in items
    )
    assert sorted(expected) == sorted(devices)
    for limit in (1, 2, 7, 20, 21, 22):
        found = await pages(fleet, routes.devices, limit=limit)
        assert ids([item for page in found for item in page]) == expected
        assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)


async def test_filters_of_devices_can_be_combined_at_any_limit(app: App) -> None:
    cases = ["090", "048", "002", "048", "090", "005", "048"]
    await seen(app, *((str(number), case) for number, case in enumerate(cases)))
    await app.flag_stuck(timedelta(hours=1))
    fleet = app.services.fleet()
    everything = await listed(fleet, routes.devices)
    deployments = {name for item in everything for name in item["deployments"]}
    assert len(deployments) > 1
    assert any(item["stuck"] for item in everything)
    for state in (None, *State):
        for deployment in (None, "unknown", *deployments):
            for stuck in (None, "true"):
                asked = {"state": state, "deployment": deployment, "stuck": stuck}
                expected = [
                    item
                    for item in everything
                    if (state is None or item["state"] == state)
                    and (deployment is None or deployment in item["deployments"])
                    and (stuck is None or item["stuck"])
                ]
                if stuck:
                    expected.sort(key=lambda item: (item["stuckSince"], item["deviceId"]))
                elif deployment:
                    expected.sort(key=lambda item: item["deviceId"])
                given = {name: value for name, value in asked.items() if value is not None}
                for limit in (1, 2, 50):
                    assert await listed(fleet, routes.devices, limit=limit, **given) == expected


async def test_the_longest_stuck_device_comes_first(app: App) -> None:
    devices = []
    for number in range(3):
        devices += await seen(app, (f"{9 - number}", "048"))
        app.report(devices[-1], timedelta(hours=1), runtimeStatus="running")
        await app.handle(app.event(devices[-1]))
        app.report(devices[-1], timedelta(hours=1), runtimeStatus="backoff")
        await app.handle(app.event(devices[-1]))
        await app.flag_stuck(timedelta(hours=1))
    found = await listed(app.services.fleet(), routes.devices, stuck="true")
    assert ids(found) == devices


async def test_an_outdated_index_row_is_skipped_and_the_page_is_filled(app: App) -> None:
    devices = await seen(app, *((f"{number:02d}", "048") for number in range(40)))
    index, table = (app.client.get_table_client(name) for name in ("DeploymentIndex", "DeploymentStatus"))
    for device in devices[:10]:  # they are gone, which is not projected yet
        for key in await app.rows(device):
            await table.delete_entity(escape(device), key)
    for device in devices[10:20]:  # they had another state, and the new one is not projected yet
        await index.upsert_entity(
            {"PartitionKey": shard_of(device), "RowKey": f"state|empty|{device}", "Device": device}
        )
    fleet = app.services.fleet()
    answered = await ask(fleet, routes.devices, "limit=12&state=module_failed")
    assert ids(answered.json["items"]) == devices[10:22]
    assert ids(await listed(fleet, routes.devices, limit=12, state="module_failed")) == devices[10:]
    assert await listed(fleet, routes.devices, limit=12, state="empty") == []
    await app.empty()


async def test_no_page_is_followed_by_an_empty_one(app: App) -> None:
    devices = await seen(app, *((f"{number:02d}", "048") for number in range(30)))
    await app.flag_stuck(timedelta(hours=1))
    fleet = app.services.fleet()
    table = app.client.get_table_client("DeploymentStatus")
    for last in (5, 4, 3):
        for device in devices[last:]:  # all after these are gone
            for key in await app.rows(device):
                await table.delete_entity(escape(device), key)
        queries: list[dict[str, Any]] = [{}, {"state": "module_failed"}, {"stuck": "true"}]
        for limit in (3, 4, 5):
            for query in queries:
                found = await pages(fleet, routes.devices, limit=limit, **query)
                assert [len(page) for page in found] == [limit] * (last // limit) + [last % limit] * (last % limit > 0)
            modules = await pages(fleet, routes.modules, limit=limit, stuck="true")
            assert all(modules)
    await app.empty()


async def test_work_is_bounded_if_many_rows_are_outdated_and_the_list_goes_on(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("status_app.queries.pages.MOST_READS", 40)
    (device,) = await seen(app, ("zz", "048"))
    index = app.client.get_table_client("DeploymentIndex")
    operations: dict[str, list[Any]] = {}
    state = "module_failed"
    for number in range(90):
        gone = f"gone-{number:02d}"
        row = {"PartitionKey": shard_of(gone), "RowKey": f"state|{state}|{gone}", "Device": gone}
        operations.setdefault(shard_of(gone), []).append(("upsert", row))
    for found in operations.values():
        await index.submit_transaction(found)
    async with table_proxy(app.environment["STATUS_TABLES"]) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        first = await ask(services.fleet(), routes.devices, f"limit=5&state={state}")
        assert first.json["next"] is not None
        assert proxy.requests_of["DeploymentStatus"]["read"] <= 2 * 40
        found = await pages(services.fleet(), routes.devices, limit=5, state=state)
        await services.close()
    assert ids([item for page in found for item in page]) == [device]
    assert len(found) < 5


async def test_a_device_comes_with_its_modules_and_their_evidence_in_two_requests(app: App, tables: str) -> None:
    (device,) = await seen(app, ("one", "048"))
    for _ in range(5):
        app.report(device, MINUTE * 2, runtimeStatus="running")
        await app.handle(app.event(device))
        app.report(device, MINUTE * 2, runtimeStatus="backoff")
        await app.handle(app.event(device))
    rows = await app.rows(device)
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        answer = (await ask(services.fleet(), routes.device, deviceId=device)).json
        assert proxy.requests_of == {"DeploymentStatus": {"read": 1}, "Deployments": {"read": 1}}  # the hub's list
        missing = await ask(services.fleet(), routes.device, deviceId="missing")
        assert proxy.requests_of == {"DeploymentStatus": {"read": 2}, "Deployments": {"read": 1}}
        await services.close()
    assert missing.status == 404
    summary = next(item for item in await listed(app.services.fleet(), routes.devices))
    assert summary == {
        name: value for name, value in answer.items() if name not in ("moduleStates", "standings", "evidence", "advice")
    }
    assert [module["module"] for module in answer["moduleStates"]] == ["$edgeHub", "m1"]
    module = answer["moduleStates"][1]
    assert (module["state"], module["reason"], module["exitCode"]) == ("wrong_status", "backoff", 139)
    assert module["unsettledSince"] == f"{time_text(rows['module:m1']['UnsettledSince']).removesuffix('+00:00')}Z"
    history = await listed(app.services.fleet(), routes.transitions, path={"deviceId": device})
    newest: dict[str, Any] = {}
    for transition in history:
        newest.setdefault(transition["module"] or "$edgeAgent", transition["evidence"])
    assert answer["evidence"] == newest
    assert set(newest) == {"$edgeAgent", "m1"}


async def test_a_state_that_is_not_announced_yet_has_no_evidence_of_the_state_before(app: App) -> None:
    (device,) = await seen(app, ("one", "048"))
    app.report(device, MINUTE, runtimeStatus="running")
    await app.handle(app.event(device))
    answer = (await ask(app.services.fleet(), routes.device, deviceId=device)).json
    assert (answer["state"], answer["announcedState"], answer["evidence"]) == ("successful", "module_failed", {})


async def test_a_device_with_a_long_history_takes_two_requests_too(app: App, tables: str) -> None:
    (device,) = await seen(app, ("long", "048"))
    rows = await app.rows(device)
    table = app.client.get_table_client("DeploymentStatus")
    last = 1500
    newest = next(row for key, row in rows.items() if key.startswith(TRANSITION))
    for start in range(rows["device"]["Sequence"].value + 1, last + 1, 100):
        numbers = range(start, min(start + 100, last + 1))
        await table.submit_transaction(
            [
                (
                    "upsert",
                    {**newest, "RowKey": transition_key(number), "Sequence": EntityProperty(number, EdmType.INT64)},
                )
                for number in numbers
            ]
        )
    await table.upsert_entity({**rows["device"], "Sequence": EntityProperty(last, EdmType.INT64)})
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        answer = (await ask(services.fleet(), routes.device, deviceId=device)).json
        assert (answer["sequence"], len(answer["moduleStates"])) == (last, 2)
        assert proxy.requests_of == {"DeploymentStatus": {"read": 1}, "Deployments": {"read": 1}}
        await services.close()
    await app.empty()


async def test_transitions_come_newest_first_in_pages(app: App) -> None:
    (device,) = await seen(app, ("one", "048"))
    for status in ("running", "backoff") * 4:
        app.report(device, MINUTE * 2, runtimeStatus=status)
        await app.handle(app.event(device))
    last = (await app.rows(device))["device"]["Sequence"].value
    for limit in (1, 3, last - 1, last, last + 1):
        found = await pages(app.services.fleet(), routes.transitions, path={"deviceId": device}, limit=limit)
        assert [item["sequence"] for page in found for item in page] == list(range(last, 0, -1))
        assert len(found) == -(-last // limit)


async def test_no_transition_after_the_sequence_of_the_device_is_shown(app: App) -> None:
    (device,) = await seen(app, ("one", "048"))
    rows = await app.rows(device)
    last = rows["device"]["Sequence"].value
    ahead = {**rows[transition_key(last)], "RowKey": transition_key(last + 1), "Evidence": "[]"}
    table = app.client.get_table_client("DeploymentStatus")
    await table.create_entity(ahead)
    fleet = app.services.fleet()
    shown = await listed(fleet, routes.transitions, path={"deviceId": device})
    assert [item["sequence"] for item in shown] == list(range(last, 0, -1))
    assert (await ask(fleet, routes.device, deviceId=device)).json["evidence"]["$edgeAgent"] != []
    await table.delete_entity(ahead)


async def test_the_history_of_a_deleted_device_stays_and_the_device_is_unknown(app: App) -> None:
    (device,) = await seen(app, ("gone", "048"))
    twin = app.hub.twins.pop(device)
    await app.handle(app.event(device, b"{}", **DELETED))
    fleet = app.services.fleet()
    assert (await ask(fleet, routes.device, deviceId=device)).status == 404
    assert await listed(fleet, routes.devices) == []
    history = await listed(fleet, routes.transitions, path={"deviceId": device}, limit=2)
    assert [item["kind"] for item in history][:1] == ["deleted"]
    assert history[0]["toState"] == ""
    app.hub.twins[device] = twin
    app.now += MINUTE
    await app.handle(app.event(device))
    again = await listed(fleet, routes.transitions, path={"deviceId": device}, limit=2)
    assert again[-len(history) :] == history
    assert (await ask(fleet, routes.device, deviceId=device)).json["sequence"] == len(again)


async def test_a_device_whose_first_change_is_half_written_is_unknown(app: App) -> None:
    (device,) = await seen(app, ("half", "048"))
    rows = await app.rows(device)
    table = app.client.get_table_client("DeploymentStatus")
    half = {name: value for name, value in rows["device"].items() if name != "TwinVersion"} | {"State": ""}
    await table.delete_entity(half)
    await table.create_entity(half)  # the rows of the index stay
    fleet = app.services.fleet()
    assert (await ask(fleet, routes.device, deviceId=device)).status == 404
    assert await listed(fleet, routes.devices) == []
    await app.empty()


async def test_a_device_id_of_every_legal_character_finds_only_its_device(app: App) -> None:
    device = app.put(ODD, "048")
    other = app.put("x", "048")
    await app.handle(app.event(device), app.event(other))
    fleet = app.services.fleet()
    assert (await ask(fleet, routes.device, deviceId=device)).json["deviceId"] == device
    assert ids(await listed(fleet, routes.devices, limit=1)) == sorted([device, other], key=escape)
    assert {
        item["eventId"].split("/")[1] for item in await listed(fleet, routes.transitions, path={"deviceId": device})
    } == {device}
