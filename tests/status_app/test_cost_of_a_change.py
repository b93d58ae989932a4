"""A read of a device costs no more table requests than benchmarks/cost.py counts for it."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import App
from transition_hub import TRANSITIONS, running_hub

from benchmarks import cost
from local.tables import table_proxy

DEVICES = 20


@pytest.fixture
async def counted(tables: str) -> AsyncIterator[tuple[App, Mapping[Any, int], list[str]]]:
    """The app with devices that it knows, the table requests that it makes, and those devices."""
    async with table_proxy(tables) as proxy, running_hub() as hub:
        transitions = hub.connection_string(TRANSITIONS)
        app = App(proxy.connection_string, Transitions=transitions, TRANSITIONS_HUB=TRANSITIONS)
        devices = [app.put(str(number), "048") for number in range(DEVICES)]
        await app.handle(*map(app.event, devices))
        await app.flag_stuck()  # builds the index, once
        yield app, proxy.requests, devices
        await app.close()


def change(app: App, devices: list[str], status: str) -> None:
    """Let every module of every device report a status."""
    for device in devices:
        with app.edit(device, timedelta(seconds=1)) as reported:
            for module in reported["modules"].values():
                module["runtimeStatus"] = status


async def test_a_change_a_newer_twin_and_a_deadline_cost_no_more_table_requests_than_counted(
    counted: tuple[App, Mapping[Any, int], list[str]],
) -> None:
    app, requests, devices = counted

    async def each(events: bool = True) -> float:
        before, reads = sum(requests.values()), len(app.hub.reads)
        if events:
            await app.handle(*map(app.event, devices))
            assert len(app.hub.reads) - reads == DEVICES
        else:
            await (await app.services.flag_stuck()).run()
        return (sum(requests.values()) - before) / DEVICES

    for status in ("running", "backoff"):
        for device in devices:
            app.deploy(device, timedelta(seconds=1), runtimeStatus=status)
        assert await each() <= cost.CHANGE
    change(app, devices, "backoff")
    assert await each() <= cost.NEWER_TWIN
    app.now += timedelta(minutes=16)
    per_run = cost.IDLE_RUN / DEVICES
    assert await each(events=False) <= cost.DEADLINE + 2 * per_run + cost.PEERS_RUN / DEVICES
    app.now += timedelta(hours=1)
    await each(events=False)
    app.now += timedelta(minutes=1)
    assert await each(events=False) <= per_run


async def test_a_resync_reads_each_device_once_beside_what_the_end_of_a_cycle_costs(
    counted: tuple[App, Mapping[Any, int], list[str]],
) -> None:
    app, requests, _ = counted
    await (await app.services.resync()).run()  # removes the devices of other tests
    before = sum(requests.values())
    await (await app.services.resync()).run()
    # Of each shard its devices, and the announced changes; the lease, and its end. Of the one device that is checked
    # now its key, its rows and its summary; and the position of the check.
    assert sum(requests.values()) - before <= DEVICES + 2 * 16 + 4 + 5
