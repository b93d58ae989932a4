"""The timer of deadlines over real tables: what it flags, clears, leaves, and how much it asks."""

import copy
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import START, App, transitions

from local.azurite import azurite_tables

BACKOFF = "048"
CHANGED = START
"""The cases were changed before the tests begin."""


@pytest.fixture(scope="module")
def tables() -> Iterator[str]:
    """A table service of these tests alone: a timer takes every deadline there is."""
    with azurite_tables() as connection_string:
        yield connection_string


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    app = App(tables)
    yield app
    for name in ("DeploymentStatus", "DeploymentIndex"):
        await app.client.delete_table(name)
    await app.services.close()
    await app.client.close()


async def flag_stuck(app: App, after: timedelta) -> None:
    app.now += after
    await (await app.services.flag_stuck()).run()


async def index(app: App, kind: str) -> list[str]:
    """The row keys of a kind of index rows."""
    table = app.client.get_table_client("DeploymentIndex")
    query = table.query_entities(f"PartitionKey ge '{kind}:' and PartitionKey lt '{kind};'")
    return [row["RowKey"] async for row in query]


def kinds(rows: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["Kind"], row["Module"]) for row in transitions(rows) if row["Kind"] in ("stuck", "recovered")]


def change(app: App, device: str, at: timedelta, **m1: Any) -> None:
    """Change what the device reports of its module m1."""
    app.now += at
    twin = app.hub.twins[device] = copy.deepcopy(app.hub.twins[device])
    twin["version"] += 1
    twin["properties"]["reported"]["modules"]["m1"] |= m1
    twin["properties"]["reported"]["$metadata"]["$lastUpdated"] = app.now.isoformat()


async def test_a_module_that_is_past_its_grace_is_flagged_once_and_its_deadline_is_gone(app: App) -> None:
    device = app.put("d", BACKOFF)
    change(app, device, timedelta(0))
    await app.handle(app.event(device))
    assert len(await index(app, "deadline")) == 1
    row = (await app.rows(device))["module:m1"]
    assert (row["StuckAt"], row["Stuck"]) == (START + timedelta(minutes=15), False)
    await flag_stuck(app, timedelta(minutes=14))
    assert kinds(await app.rows(device)) == []
    await flag_stuck(app, timedelta(minutes=5))
    await flag_stuck(app, timedelta(minutes=5))
    rows = await app.rows(device)
    assert kinds(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["Stuck"] is True
    assert rows["module:m1"]["StuckSince"] == transitions(rows)[-1]["At"] == START + timedelta(minutes=15)
    assert rows["device"]["ModulesStuck"] == 1
    assert await index(app, "deadline") == []


async def test_what_has_recovered_is_cleared_once_at_the_end_of_the_window(app: App) -> None:
    device = app.put("d", BACKOFF)
    change(app, device, timedelta(0))
    await app.handle(app.event(device))
    await flag_stuck(app, timedelta(minutes=15))
    change(app, device, timedelta(minutes=5), runtimeStatus="running")
    await app.handle(app.event(device))
    await flag_stuck(app, timedelta(seconds=59))
    assert kinds(await app.rows(device)) == [("stuck", "m1")]
    await flag_stuck(app, timedelta(seconds=30))
    await flag_stuck(app, timedelta(minutes=30))
    rows = await app.rows(device)
    assert kinds(rows) == [("stuck", "m1"), ("recovered", "m1")]
    assert transitions(rows)[-1]["At"] == START + timedelta(minutes=21)
    assert rows["module:m1"]["Stuck"] is False
    assert await index(app, "deadline") == []


async def test_a_timer_looks_before_it_flags_and_heals_a_lost_notification(app: App) -> None:
    device = app.put("d", BACKOFF)
    change(app, device, timedelta(0))
    await app.handle(app.event(device))
    change(app, device, timedelta(minutes=10), runtimeStatus="running")
    await flag_stuck(app, timedelta(minutes=5))
    rows = await app.rows(device)
    assert rows["device"]["State"] == "successful"
    assert rows["device"]["Since"] == START + timedelta(minutes=10)
    assert kinds(rows) == []
