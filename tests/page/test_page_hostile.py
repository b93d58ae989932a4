"""Hostile answers to the page: strings that attack, names in every script, more than fits, words of a later release."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect
from shown_fleet import Shown, answered, follow, shown_fleet

pytestmark = pytest.mark.asyncio(loop_scope="session")
RUN = "window.harmed=1"
HOSTILE = f"\"'><img src=x onerror={RUN}><script>{RUN}</script><svg onload={RUN}>"
DEVICE = f"<img src=x onerror={RUN}>'\"&lt;"
DEPLOYMENT = f"<svg onload={RUN}>"
LONG = "edge-with-every-module"
SCRIPTS = ["Gerät", "装置", "устройство", "جهاز", "מכשיר", "आले", "อุปกรณ์", "a\u0301\u0323", "🏭👷\u200d♀️", "W"]
"""Beginnings of names; the last one is the widest letter."""
MODULES = [(script * 128)[:128] for script in SCRIPTS] + [f"module-{number:03}" for number in range(90)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shown(tables: str, browser: Browser) -> AsyncIterator[Shown]:
    """Two devices all of whose strings are hostile, and one of a hundred modules with the longest names."""
    async with shown_fleet(tables, browser) as fleet:

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

        def many(twin: dict[str, Any]) -> None:
            twin["configurations"] = {"wide-" + "w" * 123: {"status": "Applied"}}
            for section in twin["properties"].values():
                section["modules"] = {name: json.loads(json.dumps(section["modules"]["m1"])) for name in MODULES}

        await fleet.put(DEVICE, "048", poison)
        await fleet.put(f"{DEVICE}2", "026", poison)
        await fleet.put(LONG, "048", many)
        await fleet.pass_time(minutes=20)
        yield fleet


async def assert_unharmed(page: Page) -> None:
    assert await page.evaluate("window.harmed") is None
    assert await page.locator("img, svg[onload], body script:not([type=module])").count() == 0


async def assert_fits(page: Page) -> None:
    wide = await page.evaluate(
        "[...document.querySelectorAll('html, dialog')].map((one) => one.scrollWidth - innerWidth)"
    )
    assert max(wide) <= 0


async def test_hostile_strings_are_shown_as_text_and_nothing_runs(shown: Shown) -> None:
    async with shown.page() as page:
        await expect(page.get_by_role("link", name=DEPLOYMENT, exact=True)).to_be_visible()
        await expect(page.locator(".cause h3").first).to_contain_text(HOSTILE)
        await follow(page, "devices")
        await expect(page.locator("tbody .device", has_text=DEVICE)).to_have_count(2)
        await page.locator("tbody .device", has_text=DEVICE).first.click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.locator("h2").first).to_contain_text(DEVICE)
        for details in await dialog.locator("summary:visible").all():
            await details.click()
        await expect(dialog.locator(".modules .evidence").first).to_contain_text(HOSTILE)
        await expect(dialog.locator(".history")).to_contain_text(HOSTILE)
        await expect(dialog).to_contain_text(DEPLOYMENT)
        await assert_unharmed(page)
        await page.reload()
        await expect(dialog.locator(".history")).to_contain_text(HOSTILE)
        await assert_unharmed(page)


async def test_the_policy_lets_nothing_run_that_did_not_come_with_the_page(shown: Shown) -> None:
    async with shown.page(opens=False, quiet=False) as page:  # the browser logs what it refused
        response = await page.goto(shown.address)
        assert response is not None
        policy = dict(part.split(maxsplit=1) for part in response.headers["content-security-policy"].split("; "))
        assert {policy[name] for name in ("default-src", "base-uri", "form-action", "frame-ancestors")} == {"'none'"}
        assert policy["connect-src"] == "'self'"
        assert response.headers["referrer-policy"] == "no-referrer"
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


@pytest.mark.parametrize("width", [390, 1280])
async def test_a_hundred_modules_with_the_longest_names_fit(shown: Shown, width: int) -> None:
    async with shown.page(width=width) as page:
        await assert_fits(page)
        await follow(page, f"devices?device={LONG}")
        await expect(page.locator(".modules > tbody")).to_have_count(101)  # edgeHub, too
        await assert_fits(page)


async def test_of_ten_thousand_causes_the_first_are_shown_and_the_rest_is_announced(shown: Shown) -> None:
    async def page_of(route: Route) -> None:
        first = int(route.request.url.partition("next=")[2] or 0)
        like = {"reason": "backoff", "image": None, "devices": 1, "stuck": 1, "since": "2024-05-02T09:00:00.000000Z"}
        unknown: dict[str, Any] = {
            "newest": None,
            "examples": [],
            "message": "It exits.",
            "means": None,
            "advice": None,
            "peers": None,
        }
        causes = [
            {**like, **unknown, "causeId": f"{number:016x}", "module": f"m{number}", "exitCode": number}
            for number in range(first, first + 20)
        ]
        await route.fulfill(json={"items": causes, "next": f"{first + 20}" if first < 9_980 else None})

    async with shown.page(opens=False) as page:
        await page.route("**/causes?*", page_of)
        await page.goto(shown.address)
        await answered(page)
        part = page.get_by_role("region", name="Needs a person")
        await expect(part.locator("h2")).to_have_text("Needs a person more than 20 devices, more than 20 causes")
        await expect(part.locator(".cause")).to_have_count(20)
        await expect(part).to_contain_text("The first 20 are shown: there are more.")
        await part.get_by_role("button", name="Show more").click()
        await expect(part.locator(".cause")).to_have_count(40)


async def test_words_of_a_later_release_are_shown_unchanged(shown: Shown) -> None:
    async def later(route: Route) -> None:
        answer = await (await route.fetch()).json()
        for item in answer["items"]:
            item.update(state="half_done", reason="moon_phase", surprise={"of": "later"})
        await route.fulfill(json=answer)

    async with shown.page(opens=False) as page:
        await page.route("**/devices?*", later)
        await page.goto(shown.address)
        await follow(page, "devices")
        row = page.locator("tbody tr").first
        await expect(row).to_contain_text("half done")
        await expect(row).to_contain_text("moon phase")
        await expect(row.locator(".mark path")).to_be_visible()


async def test_an_answer_of_another_form_is_reported_and_costs_its_part_alone(shown: Shown) -> None:
    async with shown.page(opens=False) as page:
        await page.route("**/causes?*", lambda route: route.fulfill(json={"causes": "elsewhere"}))
        await page.goto(shown.address)
        await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("The answer cannot be shown")
        await expect(page.get_by_role("region", name="Needs a person")).to_contain_text("No answer yet.")
        await expect(page.get_by_role("region", name="Deployments").locator(".deployment")).to_have_count(2)


async def test_an_address_that_means_nothing_shows_the_fleet(shown: Shown) -> None:
    async with shown.page() as page:
        for fragment in ("nowhere", "deployments", "deployments/%E0%A4%A", "%%%?device=", "devices/x/y?state="):
            await follow(page, fragment)
            await expect(page.locator("main section").first).to_be_visible()
