"""Strings of a twin that would do harm: a browser shows them as they are, and runs nothing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from shown_fleet import Shown, shown_fleet

pytestmark = pytest.mark.asyncio(loop_scope="module")
RUN = "window.harmed=1"
HOSTILE = f"\"'><img src=x onerror={RUN}><script>{RUN}</script><svg onload={RUN}>"
DEVICE = f"<img src=x onerror={RUN}>'\"&lt;"
DEPLOYMENT = f"<svg onload={RUN}>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown() -> AsyncIterator[Shown]:
    """A device all of whose strings are hostile: names, images, statuses, what the agent says, deployments."""
    async with shown_fleet() as fleet:

        def poison(twin: dict[str, Any]) -> None:
            twin["configurations"] = {DEPLOYMENT: {"status": "Applied"}, HOSTILE: {"status": "Targeted"}}
            desired, reported = twin["properties"]["desired"], twin["properties"]["reported"]
            for section in (desired, reported):
                section["modules"] = {HOSTILE: section["modules"]["m1"]}
                section["modules"][HOSTILE]["settings"]["image"] = HOSTILE
            reported["modules"][HOSTILE]["runtimeStatus"] = HOSTILE
            reported["modules"][HOSTILE]["statusDescription"] = HOSTILE
            reported["lastDesiredStatus"]["description"] = HOSTILE
            reported["version"] = {"version": HOSTILE}

        await fleet.put(DEVICE, "048", poison)
        await fleet.put(f"{DEVICE}2", "026", poison)
        await fleet.pass_time(minutes=20)
        yield fleet


async def assert_unharmed(page: Page) -> None:
    assert await page.evaluate("window.harmed") is None
    assert await page.locator("img, svg, body script:not([type=module])").count() == 0


async def test_hostile_strings_are_shown_as_text_and_nothing_runs(shown: Shown) -> None:
    async with shown.page() as page:
        await expect(page.locator(".deployment h3")).to_have_text(DEPLOYMENT)
        await page.locator(".deployment .opener").click()
        await expect(page.locator(".devices .device")).to_have_text([DEVICE, f"{DEVICE}2"])
        for button in await page.locator(".modules .opener").all():
            await button.click()
        await expect(page.locator(".modules .evidence").first).to_contain_text(HOSTILE)
        await expect(page.locator(".modules .evidence")).to_have_count(2)
        await expect(page.locator(".modules .facts").first).to_contain_text(HOSTILE)
        await expect(page.locator(".modules .opener").first).to_have_text(HOSTILE)
        await assert_unharmed(page)


async def test_a_hostile_device_has_a_timeline_by_click_and_by_address(shown: Shown) -> None:
    async with shown.page() as page:
        await page.locator(".modules").get_by_text(DEVICE, exact=True).first.click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.locator("h2")).to_have_text(DEVICE)
        for evidence in await dialog.locator("summary").all():
            await evidence.click()
        await expect(dialog.locator(".timeline")).to_contain_text(HOSTILE)
        await expect(dialog).to_contain_text(DEPLOYMENT)
        await assert_unharmed(page)
        await page.reload()
        await expect(dialog.locator("h2")).to_have_text(DEVICE)
        await expect(dialog.locator(".timeline")).to_contain_text(HOSTILE)
        await assert_unharmed(page)


async def test_the_policy_lets_nothing_run_that_did_not_come_with_the_page(shown: Shown) -> None:
    async with shown.page(opened=False, quiet=False) as page:  # the browser tells of what it refused
        response = await page.goto(shown.address)
        assert response is not None
        policy = dict(part.split(maxsplit=1) for part in response.headers["content-security-policy"].split("; "))
        assert {policy[name] for name in ("default-src", "base-uri", "form-action", "frame-ancestors")} == {"'none'"}
        assert policy["connect-src"] == "'self'"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
        attempts = f"""() => {{
            const script = document.createElement("script");
            try {{ script.text = "{RUN}"; }} catch {{ return "refused"; }}
            document.body.append(script);
            return "let in";
        }}"""
        assert await page.evaluate(attempts) == "refused"
        refused = """() => { try { document.body.innerHTML = "<b>"; } catch { return "refused"; } return "let in"; }"""
        assert await page.evaluate(refused) == "refused"
        await assert_unharmed(page)
