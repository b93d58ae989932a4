"""The page without a mouse."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from shown_fleet import Shown, shown_fleet

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(tables: str) -> AsyncIterator[Shown]:
    """One device, a module of which is stuck."""
    async with shown_fleet(tables) as fleet:
        await fleet.put("edge-1", "048")
        await fleet.pass_time(minutes=20)
        yield fleet


@pytest_asyncio.fixture(loop_scope="module")
async def page(shown: Shown) -> AsyncIterator[Page]:
    async with shown.page() as opened:
        yield opened


async def test_the_focus_goes_from_top_to_bottom_and_is_seen(page: Page) -> None:
    names = []
    for _ in range(7):
        await page.keyboard.press("Tab")
        names.append(await page.evaluate("document.activeElement.textContent || document.activeElement.id"))
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert names == [
        "Skip to what is stuck",
        "find-id",
        "Show timeline",
        "Pause",
        "at-scale1",
        "edge-1",
        "m1",
    ]


async def test_the_skip_link_leads_to_what_is_stuck(page: Page) -> None:
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to what is stuck")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="edge-1")).to_be_focused()


async def test_escape_closes_an_open_row_and_gives_the_focus_back(page: Page) -> None:
    for name, opened in (("m1", ".modules .evidence"), ("at-scale1", ".counters")):
        button = page.get_by_role("button", name=name, exact=True)
        await button.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(opened)).to_be_visible()
        await expect(button).to_have_attribute("aria-expanded", "true")
        await page.keyboard.press("Tab")
        await button.focus()
        await page.keyboard.press("Escape")
        await expect(page.locator(opened)).to_be_hidden()
        await expect(button).to_be_focused()


async def test_a_timeline_opens_by_an_id_that_is_typed_and_closes_by_escape(page: Page) -> None:
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.type("edge-1")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="edge-1")
    await expect(dialog.locator(".timeline > li").first).to_contain_text("stuck after 15 min unsettled")
    for _ in range(12):
        await page.keyboard.press("Tab")
        inside = "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        assert await page.evaluate(inside)
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_label("Device", exact=True)).to_be_focused()


async def test_a_device_that_is_not_known_is_told(shown: Shown) -> None:
    async with shown.page(quiet=False) as page:  # the browser tells of each 404
        await page.get_by_label("Device", exact=True).fill("nobody")
        await page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="nobody")
        await expect(dialog).to_contain_text("No such device is known now.")
        await expect(dialog).to_contain_text("No transition is kept.")
        await expect(page.locator("#banner")).to_be_hidden()


async def test_an_update_takes_neither_the_focus_nor_what_is_open(page: Page, shown: Shown) -> None:
    button = page.get_by_role("button", name="m1", exact=True)
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".modules .evidence")).to_be_visible()
    await shown.put("edge-0", "007")
    await shown.pass_time(minutes=20)
    await page.clock.run_for(15_000)
    await expect(page.get_by_role("region", name="Stuck 2")).to_be_visible()
    await expect(page.locator(".modules .evidence")).to_be_visible()
    await expect(button).to_be_focused()
