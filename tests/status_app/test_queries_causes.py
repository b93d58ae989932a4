"""Questions about the causes of failures in the fleet."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

import pytest
from app_over_azurite import START, App, fresh_app
from asking import ask, listed, pages
from azure.data.tables import TransactionOperation, UpdateMode

from local.tables import table_proxy
from status_app.errors import UnavailableError
from status_app.fleet_index.leading_cause import cause_id, leading_cause
from status_app.fleet_index.peers import PeerRows, count_peers, inference
from status_app.fleet_index.profile import Profile
from status_app.fleet_index.rows import SHARDS, shard_of
from status_app.http import routes
from status_core import Cause, Reason

MINUTE = timedelta(minutes=1)
IMAGE = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.1"


def at(minutes: int) -> datetime:
    return START + minutes * MINUTE


@pytest.fixture
async def app(tables: str, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    """Its parameter is the number of partitions of the index: a test that counts requests takes all of them."""
    async with fresh_app(tables, shards=getattr(request, "param", 2)) as app:
        yield app


async def seen(app: App, name: str, case: str, *deployments: str, **m1: Any) -> str:
    """A device that the app has seen, by name and case, with its deployments and what it reports of m1."""
    device = app.put(name, case, configurations={deployment: {"status": "Applied"} for deployment in deployments})
    app.report(device, MINUTE, **m1)
    await app.handle(app.event(device))
    return device


async def test_devices_that_fail_alike_are_one_cause_with_the_first_and_the_newest_of_them(app: App) -> None:
    crashed = [
        await seen(app, f"crash-{number}", "048", "camera-2", runtimeStatus="backoff", exitCode=139)
        for number in range(5)
    ]
    other = await seen(app, "other", "048", "camera-3", runtimeStatus="backoff", exitCode=1)
    await seen(app, "well", "003", "camera-2")
    fleet = app.services.fleet()
    first, second = await listed(fleet, routes.causes)
    items = {item["deviceId"]: item for item in await listed(fleet, routes.devices)}
    assert first == {
        "causeId": cause_id(first["cause"]),
        "cause": items[crashed[0]]["cause"],
        "reason": "backoff",
        "module": "m1",
        "image": IMAGE,
        "exitCode": 139,
        "devices": 5,
        "stuck": 0,
        "since": first["examples"][0]["since"],
        "newest": {"deviceId": crashed[4], "since": first["newest"]["since"]},
        "examples": [
            {"deviceId": device, "since": first["examples"][number]["since"]}
            for number, device in enumerate(crashed[:3])
        ],
        "message": first["message"],
        "means": "The module has exited, and the agent waits before it starts it again.",
        "advice": "Read the logs of the module.",
        "peers": None,
    }
    times = [example["since"] for example in first["examples"]]
    assert times == sorted(times)
    assert times[-1] < first["newest"]["since"]
    assert "exit code 139" in first["message"]
    assert (second["exitCode"], second["devices"], second["newest"]["deviceId"]) == (1, 1, other)
    path = {"causeId": first["causeId"]}
    assert [item["deviceId"] for item in await listed(fleet, routes.cause_devices, path=path, limit=2)] == crashed


async def test_the_causes_of_stuck_devices_come_first_and_add_up_to_all_of_them(app: App) -> None:
    for number in range(3):
        await seen(app, f"stuck-{number}", "048", "a", "b", runtimeStatus="backoff", exitCode=139)
    await seen(app, "pull", "028", "a")
    await app.flag_stuck(timedelta(hours=1))
    for number in range(4):
        await seen(app, f"new-{number}", "048", "b", runtimeStatus="backoff", exitCode=1)
    fleet = app.services.fleet()
    causes = await listed(fleet, routes.causes)
    stuck = await listed(fleet, routes.devices, stuck="true")
    assert [(item["stuck"], item["devices"]) for item in causes] == [(3, 3), (1, 1), (0, 4)]
    assert sum(item["stuck"] for item in causes) == len(stuck)
    for deployment, expected in (("a", [(3, 3), (1, 1)]), ("b", [(3, 3), (0, 4)]), ("c", [])):
        found = await listed(fleet, routes.causes, deployment=deployment)
        assert [(item["stuck"], item["devices"]) for item in found] == expected
        devices = {item["deviceId"]: item for item in await listed(fleet, routes.devices, deployment=deployment)}
        assert {example["deviceId"] for item in found for example in item["examples"]} <= devices.keys()


async def test_a_device_whose_module_runs_for_a_moment_stays_under_its_cause(app: App) -> None:
    device = await seen(app, "loop", "048", "a", runtimeStatus="backoff", exitCode=139)
    await app.flag_stuck(timedelta(hours=1))
    (before,) = await listed(app.services.fleet(), routes.causes)
    app.report(device, MINUTE, runtimeStatus="running")
    await app.handle(app.event(device))
    (after,) = await listed(app.services.fleet(), routes.causes)
    assert (await app.state(device))["device"]["State"] == "successful"
    assert {**after, "message": None} == {**before, "message": None}
    await app.flag_stuck(timedelta(hours=1))
    assert await listed(app.services.fleet(), routes.causes) == []
    assert (await ask(app.services.fleet(), routes.cause_devices, causeId=before["causeId"])).status == 404


async def test_a_device_that_only_waits_in_a_rollout_has_no_cause_until_it_is_stuck(app: App) -> None:
    device = app.put("waits", "002", connectionState="Connected", configurations={"a": {"status": "Applied"}})
    await app.handle(app.event(device))
    assert (await app.state(device))["device"]["Reason"] == "waiting_for_device"
    assert await listed(app.services.fleet(), routes.causes) == []
    assert [key for key in await app.index() if key.startswith(("cause|", "count||"))] == []
    await app.flag_stuck(timedelta(hours=1))
    (cause,) = await listed(app.services.fleet(), routes.causes)
    assert (cause["cause"], cause["stuck"], cause["module"], cause["image"]) == ("waiting_for_device", 1, None, None)


async def test_each_cause_is_on_one_page_at_any_limit(app: App) -> None:
    for code in range(7):
        for number in range(1 + code % 3):
            await seen(app, f"{code}-{number}", "048", "a", runtimeStatus="backoff", exitCode=code)
    fleet = app.services.fleet()
    expected = await listed(fleet, routes.causes)
    assert Counter(item["devices"] for item in expected) == {1: 3, 2: 2, 3: 2}
    for limit in (1, 2, 6, 7, 8):
        found = await pages(fleet, routes.causes, limit=limit)
        assert [item for page in found for item in page] == expected
        assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)


async def test_a_cause_that_no_device_has_is_not_found(app: App) -> None:
    for cause in ("0123456789abcdef", "backoff", "..", "'", "0" * 2000, "%00"):
        answered = await ask(app.services.fleet(), routes.cause_devices, causeId=cause)
        assert (answered.status, "no device has a cause with this id" in answered.json["detail"]) == (404, True), cause


async def test_without_tables_there_is_no_cause(tables: str) -> None:
    app = App(tables)
    assert await listed(app.services.fleet(), routes.causes) == []
    assert (await ask(app.services.fleet(), routes.cause_devices, causeId="0123456789abcdef")).status == 404
    await app.close()


async def many(app: App, causes: list[tuple[str, int]]) -> None:
    """Write the rows of the index that so many devices of each cause would have."""
    shards: dict[str, list[dict[str, Any]]] = {shard: [] for shard in SHARDS}
    counters = Counter[tuple[str, str]]()
    like = {"Deployment": "", "State": "module_failed", "Reason": "backoff", "Portal": "", "Stuck": False}
    for line, devices in causes:
        for number in range(devices):
            device = f"{cause_id(line)}-{number}"
            shard, time = shard_of(device), f"2024-05-02T09:{number // 60:02d}:{number % 60:02d}.000000+00:00"
            key = f"cause|{cause_id(line)}|{time}|{device}"
            shards[shard].append({"PartitionKey": shard, "RowKey": key, "Device": device, "Stuck": False})
            counters[shard, line] += 1
    for (shard, line), devices in counters.items():
        key = f"count|||module_failed|backoff||0|{cause_id(line)}"
        shards[shard].append({"PartitionKey": shard, "RowKey": key, "Cause": line, "Devices": devices, **like})
    table = app.client.get_table_client("DeploymentIndex")
    for rows in shards.values():
        for part in batched(rows, 100, strict=False):
            await table.submit_transaction([(TransactionOperation.CREATE, row) for row in part])


@pytest.mark.parametrize("app", [len(SHARDS)], indirect=True)
async def test_ten_thousand_causes_are_answered_page_by_page(app: App, tables: str) -> None:
    lines = [f"backoff: m1, image:{number}, exit code 1" for number in range(10_000)]
    await many(app, [(line, 1) for line in lines])
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        answered = (await ask(services.fleet(), routes.causes, "limit=200")).json
        # Of each partition: devices that have more rows than fit, counters, and examples of devices. Then the peers.
        assert proxy.requests_of["DeploymentIndex"]["read"] == 3 * len(SHARDS) + 1
        assert proxy.requests_of["DeploymentStatus"]["read"] <= 2 * 200
    found = [item["cause"] for item in answered["items"]]
    assert len(set(found)) == 200
    assert all(item["examples"] and item["newest"] for item in answered["items"])
    token = answered["next"]
    answered = (await ask(app.services.fleet(), routes.causes, f"limit=200&next={token}")).json
    assert not set(found) & {item["cause"] for item in answered["items"]}


@pytest.mark.parametrize("app", [len(SHARDS)], indirect=True)
async def test_the_rest_of_a_cause_of_very_many_devices_is_skipped_once_its_first_are_known(
    app: App, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("status_app.fleet_index.lookups.PAGE", 10)
    big, small = "backoff: m1, image:1, exit code 1", "backoff: m1, image:2, exit code 1"
    await many(app, [(big, 1_000), (small, 20)])
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        first, second = (await ask(services.fleet(), routes.causes)).json["items"]
        reads = proxy.requests_of["DeploymentIndex"]["read"]
    assert (first["devices"], first["newest"]) == (1_000, None)
    assert [item["deviceId"] for item in first["examples"]] == [f"{cause_id(big)}-{number}" for number in range(3)]
    assert (second["devices"], second["newest"]["deviceId"]) == (20, f"{cause_id(small)}-19")
    assert reads <= (2 + 3) * len(SHARDS)


def test_a_device_without_a_cause_has_that_of_the_module_stuck_longest() -> None:
    rows: dict[str, dict[str, Any]] = {
        "device": {"Reason": "as_desired", "State": "successful", "Since": at(5)},
        "module:a": {"Reason": "backoff", "Cause": "backoff: a", "StuckSince": at(2), "Since": at(1)},
        "module:old": {"Reason": "not_desired", "StuckSince": at(1), "Since": at(0)},
    }
    found = leading_cause(rows)
    assert found is not None
    assert (found.line, found.since) == ("not_desired: old", at(0))
    del rows["module:old"]["StuckSince"]
    found = leading_cause(rows)
    assert found is not None
    assert (found.line, found.since) == ("backoff: a", at(1))
    del rows["module:a"]["StuckSince"]
    assert leading_cause(rows) is None


async def test_peers_show_with_numbers_and_their_time_whether_the_image_or_the_device_fails(app: App) -> None:
    for number in range(3):
        await seen(app, f"crash-{number}", "048", "a", runtimeStatus="backoff", exitCode=139)
    await app.flag_stuck()
    (cause,) = await listed(app.services.fleet(), routes.causes)
    assert cause["peers"] == {
        "devices": 3,
        "running": 0,
        "failing": 3,
        "shared": None,
        "countedAt": cause["peers"]["countedAt"],
        "says": "It fails on all 3 devices that got this image: the image seems to be the problem.",
    }
    assert cause["advice"] == "Check the image, or go back to the previous one."
    for number in range(4):
        await seen(app, f"well-{number}", "048", "a", runtimeStatus="running")
    await app.flag_stuck(MINUTE)
    (same,) = await listed(app.services.fleet(), routes.causes)
    assert same["peers"] == cause["peers"]  # it is neither new nor doubled
    for number in range(3):
        await seen(app, f"more-{number}", "048", "a", runtimeStatus="backoff", exitCode=139)
    await app.flag_stuck(MINUTE)
    (same,) = await listed(app.services.fleet(), routes.causes)
    assert (same["devices"], same["peers"]) == (6, cause["peers"])  # not before ten minutes have passed
    await app.flag_stuck(10 * MINUTE)
    (now,) = await listed(app.services.fleet(), routes.causes)
    assert (now["peers"]["devices"], now["peers"]["running"], now["peers"]["failing"]) == (6, 4, 6)
    assert now["peers"]["says"].startswith("It fails on 6 of 10 devices that got this image")


async def test_peers_are_counted_again_after_an_hour_in_which_others_got_the_image(app: App) -> None:
    for number in range(3):
        await seen(app, f"crash-{number}", "048", "a", runtimeStatus="backoff", exitCode=139)
    await app.flag_stuck()
    for number in range(4):
        await seen(app, f"well-{number}", "048", "a", runtimeStatus="running")
    for _ in range(7):  # nothing changes any more
        await app.flag_stuck(10 * MINUTE)
    (cause,) = await listed(app.services.fleet(), routes.causes)
    assert (cause["peers"]["failing"], cause["peers"]["running"]) == (3, 4)


async def test_peers_are_counted_after_a_failed_run_though_nothing_has_changed(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seen(app, "crash", "048", "a", runtimeStatus="backoff", exitCode=139)

    async def down(_: PeerRows) -> Any:
        raise UnavailableError("tables", "answer 503")

    with monkeypatch.context() as patch:
        patch.setattr(PeerRows, "read", down)
        with pytest.raises(ExceptionGroup):
            await app.flag_stuck()
    await app.flag_stuck(10 * MINUTE)
    (cause,) = await listed(app.services.fleet(), routes.causes)
    assert cause["peers"]["failing"] == 1


async def test_a_row_that_cannot_be_read_costs_a_cause_only_what_the_row_holds(app: App) -> None:
    for number in range(2):
        await seen(app, f"crash-{number}", "048", "a", runtimeStatus="backoff", exitCode=139)
    await app.flag_stuck()
    index = app.client.get_table_client("DeploymentIndex")
    summaries = [row async for row in index.query_entities("RowKey ge 'summary|' and RowKey lt 'summary}'")]
    await index.update_entity({**summaries[0], "Flags": "["}, mode=UpdateMode.REPLACE)
    await seen(app, "other", "048", "a", runtimeStatus="backoff", exitCode=1)
    await app.flag_stuck(10 * MINUTE)  # peers are counted without it
    fleet = app.services.fleet()
    whole, _ = await listed(fleet, routes.causes)
    assert whole["peers"]["failing"] == 1
    status = app.client.get_table_client("DeploymentStatus")
    first = whole["examples"][0]["deviceId"]
    row = await status.get_entity(first, "module:m1")
    del row["Message"]
    await status.update_entity(row, mode=UpdateMode.REPLACE)
    await index.upsert_entity({"PartitionKey": "peers", "RowKey": whole["causeId"], "Devices": 1}, UpdateMode.REPLACE)
    found, _ = await listed(fleet, routes.causes)
    assert "exit code 139" in found["message"]
    assert found == {**whole, "peers": None, "advice": found["advice"], "message": found["message"]}
    await status.update_entity({**row, "Message": whole["message"]}, mode=UpdateMode.REPLACE)


async def test_a_cause_of_devices_without_a_deployment_has_examples(app: App) -> None:
    device = app.put("alone", "048", configurations={})
    app.report(device, MINUTE, runtimeStatus="backoff", exitCode=139)
    await app.handle(app.event(device))
    (cause,) = await listed(app.services.fleet(), routes.causes, deployment="~individual")
    assert [example["deviceId"] for example in cause["examples"]] == [device]
    assert cause["message"]


def profile(image: str | None, cause: str = "", **changes: Any) -> Profile:
    images = {"m1": (image, None)} if image else {}
    base = Profile("module_failed", "backoff", cause, False, ("a",), "1.5.21", (), images, ())
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("reason", "fleet", "says"),
    [
        (Reason.PULL_FAILED, [profile(None, "c")] * 3, "No device runs this image, and 3 devices cannot get it"),
        (
            Reason.PULL_FAILED,
            [profile("i:1")] * 9 + [profile("i:0", "c")],
            "9 devices run this image, and 1 cannot get it: this device seems to be the problem.",
        ),
        (
            Reason.PULL_FAILED,
            [profile("i:1"), profile(None, "c")],
            "1 device runs this image, and 1 cannot get it",
        ),
        (Reason.DISK_FULL, [profile(None, "c")] * 3, None),
        (Reason.BACKOFF, [profile("i:1", "c")], "It fails on the only device that got this image"),
        (Reason.BACKOFF, [profile("i:1", "c")] * 2 + [profile(None, "c")], "It fails on all 2 devices that got"),
        (
            Reason.BACKOFF,
            [profile("i:1", "c", cohorts=("ring=canary",)), profile("i:1"), profile("i:2")],
            "It fails on 1 of 2 devices that got this image; these have in common: ring=canary.",
        ),
        (Reason.PULL_FAILED, [], None),
        (Reason.EXITED, [profile(None, "c")], None),
    ],
)
def test_peers_are_interpreted_by_their_numbers(reason: Reason, fleet: list[Profile], says: str | None) -> None:
    cause = Cause(reason, "m1", "i:1")
    found = inference(cause, count_peers({"c": cause}, fleet, START)["c"])
    assert (found is None) is (says is None)
    assert found is None or found[0].startswith(says or "")
