"""The sources of a command: the API and the tables give the same answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from api_over_tables import KEY, running_api
from app_over_azurite import DELETED, SECRET, App

from status_app.commands.fleet_status import FleetStatus, RefusedError
from status_app.commands.fleet_status.api import ApiFleetStatus
from status_app.commands.fleet_status.choose_source import choose_source
from status_app.commands.fleet_status.tables import TableFleetStatus
from status_app.errors import SettingError, UnavailableError

SUCCESSFUL, BACKOFF, PENDING, INVALID, APPLIED = "003", "048", "002", "007", "camera-2"
ODD = "a device/with?odd#parts%20'and\u00e4"


async def no_wait(_seconds: float) -> None:
    """Take no time."""


@asynccontextmanager
async def both_sources(app: App, tables: str) -> AsyncIterator[tuple[FleetStatus, FleetStatus]]:
    reader = TableFleetStatus(tables, clock=lambda: app.now)
    async with running_api(app.services.fleet()) as api:
        client = ApiFleetStatus(api.url, KEY, sleep=no_wait)
        try:
            yield reader, client
        finally:
            await client.close()
            await reader.close()


async def seen(app: App, name: str, case: str, *, stuck: bool = False) -> str:
    """A device with the deployment applied, that the app knows."""
    device = app.put(name, case, configurations={APPLIED: {"status": "Applied"}})
    await app.handle(app.event(device))
    if stuck:
        await app.flag_stuck(timedelta(hours=1))
    return device


async def names(found: AsyncIterator[Any]) -> list[str]:
    return [device["deviceId"] async for device in found]


async def test_a_deployment_is_counted_and_its_devices_are_listed(app: App, tables: str) -> None:
    pending = await seen(app, "pending", PENDING)
    first = await seen(app, "b-stuck", BACKOFF, stuck=True)  # and the one that is pending with it
    good = [await seen(app, f"good-{number}", SUCCESSFUL) for number in range(5)]
    invalid = await seen(app, "invalid", INVALID)
    await app.flag_stuck()
    async with both_sources(app, tables) as sources:
        for fleet in sources:
            counted = await fleet.deployment(APPLIED)
            assert counted is not None
            numbers = [counted[name] for name in ("devices", "successful", "failing", "stuck", "version")]
            assert numbers == [8, 5, 3, 3, 1]
            assert dict(counted["states"]) == {"successful": 5, "module_failed": 1, "pending": 1, "invalid": 1}
            assert counted["reasons"][0] == {"state": "successful", "reason": "as_desired", "devices": 5}
            assert sorted(await names(fleet.devices(APPLIED))) == sorted([pending, first, *good, invalid])
            assert await names(fleet.devices(APPLIED, state="successful")) == sorted(good)
            assert sorted(await names(fleet.devices(APPLIED, stuck=True))) == sorted([first, pending, invalid])
            assert await names(fleet.devices(APPLIED, state="pending", stuck=True)) == [pending]
            assert await names(fleet.devices(APPLIED, state="empty")) == []
            (listed,) = [item async for item in fleet.devices(APPLIED, state="module_failed")]
            assert (listed["reason"], listed["stuck"]) == ("backoff", True)
            assert listed["stuckSince"].endswith("Z")


async def test_a_device_has_its_modules_evidence_and_history(app: App, tables: str) -> None:
    device = await seen(app, ODD, BACKOFF, stuck=True)
    async with both_sources(app, tables) as sources:
        for fleet in sources:
            found = await fleet.device(device)
            assert found is not None
            assert found["state"] == "module_failed"
            assert found["modules"] == {"total": 2, "settled": 1, "stuck": 1}
            modules = {module["module"]: module for module in found["moduleStates"]}
            assert modules["m1"]["stuck"] is True
            assert any("runtimeStatus" in item["path"] for item in found["evidence"]["m1"])
            history = await fleet.transitions(device, 2)
            assert history[0]["kind"] == "stuck"
            assert len(history) == 2


async def test_a_deleted_device_has_only_its_history(app: App, tables: str) -> None:
    device = await seen(app, "gone", SUCCESSFUL)
    del app.hub.twins[device]
    await app.handle(app.event(device, **DELETED))
    async with both_sources(app, tables) as sources:
        for fleet in sources:
            assert await fleet.device(device) is None
            assert [item["kind"] for item in await fleet.transitions(device, 1)] == ["deleted"]


@pytest.mark.parametrize("has_tables", [True, False])
async def test_an_unknown_name_has_no_answer(has_tables: bool, app: App, tables: str) -> None:
    if not has_tables:
        for name in ("DeploymentStatus", "DeploymentIndex"):
            await app.client.delete_table(name)
    async with both_sources(app, tables) as sources:
        for fleet in sources:
            assert await fleet.deployment("nobody's") is None
            assert await names(fleet.devices("nobody's")) == []
            assert await fleet.device("nobody") is None
            assert await fleet.transitions("nobody", 5) == []
    if not has_tables:
        for name in ("DeploymentStatus", "DeploymentIndex"):
            await app.client.create_table(name)


@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")  # by the SDK
async def test_a_table_service_that_refuses_the_key_is_named_and_one_that_is_silent_is_unavailable(
    tables: str,
) -> None:
    parts = dict(part.partition("=")[::2] for part in tables.split(";"))
    wrong = tables.replace(parts["AccountKey"], "aHVudGVyMg==")
    silent = tables.replace(parts["TableEndpoint"], "http://127.0.0.1:1/devstoreaccount1")
    for value, error in ((wrong, RefusedError), (silent, UnavailableError)):
        fleet = TableFleetStatus(value)
        with pytest.raises(error):
            await fleet.deployment(APPLIED)
        with pytest.raises(error):
            await fleet.device("d")
        await fleet.close()


@pytest.mark.parametrize(
    ("environment", "url", "message"),
    [
        ({}, None, "neither DEPLOYMENT_STATUS_URL"),
        ({"STATUS_TABLES": f"AccountKey={SECRET}"}, None, "STATUS_TABLES is neither"),
        ({"STATUS_TABLES": f"AccountName=;AccountKey={SECRET}"}, None, "STATUS_TABLES is neither"),
        ({"DEPLOYMENT_STATUS_URL": "app.azurewebsites.net"}, None, "takes the app's address"),
        ({}, f"https://app.azurewebsites.net/?code={SECRET}", "and nothing else"),
        ({}, f"https://me:{SECRET}@app.azurewebsites.net", "and nothing else"),
        ({}, f"https://[{SECRET}", "this is not one"),
        ({}, "http://app.azurewebsites.net", "with https"),
        ({"DEPLOYMENT_STATUS_KEY": f"{SECRET}\u00e4"}, "https://app.azurewebsites.net", "is not a key"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(environment: dict[str, str], url: str | None, message: str) -> None:
    with pytest.raises(SettingError, match=message) as raised:
        choose_source(environment, url)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "url", "kind"),
    [
        ({"STATUS_TABLES": "https://a.table.core.windows.net"}, "https://a.azurewebsites.net", ApiFleetStatus),
        ({"DEPLOYMENT_STATUS_URL": "http://localhost:7071/api/"}, None, ApiFleetStatus),
        ({"STATUS_TABLES": "UseDevelopmentStorage=true"}, None, TableFleetStatus),
    ],
)
async def test_the_api_is_asked_where_its_address_is_given_and_else_the_tables(
    environment: dict[str, str], url: str | None, kind: type
) -> None:
    fleet = choose_source(environment, url)
    assert type(fleet) is kind
    await fleet.close()
