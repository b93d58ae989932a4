"""The app with its page, over a table service that can fail, as a real Chromium shows it."""

import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from playwright.async_api import Browser, Page, expect

from local.stack import Stack, running_stack
from local.tables import TableProxy, table_proxy

ROOT: Final = Path(__file__).parents[2]
KEY: Final = "key/of+tests="
START: Final = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)
"""Soon after the times of the cases, so that nothing in them is stuck yet."""
HIDDEN: Final = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
"""Hides or shows the tab for the page: a headless browser hides none."""
SHIFTS: Final = """() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
        const moved = list.getEntries().filter((one) => !one.hadRecentInput).flatMap((one) => one.sources);
        window.shifts.push(...moved.map(({ node }) => node.textContent));
    }).observe({ type: "layout-shift", buffered: false });
}"""
"""Collects the texts of what moves by itself from now on in `window.shifts`."""
DRAWN: Final = """async () => {
    for (let frame = 0; frame < 2; frame += 1)
        await new Promise((done) => new IntersectionObserver(done).observe(document.body));
}"""
"""Waits until the browser has drawn the page as it is, and reported what moved, even while the page's clock stands."""
expect.set_options(timeout=60_000)  # a machine may be slow


@asynccontextmanager
async def opened(
    browser: Browser, address: str | None, *, width: int = 1280, quiet: bool = True, **context: Any
) -> AsyncIterator[Page]:
    """A window of its own, with the page where there is an address. `page.clock` can move its timers on.

    Where it is quiet, no error may show up in its console.
    """
    errors: list[str] = []
    window = await browser.new_context(viewport={"width": width, "height": 900}, **context)
    page = await window.new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.clock.install()
    if address is not None:
        await page.goto(address)
        await answered(page)
    try:
        yield page
    finally:
        await window.close()
    assert not quiet or errors == []


async def answered(page: Page) -> None:
    """Wait until each part of the page has its first answer."""
    await expect(page.get_by_text("Loading", exact=True).locator("visible=true")).to_have_count(0)


FOLLOW = """(fragment) => new Promise((done) => {
    if (location.hash.slice(1) === fragment) done();
    addEventListener("hashchange", () => done(), { once: true }); // behind the listener of the page
    location.hash = fragment;
})"""


async def follow(page: Page, fragment: str) -> None:
    """Go to another address of the page, and wait for its answers."""
    await page.evaluate(FOLLOW, fragment)
    await answered(page)


def address_of(stack: Stack, fragment: str = "") -> str:
    """The address of the page, with its key, or with another fragment."""
    return f"{stack.api}/fleet#{fragment or f'key={quote(KEY, safe="")}'}"


@dataclass
class Shown:
    """A fleet of a few devices, and the browser that shows it.

    Attributes:
        now: The time of the app; the page has it from the answers.
    """

    stack: Stack
    tables: TableProxy
    browser: Browser
    now: datetime = START

    @property
    def address(self) -> str:
        """The address of the page, with its key."""
        return address_of(self.stack)

    async def put(self, device_id: str, case: str, change: Callable[[dict[str, Any]], object] | None = None) -> None:
        """Put the twin of a case into the hub, and wait until the app has seen it."""
        (path,) = (ROOT / "tests/cases").glob(f"{case}_*.json")
        twin = json.loads(path.read_bytes())["twin"] | {"deviceId": device_id}
        if change is not None:
            change(twin)
        self.stack.iot_hub.registry.put(twin)
        await self.stack.drained()

    async def pass_time(self, **length: int) -> None:
        """Let time pass, and the timer of each minute fire at the end of it."""
        self.now += timedelta(**length)
        await self.stack.host.run_timer("flag_stuck")

    @asynccontextmanager
    async def page(self, *, opens: bool = True, **options: Any) -> AsyncIterator[Page]:
        """A window with the page of the fleet, where it opens."""
        async with opened(self.browser, self.address if opens else None, **options) as page:
            yield page


@asynccontextmanager
async def shown_fleet(behind: str, browser: Browser) -> AsyncIterator[Shown]:
    """Run the app over a table service."""
    with tempfile.TemporaryDirectory() as folder:
        async with table_proxy(behind) as tables:
            stack_of: list[Shown] = []
            clock = lambda: stack_of[0].now if stack_of else START  # noqa: E731 (the fleet has the time)
            async with running_stack(Path(folder), tables.connection_string, clock, function_key=KEY) as stack:
                stack_of.append(Shown(stack, tables, browser))
                for timer in ("flag_stuck", "resync"):
                    await stack.host.run_timer(timer)
                yield stack_of[0]
