"""The key of the page: the document needs none, and no address keeps it."""

import gzip
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect
from shown_fleet import KEY, Shown, answered, shown_fleet

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shown(tables: str, browser: Browser) -> AsyncIterator[Shown]:
    async with shown_fleet(tables, browser) as fleet:
        await fleet.put("edge-secret", "048")
        await fleet.pass_time(minutes=1)
        yield fleet


def page_of(shown: Shown) -> str:
    return f"{shown.stack.api}/fleet"


async def kept(page: Page) -> str | None:
    key: str | None = await page.evaluate("sessionStorage.getItem('key')")
    return key


async def test_the_document_needs_no_key_and_holds_nothing_of_the_fleet(shown: Shown) -> None:
    async with shown.page(opens=False) as page:
        answer = await page.request.get(page_of(shown))
        assert answer.status == 200
        assert "edge-secret" not in await answer.text()
        again = await page.request.get(page_of(shown), headers={"If-None-Match": answer.headers["etag"]})
        assert again.status == 304


async def test_the_document_is_sent_in_gzip_to_a_client_that_takes_it(shown: Shown) -> None:
    async with shown.page(opens=False) as page:
        plain = await page.request.get(page_of(shown), headers={"Accept-Encoding": "identity"})
        zipped = await page.request.get(page_of(shown), headers={"Accept-Encoding": "gzip"})
        assert (plain.headers.get("content-encoding"), zipped.headers["content-encoding"]) == (None, "gzip")
        assert await plain.body() == await zipped.body()
        assert len(gzip.compress(await plain.body())) < len(await plain.body()) / 3


async def test_a_key_in_the_fragment_opens_the_page_and_leaves_the_address(shown: Shown) -> None:
    asked: list[str] = []
    async with shown.page(opens=False) as page:
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(shown.address)
        await answered(page)
        assert page.url == page_of(shown)
        assert await kept(page) == KEY
        assert await page.evaluate("history.length") == 2  # the empty one that a window begins with
        assert not any("key" in url for url in asked)
        await page.reload()
        await answered(page)
        await expect(page.locator("#key")).to_be_hidden()


async def test_a_key_is_asked_for_where_none_was_given(shown: Shown) -> None:
    async with shown.page(opens=False, quiet=False) as page:  # the browser logs each 401 in its console
        await page.goto(page_of(shown))
        form = page.locator("#key")
        await expect(form).to_contain_text("The app requires a key.")
        await expect(page.get_by_label("Key")).to_be_focused()
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(form).to_contain_text("The app refuses this key.")
        await page.get_by_label("Key").fill(KEY)
        await page.keyboard.press("Enter")
        await expect(form).to_be_hidden()
        await expect(page.get_by_role("region", name="Deployments 1")).to_be_visible()
        assert "key" not in page.url


async def test_another_window_does_not_know_the_key(shown: Shown) -> None:
    async with shown.page() as page:
        other = await page.context.new_page()
        await other.goto(page_of(shown))
        await expect(other.locator("#key")).to_be_visible()


async def test_a_sign_in_that_has_expired_is_reported(shown: Shown) -> None:
    async def signed_out(route: Route) -> None:
        await route.fulfill(status=302, headers={"Location": "https://login.example.com/"})

    async with shown.page(quiet=False) as page:  # the browser may log the request
        await page.route("**/causes?*", signed_out)
        await page.clock.run_for(15_000)
        alert = page.get_by_role("alert").filter(visible=True)
        await expect(alert).to_contain_text("your session has expired: reload this page")
