"""Resync where pages are slow, runs are killed, and the hub throttles: each run brings the cycle forward."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from app_over_azurite import App, fresh_app

from status_app.errors import UnavailableError
from status_app.iothub.twins import TwinPage
from status_app.reconcile.resync import PAGES_KEPT, QUERY_FOR
from status_app.reconcile.resync_position import LEASE

SUCCESSFUL = "003"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Killed(BaseException):
    """The host killed the process."""


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables) as app:
        app.hub.page_size = 1
        yield app


def fleet(app: App, count: int) -> list[str]:
    return [app.put(f"d{number:03d}", SUCCESSFUL) for number in range(count)]


async def test_a_run_that_is_killed_again_and_again_still_comes_to_the_end_of_the_fleet(app: App) -> None:
    devices = fleet(app, 4 * PAGES_KEPT)
    pages = 0

    async def kill(_page: TwinPage) -> None:
        nonlocal pages
        pages += 1
        if pages > PAGES_KEPT + 1:
            raise Killed

    app.hub.on_page = kill
    for run in range(3):
        pages = 0
        with pytest.raises(Killed):
            await app.resync(HOUR)
        assert app.hub.asked[-1] == devices[(run + 1) * PAGES_KEPT], "the position was kept before"
        app.restart()
    pages = 0
    await app.resync(HOUR)
    assert await app.index("resync") == []
    assert [(await app.rows(device))["device"]["State"] for device in devices] == ["successful"] * len(devices)


async def test_a_run_of_slow_pages_ends_by_time_and_the_next_one_goes_on(app: App) -> None:
    devices, seconds = fleet(app, 15), QUERY_FOR / 8.5

    async def slow(_page: TwinPage) -> None:
        app.now += timedelta(seconds=seconds)

    app.hub.on_page = slow
    began = app.now
    await app.resync()
    assert QUERY_FOR <= (app.now - began).total_seconds() < QUERY_FOR + seconds
    asked = len(app.hub.asked)
    assert asked < len(devices)
    await app.resync(HOUR)
    assert app.hub.asked[asked] == devices[asked - 1]
    assert await app.index("resync") == []


@pytest.mark.parametrize("pages", [1, PAGES_KEPT, PAGES_KEPT + 1])
async def test_a_run_that_gets_some_pages_goes_well_and_one_that_gets_none_fails(app: App, pages: int) -> None:
    devices = fleet(app, 2 * PAGES_KEPT)
    app.hub.pages_left = pages
    await app.resync()
    with pytest.RaisesGroup(pytest.RaisesExc(UnavailableError, match="answer 429")):
        await app.resync(HOUR)
    app.hub.pages_left = None
    app.hub.asked.clear()
    await app.resync(MINUTE)
    assert app.hub.asked[0] == devices[pages - 1]
    assert await app.index("resync") == []


async def test_a_run_that_was_paused_for_longer_than_its_lease_changes_nothing_of_the_one_that_went_on(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    devices = fleet(app, 3 * PAGES_KEPT)
    second, ticks = app.another(), app.now.timestamp()
    (await app.services.resync())._ticks = lambda: ticks  # noqa: SLF001 (its machine was paused with it)
    pages = 0

    async def pause(_page: TwinPage) -> None:
        nonlocal pages
        pages += 1
        if pages == PAGES_KEPT:
            app.now += LEASE
            app.hub.pages_left = PAGES_KEPT + 1
            await (await second.resync()).run()
            app.hub.pages_left = None

    app.hub.on_page = pause
    await app.resync()
    assert "another run continues its cycle" in caplog.text
    app.hub.asked.clear()
    await app.resync(HOUR)
    assert app.hub.asked[0] == devices[PAGES_KEPT]
    assert await app.index("resync") == []


async def test_a_device_that_no_request_can_name_is_passed_over_and_logged(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    (device,) = fleet(app, 1)
    app.hub.strays = [app.hub.twins[device] | {"deviceId": name} for name in (".", "..")]
    await app.resync()
    assert caplog.text.count("an id that no request can name") == 2
    assert app.hub.reads == []
    assert "device" in await app.rows(device)
