"""What is kept of the history of a device: the newest transitions, and older ones that must not be lost."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from app_over_azurite import DELETED, TABLES, App, transitions
from asking import listed
from few_shards import few_shards

from status_app.http import routes

BACKOFF = "048"
NOW = timedelta(0)
MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE
GRACE = 15 * MINUTE
CARE = 10 * MINUTE


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    """An app whose history has gaps, so that not every promise of a history holds."""
    app = App(tables, HISTORY_LIMIT="8")
    with few_shards():
        await app.services.reconciler()  # it creates the tables
        yield app
        for name in TABLES:
            await app.client.delete_table(name)
        await app.close()


async def notified(app: App, device: str, after: timedelta, **m1: str) -> None:
    app.report(device, after, **m1)
    await app.handle(app.event(device))


async def flap(app: App, device: str, times: int) -> None:
    """Stop the agent for hours and start it again, so many times: two transitions of the device each."""
    for _ in range(times):
        for code in (406, 200):
            with app.edit(device, 3 * HOUR) as reported:
                reported["lastDesiredStatus"]["code"] = code
            await app.handle(app.event(device))
        await app.flag_stuck(CARE)


async def long_life(app: App) -> str:
    """A device whose module got stuck and recovered twice, with many transitions of a later version."""
    device = app.put("d", BACKOFF)
    await notified(app, device, NOW)
    for _ in range(2):
        await app.flag_stuck(GRACE)
        await notified(app, device, NOW, runtimeStatus="running")
        await app.flag_stuck(CARE)
        await notified(app, device, 3 * HOUR, runtimeStatus="backoff")
    app.deploy(device, MINUTE, runtimeStatus="running")
    await app.handle(app.event(device))
    await flap(app, device, 5)
    return device


async def kept(app: App, device: str) -> list[tuple[int, str, str]]:
    """The transitions that are kept beyond the newest eight, which have no gap."""
    rows = transitions(await app.rows(device))
    newest = [row["Sequence"].value for row in rows[-8:]]
    assert newest == list(range(newest[0], newest[0] + 8))
    return [(row["Sequence"].value, row["Kind"], row["Module"]) for row in rows[:-8]]


async def test_the_newest_stuck_and_recovered_and_the_first_row_of_the_version_outlast_the_limit(app: App) -> None:
    device = await long_life(app)
    rows = await app.rows(device)
    version = rows["device"]["DesiredVersion"].value
    found = await kept(app, device)
    assert found == [(8, "stuck", "m1"), (9, "recovered", "m1"), (14, "module", "m1")]
    assert [row["DesiredVersion"].value == version for row in transitions(rows)] == [False, False, *[True] * 9]
    shown = await listed(app.services.fleet(), routes.transitions, path={"deviceId": device}, limit=2)
    expected = [row["Sequence"].value for row in reversed(transitions(rows))]
    assert [item["sequence"] for item in shown] == expected, "over the gaps"
    await flap(app, device, 2)
    assert await kept(app, device) == found


async def test_the_next_transitions_remove_what_was_kept_for_a_module_that_is_gone(app: App) -> None:
    device = await long_life(app)
    for section in ("desired", "reported"):
        with app.edit(device, MINUTE, section) as changed:
            del changed["modules"]["m1"]
    await app.handle(app.event(device))
    await flap(app, device, 1)
    assert await kept(app, device) == []


async def test_no_module_of_a_deleted_device_is_kept_beyond_the_limit(app: App) -> None:
    device = await long_life(app)
    del app.hub.twins[device]
    await app.handle(app.event(device, b"{}", **DELETED))
    assert transitions(await app.rows(device))[-1]["Kind"] == "deleted"
    assert await kept(app, device) == []
