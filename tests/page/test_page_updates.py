"""The page while time passes: it keeps up, and never lies about its age."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect
from shown_fleet import DRAWN, HIDDEN, KEY, SHIFTS, Shown, follow, shown_fleet

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUND = 15_000
"""Milliseconds in which the next update comes."""
SECOND_TRY = 24_000
"""Milliseconds in which it comes once more after the first failure."""
ALL = 10**6


@asynccontextmanager
async def stopped(fleet: Shown, *, quiet: bool = True) -> AsyncIterator[Page]:
    """The page, whose time passes only in `next_update`: an answer may take as long as it likes."""
    async with fleet.page(quiet=quiet) as page:
        await page.clock.pause_at(await page.evaluate("Date.now() / 1000") + 3600)
        await updated(page)
        yield page


async def next_update(page: Page, wait: int = ROUND) -> None:
    """Let the time of the next update come, and wait until all of it is answered, or has failed."""
    await page.clock.fast_forward(wait)
    await updated(page)


async def updated(page: Page) -> None:
    """Wait until each part of the page is of now, or says why not."""
    old = page.locator("#view .asof, dialog .asof").filter(has_not_text=re.compile("as of 0 s ago|: The "))
    await expect(old.filter(visible=True)).to_have_count(0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fleet(tables: str, browser: Browser) -> AsyncIterator[Shown]:
    """A fleet without a device, at first."""
    async with shown_fleet(tables, browser) as shown:
        yield shown


@pytest_asyncio.fixture(loop_scope="session")
async def page(fleet: Shown) -> AsyncIterator[Page]:
    async with stopped(fleet) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def troubled(fleet: Shown) -> AsyncIterator[Page]:
    """A page whose browser may log errors in its console."""
    async with stopped(fleet, quiet=False) as opened:
        yield opened


def requests_of(page: Page) -> list[str]:
    """Collect the address of each request from now on."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    return addresses


def outage(page: Page) -> Locator:
    """The banner, which is in the dialog while that is open."""
    return page.locator(".outage .banner:visible")


def needs(page: Page) -> Locator:
    """The part of what needs a person."""
    return page.get_by_role("region", name="Needs a person")


async def delete_under_a_hand(page: Page, fleet: Shown, device: str) -> None:
    """Delete a device while somebody uses the page, and let the page learn of it."""
    fleet.stack.iot_hub.registry.delete(device)
    await fleet.stack.drained()
    await fleet.pass_time(minutes=1)
    await page.mouse.move(300, 310)
    await next_update(page)


async def test_an_empty_fleet_is_shown_as_empty(page: Page) -> None:
    for sentence in ("No deployment is applied on any device.", "Nothing is stuck.", "Nothing is under way."):
        await expect(page.get_by_text(sentence)).to_be_visible()


async def test_what_is_new_appears_by_itself(page: Page, fleet: Shown) -> None:
    await fleet.put("edge-1", "048")
    await fleet.pass_time(minutes=1)
    await next_update(page)
    await expect(page.get_by_role("table", name="Devices by state")).to_have_text("module failed1")
    await expect(page.get_by_text("wrong status m1: backoff")).to_be_visible()
    await fleet.pass_time(minutes=20)
    await next_update(page)
    await expect(needs(page)).to_contain_text("m1: backoff, exit code 139")
    await expect(needs(page).locator(".device")).to_have_text("edge-1")


async def test_nothing_moves_under_a_hand_and_a_button_shows_what_is_new(page: Page, fleet: Shown) -> None:
    await page.evaluate(SHIFTS)
    await next_update(page)
    await page.evaluate("window.shifts.length = 0")  # the browser reports those of the first picture late
    await fleet.put("edge-0", "052")
    await fleet.pass_time(minutes=20)
    await page.mouse.move(300, 300)
    await next_update(page)
    button = needs(page).get_by_role("button", name=re.compile("Show 1 new"))
    await expect(button).to_be_visible()
    await expect(needs(page).locator("h2")).to_contain_text("2 causes")  # the number is of now
    await expect(needs(page).locator(".device")).to_have_text("edge-1")
    await page.evaluate(DRAWN)
    assert await page.evaluate("window.shifts") == []
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(needs(page).locator(".device")).to_have_count(2)
    await expect(button).to_have_count(0)
    await expect(needs(page).locator("h2")).to_be_focused()


async def test_what_waits_is_shown_when_nobody_uses_the_page(page: Page, fleet: Shown) -> None:
    await delete_under_a_hand(page, fleet, "edge-0")
    await expect(needs(page).get_by_role("button", name=re.compile("Show 1 gone"))).to_be_visible()
    await expect(needs(page).locator(".device")).to_have_count(2)
    await next_update(page)  # half a minute after the last move
    await expect(needs(page).locator(".device")).to_have_text("edge-1")
    await expect(needs(page).get_by_role("button")).to_have_count(0)


async def test_what_did_not_change_is_not_sent_again(page: Page) -> None:
    async with page.expect_response("**/causes?*") as coming:
        await next_update(page)
    response = await coming.value
    assert response.status == 304
    assert response.request.headers["x-functions-key"] == KEY
    assert KEY not in response.url
    await expect(needs(page).locator(".device")).to_have_text("edge-1")


async def test_an_update_takes_neither_the_focus_nor_what_is_open(page: Page, fleet: Shown) -> None:
    await follow(page, "?device=edge-1")
    module = page.locator(".modules tbody").filter(has_text="m1")
    await module.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(module.locator(".evidence")).to_be_visible()
    fleet.stack.iot_hub.registry.patch_reported("edge-1", {"modules": {"m1": {"exitCode": 7}}})
    await fleet.stack.drained()
    await next_update(page)
    await expect(module.locator("td.figure").first).to_contain_text("7")
    await expect(module.locator(".evidence")).to_be_visible()
    await expect(module.locator("summary")).to_be_focused()


