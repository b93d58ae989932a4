"""What runs in a fleet, and lists of devices by what they run, by what they report, and by their ids."""

import asyncio
import csv
import io
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from app_over_azurite import App, fresh_app
from asking import ask, listed, pages

from benchmarks.seeding import seed_devices
from local.azurite import azurite_tables
from local.tables import TableProxy, table_proxy
from status_app.fleet_index.rows import SHARDS
from status_app.http import routes
from status_app.storage.keys import TRANSITION
from status_core import Flag

DEVICES = 2_000
IMAGES = ("example.azurecr.io/camera:1", "example.azurecr.io/camera:2", "example.azurecr.io/camera:2-arm64")
type Fleet = Mapping[str, list[Mapping[str, Any]]]
"""The rows of each device."""
DIGESTS = ("sha256:" + "a" * 64, "sha256:" + "b" * 64, None)


async def rows_of(tables: str, *cases: str) -> list[dict[str, Any]]:
    """The rows of a device of each case."""
    found = []
    async with fresh_app(tables) as app:
        for case in cases:
            device = app.put(case, case, configurations={"camera-2": {"status": "Applied"}})
            await app.handle(app.event(device))
            rows = await app.rows(device)
            found.append({key: dict(row) for key, row in rows.items() if not key.startswith(TRANSITION)})
    return found


