"""Three processes that read one device at the same time, while its twin changes."""

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final

import pytest
from app_over_azurite import CREATED, DELETED, App, fresh_app, transitions

from status_app.status_table.rows import device_row, module_row
from status_app.storage.keys import module_key
from status_core import GracePolicy, advance, evaluate

SUCCESSFUL = "003"
WORLDS = 20
ROUNDS = 10
"""Rounds of each world: two hundred in all."""
OF_THE_PAST: Final = {
    *("Since", "At", "ObservedAt", "Sequence", "LookAt", "Published", "FirstStuckSince", "ModulesStuck"),
    *("UnsettledSince", "SettledSince", "StuckAt", "Stuck", "StuckSince", "HopelessSince", "Window", "WindowEndedAt"),
    *("GracePeriod", "GraceSource", "AnnouncedState", "AnnouncedSince", "Told", "LagsUntil", "CreditedAt"),
}
"""Columns that depend on what the device was before."""


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables, HISTORY_LIMIT="10000") as app:
        yield app


class World:
    """One device, its random changes, and three processes that read it."""

    def __init__(self, app: App, seed: int) -> None:
        self.app = app
        app.stands_still = True
        self.chance = random.Random(seed)  # noqa: S311 (the same worlds in every run)
        self.device = app.put("d", SUCCESSFUL)
        self.twin: dict[str, Any] | None = app.hub.twins[self.device]
        self.timer, self.resync = app.another(), app.another()
        app.hub.on_read = self.wait
        app.hub.on_page = lambda _page: self.wait()

    def turn(self) -> dict[str, str]:
        """Change the device; return the properties of its event."""
        chance, app, device = self.chance, self.app, self.device
        after = timedelta(seconds=chance.choice([0, 1, 20, 70, 600, 1200]))
        if device not in app.hub.twins:
            app.now += after
            self.create()
            return CREATED
        if chance.random() < 0.05:
            app.now += after
            self.twin = app.hub.twins.pop(device)
            return DELETED
        if chance.random() < 0.2:
            with app.edit(device, after, "desired") as desired:
                module = desired["modules"]["m1"]
                module["settings"]["image"] = chance.choice(["sensor:1", "sensor:2"])
                desired["modules"] = {name: copy.deepcopy(module) for name in chance.choice(["m1", "m1 m2"]).split()}
        else:
            desired = app.hub.twins[device]["properties"]["desired"]
            with app.edit(device, after) as reported:
                if chance.random() < 0.7:
                    reported["lastDesiredVersion"] = desired["$version"]
                reported["modules"] = {
                    name: module | {"runtimeStatus": chance.choice(["running", "running", "backoff", "failed"])}
                    for name, module in copy.deepcopy(desired["modules"]).items()
                }
        return {}

    def create(self) -> None:
        """Create the device again, with a new identity."""
        assert self.twin is not None
        twin = self.app.hub.twins[self.device] = copy.deepcopy(self.twin) | {"version": 2}
        for section in twin["properties"].values():
            section["$metadata"]["$lastUpdated"] = self.app.now.isoformat()

    async def notify(self, properties: dict[str, str]) -> None:
        await self.app.handle(self.app.event(self.device, **properties))

    async def wait(self) -> None:
        """Let the other processes run."""
        for _ in range(self.chance.choice([0, 10, 100])):
            await asyncio.sleep(0)

    async def all_at_once(self) -> None:
        timer, resync = await self.timer.flag_stuck(), await self.resync.resync()

        async def and_another() -> None:
            await self.wait()
            await self.notify(self.turn())

        await asyncio.gather(self.notify(self.turn()), and_another(), timer.run(), resync.run())


def fresh(device: str, twin: Mapping[str, Any], app: App) -> dict[str, dict[str, Any]]:
    """The state rows of a device that is read for the first time, without the columns of its past."""
    policy = GracePolicy()
    record, _ = advance(None, evaluate(twin), app.now, policy)
    rows = {"device": device_row(device, record, policy, 0)}
    rows |= {module_key(name): module_row(device, name, module) for name, module in record.modules.items()}
    return {key: without_past(row) for key, row in rows.items()}


def without_past(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in OF_THE_PAST}


@pytest.mark.parametrize("seed", range(WORLDS))
async def test_a_trigger_a_timer_and_a_resync_at_once_lose_nothing_and_announce_nothing_twice(
    app: App, seed: int
) -> None:
    world = World(app, seed)
    for _ in range(ROUNDS):
        await world.all_at_once()
        assert await app.broken_promises() == []
    app.now += timedelta(seconds=1)  # the last event is later than any read before
    await world.notify(world.turn())
    rows = await app.rows(world.device)
    found = {key: without_past(row) for key, row in rows.items() if not key.startswith("transition:")}
    twin = app.hub.twins.get(world.device)
    expected = fresh(world.device, twin, app) if twin is not None else {}
    for key in expected:
        if "Cause" not in expected[key]:  # what is still stuck keeps its earlier cause
            found[key].pop("Cause", None)
    assert found == expected
    assert len(transitions(rows)) > 1  # a state is announced once until the device is as desired


async def test_a_twin_that_arrives_late_does_not_undo_what_another_process_read(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))
    app.report(device, timedelta(minutes=1), exitCode=1)

    async def another() -> None:
        app.hub.on_read = None
        app.report(device, timedelta(minutes=1), runtimeStatus="backoff")
        await (await app.another().twin_changes()).handle([app.event(device)], attempt=0)

    app.hub.on_read = another
    await app.handle(app.event(device, b"{}"))  # it does not say its version
    rows = await app.rows(device)
    assert rows["device"]["State"] == "module_failed"
    assert len(transitions(rows)) == 3