async def test_a_paused_page_and_a_hidden_one_ask_for_nothing(page: Page) -> None:
    asked = requests_of(page)
    await page.get_by_role("button", name="Pause").click()
    await page.clock.fast_forward(10 * ROUND)
    await page.get_by_role("button", name="Paused", pressed=True).click()
    await expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "false")
    await updated(page)
    await page.evaluate(HIDDEN, arg=True)
    before = len(asked)
    await page.clock.fast_forward(10 * ROUND)
    assert len(asked) == before
    async with page.expect_response("**/causes?*"):
        await page.evaluate(HIDDEN, arg=False)


async def test_tables_that_do_not_answer_are_reported_and_asked_ever_more_rarely(troubled: Page, fleet: Shown) -> None:
    fleet.tables.faults.add("read", 503, ALL)
    try:
        await next_update(troubled)
        banner = outage(troubled)
        await expect(banner).to_contain_text("The app answered with an error (503)")
        await expect(banner).to_contain_text("This page is ")
        await expect(banner).to_contain_text("Next try in ")
        await expect(needs(troubled).locator(".device")).to_have_text("edge-1")
        await expect(needs(troubled)).to_have_class("stale")
        await expect(needs(troubled).locator(".asof")).to_contain_text("ago: The app answered with an error")
        tries = requests_of(troubled)
        await troubled.clock.fast_forward(ROUND)
        assert tries == []
    finally:
        fleet.tables.faults.clear()
    await troubled.get_by_role("button", name="Try now").click()
    await expect(outage(troubled)).to_have_count(0)
    await expect(needs(troubled)).not_to_have_class("stale")


async def test_an_outage_is_reported_in_a_dialog_too(troubled: Page) -> None:
    await follow(troubled, "?device=edge-1")
    await troubled.context.set_offline(True)
    await next_update(troubled)
    dialog = troubled.get_by_role("dialog")
    await expect(dialog.get_by_role("alert")).to_have_text("The app does not answer: it cannot be reached")
    await expect(dialog.get_by_role("region", name="Now")).to_have_class("stale")
    await troubled.context.set_offline(False)
    await next_update(troubled, SECOND_TRY)
    await expect(outage(troubled)).to_have_count(0)


@pytest.mark.parametrize(
    ("status", "sentence"), [(429, "gets too many requests (429)"), (500, "answered with an error (500)")]
)
async def test_an_error_of_the_host_is_reported_and_waits_as_long_as_it_asks(
    troubled: Page, status: int, sentence: str
) -> None:
    async def refused(route: Route) -> None:
        await route.fulfill(status=status, body="busy", headers={"Retry-After": "120"})

    await troubled.route("**/api/causes*", refused)
    await next_update(troubled)
    await expect(troubled.get_by_role("alert").filter(visible=True)).to_contain_text(sentence)
    await expect(outage(troubled)).to_contain_text("Next try in ")  # all have been asked
    tries = requests_of(troubled)
    await troubled.clock.fast_forward(100_000)
    assert tries == []
    await troubled.unroute("**/api/causes*")
    await next_update(troubled, 60_000)
    await expect(outage(troubled)).to_have_count(0)


async def test_an_answer_that_never_comes_is_given_up(fleet: Shown) -> None:
    async with stopped(fleet, quiet=False) as page:
        # The browser's own clock ends a request: the page's is not the one that counts there.
        await page.evaluate("AbortSignal.timeout = () => AbortSignal.abort(new DOMException('', 'TimeoutError'))")
        await next_update(page)
        alert = page.get_by_role("alert").filter(visible=True)
        await expect(alert).to_have_text("The app does not answer: no answer within 20 s")
        await expect(needs(page).locator(".device")).to_have_text("edge-1")


async def test_a_key_that_is_refused_is_asked_for_and_not_tried_again(troubled: Page) -> None:
    await troubled.evaluate("sessionStorage.setItem('key', 'another')")
    await next_update(troubled)
    await expect(troubled.locator("#key")).to_contain_text("The app refuses this key.")
    tries = requests_of(troubled)
    await troubled.clock.fast_forward(100 * ROUND)
    assert tries == []
    await troubled.get_by_label("Key").fill(KEY)
    await troubled.keyboard.press("Enter")
    await expect(outage(troubled)).to_have_count(0)


async def test_a_banner_names_a_timer_that_is_silent_and_goes_when_it_runs_again(fleet: Shown) -> None:
    for timer in ("flag_stuck", "resync"):
        await fleet.stack.host.run_timer(timer)
    async with stopped(fleet) as page:
        banner = page.locator("#old-news")
        await expect(banner).to_be_hidden()
        fleet.now += timedelta(minutes=7)
        await next_update(page)
        await expect(banner).to_have_text(
            "The timer flag_stuck last ran 7 min ago: no device is newly flagged as stuck, and counts are old."
        )
        await fleet.stack.host.run_timer("flag_stuck")
        await next_update(page)
        await expect(banner).to_be_hidden()


async def test_a_list_that_its_button_empties_says_so_at_once(page: Page, fleet: Shown) -> None:
    await delete_under_a_hand(page, fleet, "edge-1")
    await expect(needs(page).get_by_text("Nothing is stuck.")).to_be_hidden()
    await needs(page).get_by_role("button", name=re.compile("Show 1 gone")).click()
    await expect(needs(page).get_by_text("Nothing is stuck.")).to_be_visible()