def a_fleet(kinds: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of many devices of several kinds, with different images, digests and versions."""
    chance = random.Random(21)  # noqa: S311 (the same fleet each time)

    def one(*values: Any) -> Any:
        """The first of some values, seldom another: a test reads every device that a filter finds."""
        return values[0] if chance.random() < 0.95 else chance.choice(values[1:])

    fleet: dict[str, list[Mapping[str, Any]]] = {}
    for number in range(DEVICES):
        kind = one(*kinds)
        rows: list[Mapping[str, Any]] = []
        for key, row in kind.items():
            changed = {**row}
            if key.startswith("module:"):
                changed["ReportedImage"] = one(*IMAGES)
                digest = one(*DIGESTS)
                changed |= {"ImageHash": digest} if digest else {}
            else:
                changed["AgentVersion"] = one("1.5.21", "1.4.3")
                changed["Flags"] = json.dumps(one([], [Flag.NOT_CREDITED]))
                changed["Cohorts"] = json.dumps(one([], ["ring=canary"], ["ring=wide"]))
            rows.append(changed)
        fleet[f"{one('south', 'north')}-{number:04d}"] = rows
    return fleet


def device_of(rows: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next(row for row in rows if row["RowKey"] == "device")


def modules_of(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["RowKey"].startswith("module:")]


@pytest.fixture(scope="module")
def seeded(accounts: Iterator[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Fleet]]:
    """A table service that holds a fleet."""
    fleet = a_fleet(asyncio.run(rows_of(next(accounts), "003", "048", "002", "028")))
    folder = tmp_path_factory.mktemp("fleet")
    seed_devices(folder, fleet)
    with azurite_tables(folder) as tables:
        yield tables, fleet


@pytest.fixture
async def large(seeded: tuple[str, Fleet]) -> AsyncIterator[tuple[App, TableProxy, Fleet]]:
    tables, fleet = seeded
    async with table_proxy(tables) as proxy:
        app = App(proxy.connection_string)
        yield app, proxy, fleet
        await app.close()


async def test_every_filter_finds_what_a_scan_of_the_table_finds(
    large: tuple[App, TableProxy, Fleet],
) -> None:
    app, proxy, fleet = large
    reader = app.services.fleet()
    questions: list[tuple[dict[str, Any], Any]] = [
        ({"image": IMAGES[1]}, lambda rows: any(row["ReportedImage"] == IMAGES[1] for row in modules_of(rows))),
        (
            {"digest": DIGESTS[1] or ""},
            lambda rows: any(row.get("ImageHash") == DIGESTS[1] for row in modules_of(rows)),
        ),
        (
            {"image": IMAGES[0], "digest": DIGESTS[1] or ""},
            lambda rows: any(
                (row["ReportedImage"], row.get("ImageHash")) == (IMAGES[0], DIGESTS[1]) for row in modules_of(rows)
            ),
        ),
        ({"agentVersion": "1.4.3"}, lambda rows: device_of(rows)["AgentVersion"] == "1.4.3"),
        ({"reason": "backoff"}, lambda rows: device_of(rows)["Reason"] == "backoff"),
        ({"flag": "not_credited"}, lambda rows: "not_credited" in device_of(rows)["Flags"]),
        ({"cohort": "ring=canary"}, lambda rows: "ring=canary" in device_of(rows)["Cohorts"]),
        (
            {"cohort": "ring=wide", "state": "successful", "image": IMAGES[0], "deployment": "camera-2"},
            lambda rows: (
                "ring=wide" in device_of(rows)["Cohorts"]
                and device_of(rows)["State"] == "successful"
                and any(row["ReportedImage"] == IMAGES[0] for row in modules_of(rows))
            ),
        ),
    ]
    for words, is_meant in questions:
        expected = sorted(name for name, rows in fleet.items() if is_meant(rows))
        assert 10 < len(expected) < 200
        found = [item["deviceId"] for item in await listed(reader, routes.devices, limit=200, **words)]
        assert found == expected, words
    for prefix in ("north", "south-19", "south-000", "south-1999", "north-%", "'", "x"):
        expected = sorted(name for name in fleet if name.startswith(prefix))
        assert [item["deviceId"] for item in await listed(reader, routes.devices, prefix=prefix, limit=200)] == expected
    before = proxy.requests["read"]
    answered = await ask(reader, routes.devices, urlencode({"image": IMAGES[1], "limit": 10}))
    assert len(answered.json["items"]) == 10
    assert proxy.requests["read"] - before == len(SHARDS) + 10  # a request for a thousand summaries, and the devices


async def test_the_inventory_is_the_sum_of_all_devices(
    large: tuple[App, TableProxy, Fleet],
) -> None:
    app, proxy, fleet = large
    reader = app.services.fleet()
    expected = Counter(
        (row["ReportedImage"], row.get("ImageHash"), row["RowKey"].removeprefix("module:"))
        for rows in fleet.values()
        for row in modules_of(rows)
    )
    before = proxy.requests["read"]
    items = (await ask(reader, routes.images, "limit=200")).json["items"]
    assert proxy.requests["read"] - before == len(SHARDS)
    assert {(item["image"], item["digest"], item["module"]): item["devices"] for item in items} == expected
    for item in items:
        assert item["digests"] == len({digest for image, digest, _ in expected if image == item["image"]})
    assert {deployment for item in items for deployment in item["deployments"]} == {"camera-2"}
    for limit in (1, 2, 7):
        found = await pages(reader, routes.images, limit=limit)
        assert [item for page in found for item in page] == items
    agents = await listed(reader, routes.agents, limit=1)
    assert {item["agentVersion"]: item["devices"] for item in agents} == Counter(
        device_of(rows)["AgentVersion"] for rows in fleet.values()
    )


async def test_filters_can_be_combined_with_stuck_and_with_a_cause(app: App) -> None:
    devices = [app.put(f"d{number}", "048") for number in range(4)]
    for number, device in enumerate(devices):
        app.hub.twins[device]["properties"]["reported"]["modules"]["m1"]["exitCode"] = number % 2
    await app.handle(*map(app.event, devices))
    fleet = app.services.fleet()
    causes = {item["exitCode"]: item["causeId"] for item in await listed(fleet, routes.causes)}
    odd = [devices[1], devices[3]]
    assert [item["deviceId"] for item in await listed(fleet, routes.devices, cause=causes[1])] == odd
    assert await listed(fleet, routes.devices, cause=causes[1], stuck="true") == []
    await app.flag_stuck(timedelta(hours=1))
    found = await listed(fleet, routes.devices, cause=causes[1], stuck="true", prefix=devices[1])
    assert [item["deviceId"] for item in found] == odd[:1]
    assert len(await listed(fleet, routes.devices, stuck="true", reason="backoff")) == 4
    assert await listed(fleet, routes.devices, cause="0" * 16) == []
    assert await listed(fleet, routes.devices, image="none:1") == []


async def test_a_new_digest_of_the_same_tag_is_in_the_row_and_in_the_inventory(app: App) -> None:
    device, other = app.put("d", "003"), app.put("other", "003")
    await app.handle(app.event(device), app.event(other))
    with app.edit(device, timedelta(minutes=1)) as reported:
        reported["modules"]["m1"]["settings"]["imageHash"] = "sha256:new"
    await app.handle(app.event(device))
    assert (await app.state(device))["module:m1"]["ImageHash"] == "sha256:new"
    items = [item for item in await listed(app.services.fleet(), routes.images) if item["module"] == "m1"]
    assert len(items) == 2
    assert {item["digests"] for item in items} == {2}
    found = await listed(app.services.fleet(), routes.devices, digest="sha256:new")
    assert [item["deviceId"] for item in found] == [device]


async def test_very_long_names_of_images_and_modules_go_over_pages(app: App) -> None:
    device = app.put("long", "003")
    with app.edit(device, timedelta(0)) as reported:
        module = reported["modules"]["m1"]
        for last in "abc":
            image = {**module["settings"], "image": "é" * 2_000 + last, "imageHash": "ü" * 2_000 + last}
            reported["modules"]["ö" * 300 + last] = {**module, "settings": image}
    await app.handle(app.event(device))
    fleet = app.services.fleet()
    whole = await listed(fleet, routes.images, limit=200)
    found = await pages(fleet, routes.images, limit=1)
    assert [item for page in found for item in page] == whole
    assert len(whole) == len(found) >= 4


async def test_the_link_of_a_list_as_csv_leads_to_its_next_page(app: App) -> None:
    devices = [app.put(f"d{number}", "003") for number in range(5)]
    await app.handle(*map(app.event, devices))
    fleet = app.services.fleet()
    found, query = [], "prefix=" + app.prefix + "&format=csv&limit=2"
    while query:
        answered = await ask(fleet, routes.devices, query)
        assert (answered.status, answered.headers["Content-Type"]) == (200, "text/csv")
        found += list(csv.DictReader(io.StringIO(answered.body.decode())))
        link = answered.headers.get("Link", "")
        query = link.removeprefix("<?").removesuffix('>; rel="next"')
    assert [row["deviceId"] for row in found] == sorted(devices)
    assert {row["state"] for row in found} == {"successful"}
