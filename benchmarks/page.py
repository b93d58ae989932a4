"""`python -m benchmarks.page`: the page of two thousand devices in a Chromium, its first picture and its bytes."""

import asyncio
import logging
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, async_playwright

from benchmarks.plant import DEVICES, running_plant
from benchmarks.table import Row, lines

_ROUNDS: Final = 5
_KEY: Final = "benchmark"
_PART: Final = "page"
_PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


async def page() -> list[Row]:
    """Times from opening to the first picture and to the first cause, and what went over the wire."""
    command = ["sh", str(Path(__file__).parents[1] / "scripts/chromium")]
    found = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    async with running_plant(_KEY) as plant, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found.stdout.strip(), args=["--no-sandbox"])
        rounds = [await _open(browser, f"{plant.stack.api}/fleet#key={_KEY}") for _ in range(_ROUNDS)]
        await browser.close()
    picture, cause, first, update = (statistics.median(values) for values in zip(*rounds, strict=True))
    what = f"{DEVICES:,} devices"
    return [
        Row(_PART, f"first picture, {what}", f"{picture:,.0f} ms"),
        Row(_PART, f"first cause, {what}", f"{cause:,.0f} ms"),
        Row(_PART, f"opening, {what}", f"{first / 1000:,.1f} kB"),
        Row(_PART, f"an update without a change, {what}", f"{update / 1000:,.1f} kB"),
    ]


async def _open(browser: Browser, address: str) -> Sequence[float]:
    """Milliseconds to the first picture and to the first cause, bytes until all is shown, and of an update."""
    window = await browser.new_context()
    tab = await window.new_page()
    received = [0.0]

    def count(event: dict[str, Any]) -> None:
        received.append(received[-1] + event["encodedDataLength"])

    session = await window.new_cdp_session(tab)
    await session.send("Network.enable")
    session.on("Network.loadingFinished", count)
    started = time.perf_counter()
    await tab.goto(address)
    await tab.locator(".cause").first.wait_for()
    cause = (time.perf_counter() - started) * 1000
    await tab.locator(".outstanding li").first.wait_for()
    await tab.wait_for_load_state("networkidle")
    picture, first = float(await tab.evaluate(_PAINT)), received[-1]
    await tab.get_by_role("button", name="Pause").click()
    await tab.get_by_role("button", name="Paused").click()  # which asks at once
    await tab.wait_for_load_state("networkidle")
    await tab.wait_for_timeout(3_000)
    await window.close()
    return picture, cause, first, received[-1] - first


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(*lines(asyncio.run(page())), sep="\n")
