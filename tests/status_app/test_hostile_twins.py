"""Twins that are too large, too deep, or full of odd numbers and texts: each becomes rows that fit into the tables."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import SECRET, App, transitions
from azure.data.tables import TransactionOperation
from few_shards import few_shards

from status_app.status_table.parts import Unit, parts_of
from status_core import NAMES_LIMIT

# aiohttp warns of a body of more than 1 MiB, which a transaction of 4 MiB is.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
ASTRAL = "\U0001f680"
"""A character of two UTF-16 units, and of 12 bytes in ASCII JSON."""
MIB = 2**20
PAGE = 1000
"""Rows that the table service answers at once."""


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    app = App(tables, HISTORY_LIMIT="5000")
    with few_shards():
        await app.services.reconciler()  # it creates the tables
        await app.empty()
        yield app
        await app.close()


def nested(depth: int) -> Any:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def many_modules(twin: dict[str, Any]) -> None:
    twin["properties"]["desired"]["modules"] = {f"m{number}": module("x:1", "running") for number in range(PAGE + 100)}


def long_texts(twin: dict[str, Any]) -> None:
    long = f"{ASTRAL}'\n\x1b[2J" * 100_000
    reported = twin["properties"]["reported"]
    reported["modules"]["m1"] = {"runtimeStatus": long, "statusDescription": long, "settings": {"image": long}}
    reported["lastDesiredStatus"]["description"] = long
    reported["version"] = {"version": long}
    twin["properties"]["desired"]["modules"]["m1"]["status"] = long


def long_names(twin: dict[str, Any]) -> None:
    twin["properties"]["desired"]["modules"] = {
        f"{number}{ASTRAL * 5000}": module(ASTRAL * 3000, ASTRAL * 300) for number in range(120)
    }
    twin["properties"]["reported"]["modules"] = {
        name: {"runtimeStatus": ASTRAL * 400, "settings": {"image": ASTRAL * 2000}}
        for name in twin["properties"]["desired"]["modules"]
    }
    twin["configurations"] = {f"c{number}{ASTRAL * 200}": {"status": "Applied"} for number in range(120)}


def many_deployments(twin: dict[str, Any]) -> None:
    twin["configurations"] = {
        f"c{number:04d}{'y' * 200}": {"status": "Targeted" if number % 2 else "Applied"} for number in range(3000)
    }


def deep(twin: dict[str, Any]) -> None:
    value = nested(5000)
    twin["version"] = twin["tags"] = value
    twin["properties"]["desired"]["modules"] |= {"m1": {"status": value, "settings": value}, "m2": value}
    twin["properties"]["reported"]["lastDesiredStatus"] = value


def huge_numbers(twin: dict[str, Any]) -> None:
    twin["version"] = twin["properties"]["desired"]["$version"] = 10**4000
    reported = twin["properties"]["reported"]
    reported["lastDesiredVersion"] = float("inf")
    reported["lastDesiredStatus"]["code"] = float("nan")
    reported["modules"]["m1"] |= {"exitCode": -(10**4000), "restartCount": 1e308}


def module(image: str, status: str) -> dict[str, Any]:
    return {"settings": {"image": image}, "status": status, "restartPolicy": "always", "env": {"P": {"value": SECRET}}}


@pytest.mark.parametrize("change", [many_modules, long_texts, long_names, many_deployments, deep, huge_numbers])
async def test_a_hostile_twin_becomes_a_state_and_costs_its_neighbors_nothing(
    app: App, caplog: pytest.LogCaptureFixture, change: Callable[[dict[str, Any]], None]
) -> None:
    caplog.set_level("DEBUG", logger="status_app")
    bad, good = app.put("bad", "003"), app.put("good", "003")
    change(app.hub.twins[bad])
    await app.handle(app.event(bad), app.event(good))
    rows = await app.rows(bad)
    sequences = [row["Sequence"].value for row in transitions(rows)]
    assert sequences == list(range(1, rows["device"]["Sequence"].value + 1))
    assert (await app.rows(good))["device"]["State"] == "successful"
    await app.flag_stuck(timedelta(hours=2))
    await app.resync()
    assert await app.dead_letters() == []
    assert SECRET not in repr(await app.rows(bad))
    for record in caplog.records:
        if record.name.startswith("status_app"):
            assert record.getMessage().isprintable()
    assert SECRET not in caplog.text


async def test_the_texts_of_a_hostile_twin_are_cut_to_valid_json_that_fits_into_a_column(app: App) -> None:
    device = app.put("bad", "003")
    long_names(app.hub.twins[device])
    await app.handle(app.event(device))
    rows = await app.rows(device)
    assert len(json.loads(rows["device"]["Deployments"])) == NAMES_LIMIT
    evidence = [json.loads(row["Evidence"]) for row in transitions(rows)]
    assert any(evidence)
    for row in rows.values():
        for value in row.values():
            if isinstance(value, str):
                assert len(value.encode("utf-16-le")) <= 65_536


@pytest.mark.parametrize("length", [10, 1000, 20_000])
def test_no_transaction_is_larger_than_the_service_takes(length: int) -> None:
    row = {"Message": ASTRAL * length, "Evidence": "\\" * length, "Sequence": 5}
    units = [Unit(((TransactionOperation.UPSERT, row), (TransactionOperation.CREATE, row)), None) for _ in range(120)]
    found = parts_of(units)
    assert [unit for part in found for unit in part] == units
    for part in found:
        operations = [operation for unit in part for operation in unit.operations]
        assert 0 < len(operations) < 100
        assert len(json.dumps([operation[1] for operation in operations])) < 4 * MIB


def test_a_change_without_rows_is_one_empty_part() -> None:
    assert parts_of([]) == [[]]
