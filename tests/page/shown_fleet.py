"""The app with its page, over a table service that can fail, and a real Chromium that looks at it."""

import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright, expect

from local.stack import Stack, running_stack
from local.tables import TableProxy, table_proxy

ROOT: Final = Path(__file__).parents[2]
KEY: Final = "key/of+tests="
START: Final = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)
"""Soon after the times of the cases, so that nothing in them is stuck yet."""
_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Shown:
    """A fleet, and the browser that shows it.

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
        return f"{self.stack.api}/fleet?code={KEY.replace('+', '%2B')}"

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
    async def page(
        self, *, width: int = 1200, opened: bool = True, quiet: bool = True, **context: Any
    ) -> AsyncIterator[Page]:
        """A window of its own, with the page where it is opened. `page.clock` can move its timers on.

        Where it is quiet, no error may show up in its console.
        """
        errors: list[str] = []
        window = await self.browser.new_context(viewport={"width": width, "height": 900}, **context)
        page = await window.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.clock.install()
        if opened:
            await page.goto(self.address)
            await answered(page)
        try:
            yield page
        finally:
            await window.close()
        assert not quiet or errors == []


@asynccontextmanager
async def shown_fleet(behind: str) -> AsyncIterator[Shown]:
    """Run all of it, over a table service."""
    with tempfile.TemporaryDirectory() as folder:
        async with table_proxy(behind) as tables, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium(), args=_FLAGS)
            stack_of: list[Shown] = []
            clock = lambda: stack_of[0].now if stack_of else START  # noqa: E731 (the fleet has the time)
            async with running_stack(Path(folder), tables.connection_string, clock, function_key=KEY) as stack:
                stack_of.append(Shown(stack, tables, browser))
                for timer in ("flag_stuck", "resync"):
                    await stack.host.run_timer(timer)
                yield stack_of[0]
            await browser.close()


async def answered(page: Page) -> None:
    """Wait until each part of the page has its first answer."""
    await expect(page.get_by_text("Loading").locator("visible=true")).to_have_count(0)


@cache
def chromium() -> str:
    """The path of a Chromium."""
    command = ["sh", str(ROOT / "scripts/chromium")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    return result.stdout.strip()
