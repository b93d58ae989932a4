"""How the page looks: on a desk and on a phone, by day and by night, and to those who cannot see it."""

import os
import struct
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from shown_fleet import ROOT, Shown, shown_fleet

from local.fleet import ImageBehaviour, Trouble, mixed_fleet, release
from local.fleet.mixed import image

pytestmark = pytest.mark.asyncio(loop_scope="module")
WIDTHS = [1200, 400]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
DEVICES = 16
LOOKS = [{"width": width, "color_scheme": scheme} for width in WIDTHS for scheme in ("light", "dark")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(tables: str) -> AsyncIterator[Shown]:
    """A release that meets trouble on some devices, and a later one that hangs on two."""
    async with shown_fleet(tables) as fleet:
        devices, troubles = mixed_fleet(fleet.stack.iot_hub.registry, DEVICES, fleet.now)

        async def run(minutes: int) -> None:
            for _ in range(minutes):
                fleet.now += timedelta(minutes=1)
                devices.step(fleet.now)
            await fleet.stack.drained()
            await fleet.pass_time(seconds=0)

        devices.deploy("release-1", release(1), troubles, fleet.now)
        await run(2)
        devices.deploy("release-2", release(2), troubles, fleet.now)
        await run(20)
        canaries = [device for device, trouble in troubles.items() if trouble is Trouble.NONE][:4]
        for device in canaries[:2]:
            devices.agents[device].runtime.images[image("uploader", 3)] = ImageBehaviour(pull_seconds=None)
        devices.deploy("release-3-canary", release(3), canaries, fleet.now)
        await run(6)
        yield fleet


@pytest_asyncio.fixture(loop_scope="module", params=LOOKS, ids=lambda look: f"{look['width']} {look['color_scheme']}")
async def page(shown: Shown, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """The page in one of its looks, without movement, which would change colours while they are measured."""
    look: dict[str, Any] = request.param
    async with shown.page(**look, reduced_motion="reduce") as opened:
        yield opened


async def test_every_look_is_accessible_and_as_wide_as_its_window(page: Page) -> None:
    await page.evaluate(AXE.read_text())
    await assert_fine(page)
    await page.locator(".deployment .opener").first.click()
    await page.locator(".modules .opener").first.click()
    await expect(page.locator(".modules .evidence")).to_be_visible()
    await expect(page.locator(".counters")).to_be_visible()
    await expect(page.locator(".devices .device").first).to_be_visible()
    await assert_fine(page)
    await page.locator(".modules .device").first.click()
    await expect(page.locator(".timeline > li").first).to_be_visible()
    await page.locator(".timeline summary").first.click()
    await assert_fine(page)


async def assert_fine(page: Page) -> None:
    found = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
    assert await page.evaluate(
        "[...document.querySelectorAll('html, dialog')].every((e) => e.scrollWidth <= innerWidth)"
    )


async def test_a_dark_page_is_dark(shown: Shown) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        async with shown.page(color_scheme=scheme) as page:
            colour = await page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
            backgrounds.append(max(colour))
    assert backgrounds[0] > 200
    assert backgrounds[1] < 50


async def test_states_differ_without_their_colours(shown: Shown) -> None:
    async with shown.page() as page:
        marks = page.locator(".legend .mark, .modules .mark")
        patterns = await marks.evaluate_all(
            "all => Object.fromEntries(all.map((mark) => [mark.dataset.state, getComputedStyle(mark).backgroundImage]))"
        )
    of_devices = [patterns[state] for state in ("successful", "in_progress", "pending", "module_failed", "invalid")]
    assert len(set(of_devices)) == len(of_devices)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_screenshots_of_the_documents(shown: Shown, width: int, tmp_path: Path) -> None:
    name = f"fleet-{width}.png"
    folder = ROOT / "docs" if os.environ.get("SCREENSHOTS") else tmp_path
    async with shown.page(width=width, color_scheme="light") as page:
        await page.locator(".modules .opener").first.click()
        await expect(page.locator(".modules .evidence")).to_be_visible()
        await page.mouse.move(0, 0)
        await page.screenshot(path=folder / name)
    for picture in (folder / name, ROOT / "docs" / name):
        assert struct.unpack(">I", picture.read_bytes()[16:20]) == (width,)
