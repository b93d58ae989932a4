"""The page while time passes: it keeps up, and is honest where it cannot."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect
from shown_fleet import KEY, Shown, answered, shown_fleet

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUND = 15_000
"""Milliseconds in which the next update comes."""
SECOND_TRY = 24_000
"""Milliseconds in which it comes once more after the first failure: no request waits long in that time."""
ALL = 10**6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tables: str) -> AsyncIterator[Shown]:
    """A fleet without a device, at first."""
    async with shown_fleet(tables) as shown:
        yield shown


@pytest_asyncio.fixture(loop_scope="module")
async def page(fleet: Shown) -> AsyncIterator[Page]:
    async with fleet.page() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def troubled(fleet: Shown) -> AsyncIterator[Page]:
    """A page whose browser tells in the console what the page tells too."""
    async with fleet.page(quiet=False) as opened:
        yield opened


def requests_of(page: Page) -> list[str]:
    """Gets the address of each request from now on."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    return addresses


async def test_an_empty_fleet_is_said_to_be_empty(page: Page) -> None:
    for sentence in (
        "No deployment is credited on any device.",
        "Nothing is stuck.",
        "Nothing gets stuck within the hour.",
    ):
        await expect(page.get_by_text(sentence)).to_be_visible()


async def test_what_is_new_appears_by_itself(page: Page, fleet: Shown) -> None:
    await fleet.put("edge-1", "048")
    await fleet.pass_time(minutes=1)
    await page.clock.run_for(ROUND)
    await expect(page.locator(".legend li")).to_have_text(["module failed 1"])
    await expect(page.get_by_text("edge-1")).to_be_visible()
    await fleet.pass_time(minutes=20)
    await page.clock.run_for(ROUND)
    await expect(page.get_by_role("region", name="Stuck 1")).to_contain_text("edge-1 m1")


async def test_what_did_not_change_is_not_sent_again(page: Page) -> None:
    async with page.expect_response("**/modules?stuck=true") as coming:
        await page.clock.run_for(ROUND)
    response = await coming.value
    assert response.status == 304
    assert response.request.headers["x-functions-key"] == KEY
    assert "code=" not in response.url
    await expect(page.get_by_role("region", name="Stuck 1")).to_contain_text("edge-1 m1")


async def test_a_paused_page_and_a_hidden_one_ask_for_nothing(page: Page) -> None:
    asked = requests_of(page)
    await page.get_by_role("button", name="Pause").click()
    await page.clock.run_for(10 * ROUND)
    await page.get_by_role("button", name="Paused", pressed=True).click()
    await expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "false")
    await answered(page)
    await hide(page, hidden=True)
    before = len(asked)
    await page.clock.run_for(10 * ROUND)
    assert len(asked) == before
    async with page.expect_response("**/modules?stuck=true"):
        await hide(page, hidden=False)


async def hide(page: Page, *, hidden: bool) -> None:
    """What a browser tells a page whose tab is hidden: a headless one hides none."""
    await page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


async def test_tables_that_do_not_answer_are_told_and_asked_ever_more_rarely(troubled: Page, fleet: Shown) -> None:
    fleet.tables.faults.add("read", 503, ALL)
    try:
        await troubled.clock.run_for(ROUND)
        alert = troubled.get_by_role("alert")
        await expect(alert).to_contain_text("The API does not answer as it should (503)")
        shown = troubled.locator("#banner-shown")
        await expect(shown).to_contain_text("What is shown is ")
        await expect(shown).to_contain_text("The next try is in ")
        await expect(troubled.get_by_role("region", name="Stuck 1")).to_contain_text("edge-1 m1")
        tries = requests_of(troubled)
        await troubled.clock.run_for(ROUND)
        assert tries == []
    finally:
        fleet.tables.faults.clear()
    await troubled.get_by_role("button", name="Try now").click()
    await expect(troubled.locator("#banner")).to_be_hidden()


async def test_an_app_that_cannot_be_reached_is_told(troubled: Page) -> None:
    await troubled.context.set_offline(True)
    await troubled.clock.run_for(ROUND)
    await expect(troubled.get_by_role("alert")).to_have_text("The API does not answer: it cannot be reached")
    await troubled.context.set_offline(False)
    await troubled.clock.run_for(SECOND_TRY)
    await expect(troubled.locator("#banner")).to_be_hidden()


async def test_a_key_that_is_refused_is_told_and_not_tried_again(troubled: Page) -> None:
    async def with_another_key(route: Route) -> None:
        await route.continue_(headers={**route.request.headers, "x-functions-key": "another"})

    await troubled.route("**/api/*", with_another_key)
    await troubled.clock.run_for(ROUND)
    await expect(troubled.get_by_role("alert")).to_contain_text("The API refuses the key (401).")
    tries = requests_of(troubled)
    await troubled.clock.run_for(100 * ROUND)
    assert tries == []
    await troubled.unroute("**/api/*")
    await troubled.get_by_role("button", name="Try now").click()
    await expect(troubled.locator("#banner")).to_be_hidden()


async def test_the_page_itself_needs_the_key(fleet: Shown) -> None:
    async with fleet.page(opened=False) as page:
        assert (await page.request.get(f"{fleet.stack.api}/fleet")).status == 401
        assert (await page.request.get(fleet.address)).status == 200


async def test_a_list_that_is_cut_off_says_so_and_offers_more(fleet: Shown) -> None:
    for number in range(2, 6):
        await fleet.put(f"edge-{number}", "048")
    await fleet.pass_time(minutes=20)

    async def two_at_a_time(route: Route) -> None:
        await route.continue_(url=f"{route.request.url}&limit=2")

    async with fleet.page(opened=False) as page:
        await page.route("**/modules?stuck=true*", two_at_a_time)
        await page.goto(fleet.address)
        stuck = page.get_by_role("region", name="Stuck 2+")
        await expect(stuck).to_contain_text("Cut off after 2: there are more.")
        await stuck.get_by_role("button", name="Show more").click()
        await page.get_by_role("region", name="Stuck 4+").get_by_role("button", name="Show more").click()
        stuck = page.get_by_role("region", name="Stuck 5", exact=True)
        await expect(stuck.locator(".who")).to_have_count(5)
        await expect(stuck.get_by_role("button", name="Show more")).to_be_hidden()
        await expect(stuck.get_by_role("heading")).to_be_focused()


async def test_a_banner_says_when_a_timer_is_silent_and_goes_when_it_runs_again(fleet: Shown) -> None:
    for timer in ("flag_stuck", "resync"):
        await fleet.stack.host.run_timer(timer)
    async with fleet.page() as page:
        banner = page.locator("#old-news")
        await expect(banner).to_be_hidden()
        fleet.now += timedelta(minutes=7)
        await page.clock.run_for(ROUND)
        await expect(banner).to_have_text(
            "The timer flag_stuck ran last 7 min ago: nothing new is flagged as stuck, and counts are old."
        )
        await fleet.stack.host.run_timer("flag_stuck")
        await page.clock.run_for(ROUND)
        await expect(banner).to_be_hidden()
