"""One browser for all tests of the page."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_asyncio
from playwright.async_api import Browser, async_playwright

ROOT: Final = Path(__file__).parents[2]
_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium."""
    command = ["sh", str(ROOT / "scripts/chromium")]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603, ASYNC221 (a fixed command, before all tests)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        await browser.close()
