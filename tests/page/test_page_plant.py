"""The page of two thousand devices, 400 of them stuck for six causes: how it looks, and how it works by keys alone."""

import hashlib
import os
import re
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from shown_fleet import DRAWN, KEY, ROOT, SHIFTS, address_of, answered, follow, opened

from benchmarks.plant import Plant, running_plant

pytestmark = pytest.mark.asyncio(loop_scope="session")
AXE: Final = ROOT / "node_modules/axe-core/axe.min.js"
LOOKS: Final = [(width, scheme) for width in (390, 800, 1280) for scheme in ("light", "dark")]
VIEWS: Final = ("", "devices?deployment=release-2", "deployments/release-2", "devices?stuck=true&device=press-0001")
PICTURES: Final = {"fleet-1280": "", "fleet-390": "", "device-390": "devices?stuck=true&device=press-0001"}
BROKEN: Final = """() => {
    const found = [], range = document.createRange();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        for (const word of texts.currentNode.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
            range.setStart(texts.currentNode, word.index);
            range.setEnd(texts.currentNode, word.index + word[0].length);
            const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
            if (lines.size > 1) found.push(word[0]);
        }
    }
    return found;
}"""
"""Words that are broken over two lines."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plant() -> AsyncIterator[Plant]:
    async with running_plant(KEY) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(plant: Plant, browser: Browser) -> AsyncIterator[Page]:
    async with opened(browser, address_of(plant.stack)) as one:
        yield one


async def test_what_needs_a_person_comes_first_worst_first(page: Page) -> None:
    await expect(page).to_have_title("North plants: edge deployments")
    await expect(page.locator("main section h2").first).to_have_text("Needs a person 400 devices, 6 causes")
    await expect(page.locator(".cause .many")).to_have_text(
        [f"{count} devices stuck" for count in (160, 110, 70, 35, 15, 10)]
    )
    worst = page.locator(".cause").first
    await expect(worst).to_contain_text("vision: backoff, exit code 139")
    await expect(worst).to_contain_text("It fails on 160 of 1710 devices that got this image.")
    await expect(worst).to_contain_text("What to do: Compare the devices on which it fails with those on which it runs")


async def test_deployments_and_what_is_not_done_yet_come_behind(page: Page) -> None:
    parts = page.locator("main section h2")
    await expect(parts.nth(1)).to_have_text("Deployments 2")
    await expect(parts.nth(2)).to_have_text("Not done yet 50 devices and more, within the normal time")
    await expect(page.locator(".deployment h3")).to_have_text(["release-2", "release-3-canary"])
    await expect(page.locator(".deployment .share").first).to_have_text("1,540 of 1,940 successful (79 %)")
    await expect(page.get_by_text("1 old deployment")).to_be_visible()


async def test_a_cause_leads_to_all_its_devices_page_by_page(page: Page) -> None:
    await page.get_by_role("link", name="110 devices stuck").click()
    devices = page.get_by_role("region", name="Devices")
    await expect(devices.locator(".about")).to_have_text(re.compile("^never_reported. Check that it was provisioned"))
    for shown in ("50+", "100+"):
        await expect(devices.locator("h2")).to_have_text(f"Devices {shown}")
        await devices.get_by_role("button", name="Show more").click()
    await expect(devices.locator("h2")).to_have_text("Devices 110")
    await expect(devices.locator("tbody .stuck")).to_have_count(110)


async def test_a_tour_by_keys_alone_from_a_cause_to_a_device_and_back(page: Page) -> None:
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the fleet")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    cause = page.get_by_role("link", name="160 devices stuck")
    await expect(cause).to_be_focused()
    assert await cause.evaluate("(link) => getComputedStyle(link).outlineStyle") == "solid"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Devices")).to_be_focused()
    await answered(page)
    for _ in range(4):  # state, stuck, the cause, and the first device
        await page.keyboard.press("Tab")
    device = page.locator("tbody .device").first
    await expect(device).to_be_focused()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="press-0001")
    await expect(dialog).to_be_visible()
    await answered(page)
    for _ in range(12):
        await page.keyboard.press("Tab")
        inside = "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        assert await page.evaluate(inside)
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(device).to_be_focused()
    await expect(page).not_to_have_url(re.compile("device="))  # the browser reports that it is closed a moment later
    await page.go_back()
    await page.go_back()
    await page.go_back()
    await expect(cause).to_be_focused()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_every_view_is_accessible_and_fits_and_breaks_no_word(
    plant: Plant, browser: Browser, width: int, scheme: str
) -> None:
    async with opened(browser, address_of(plant.stack), width=width, color_scheme=scheme) as page:
        await page.evaluate(AXE.read_text())
        for view in VIEWS:
            await follow(page, view)
            for summary in await page.locator("summary:visible").all():
                await summary.click()
            found = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
            rules = [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found["violations"]]
            assert (view, rules) == (view, [])
            wide = "[...document.querySelectorAll('html, dialog')].every((one) => one.scrollWidth <= innerWidth)"
            assert await page.evaluate(wide), view
            assert (view, await page.evaluate(BROKEN)) == (view, [])


async def test_colors_follow_the_system_and_each_state_has_its_own_shape(plant: Plant, browser: Browser) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        async with opened(browser, address_of(plant.stack), color_scheme=scheme) as page:
            color = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
            backgrounds.append(max(await page.evaluate(color)))
            marks = page.locator(".deployment").first.locator(".counts .mark path")
            shapes = await marks.evaluate_all("all => all.map((one) => one.getAttribute('d'))")
            assert len(set(shapes)) == len(shapes) == 5
    assert backgrounds[0] > 200
    assert backgrounds[1] < 50


async def test_nothing_moves_while_it_updates(page: Page) -> None:
    await page.evaluate(SHIFTS)
    for view in ("", "deployments/release-2"):
        await follow(page, view)
        for update in range(4):
            async with page.expect_response("**/causes?*"):
                await page.clock.run_for(15_000)
            await answered(page)
            if update == 0:  # the browser reports shifts late: those of the first picture have come by now
                await page.evaluate("window.shifts.length = 0")
        await page.evaluate(DRAWN)
        assert await page.evaluate("window.shifts") == []


@pytest.mark.parametrize(("name", "view"), PICTURES.items())
async def test_the_screenshots_of_the_documents_show_the_page_as_it_is(
    plant: Plant, browser: Browser, name: str, view: str
) -> None:
    width, stored = int(name.partition("-")[2]), ROOT / "docs" / f"{name}.png"
    async with opened(browser, address_of(plant.stack), width=width, color_scheme="light") as page:
        await follow(page, view)
        taken = await page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": 720})
        shown = look_of(await page.locator("body").inner_text())
    if os.environ.get("SCREENSHOTS"):
        stored.write_bytes(with_look(taken, shown))
    for picture in (taken, stored.read_bytes()):
        assert struct.unpack(">I", picture[16:20]) == (width,)
        assert len(picture) < 200_000
    assert shown in stored.read_bytes(), f"{stored.name} is old: take it again, with SCREENSHOTS=1"


def look_of(words: str) -> bytes:
    """Hash what the page looks like: its words without numbers, its style, and the shapes of states."""
    folder = ROOT / "status_app/http/fleet_page"
    look = [
        re.sub(r"[\d.,]+ ?(s|min|h)?\b", "0", words),
        *((folder / name).read_text() for name in ("style.css", "states.js")),
    ]
    return hashlib.sha256("".join(look).encode()).hexdigest().encode()


def with_look(picture: bytes, look: bytes) -> bytes:
    """Put the hash into a PNG, as a text chunk behind the header."""
    chunk = b"tEXtLook\0" + look
    return (
        picture[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + picture[33:]
    )
