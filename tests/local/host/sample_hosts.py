"""Hosts around the sample app, stopped at the end of a test, and events for them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local.eventhubs import EventHubs
from local.host import FunctionsHost
from local.routed_event import RoutedEvent

SAMPLE_APP = Path(__file__).parent / "sample_app"

type StartHost = Callable[..., Awaitable[FunctionsHost]]


def without_event_hub(folder: Path) -> Path:
    """A copy of the sample app, in `folder`, that has no event hub function."""
    text = (SAMPLE_APP / "function_app.py").read_text("utf-8")
    start = text.index("@app.event_hub_message_trigger")
    end = text.index("@app.timer_trigger")
    (folder / "function_app.py").write_text(text[:start] + text[end:], "utf-8")
    return folder


def append(hubs: EventHubs, *bodies: bytes, key: str = "d1") -> str:
    """Append events of one key to `twins`, so to one partition; returns its id."""
    return [hubs.append("twins", RoutedEvent(body, key))[0] for body in bodies][-1]


async def drained(host: FunctionsHost) -> None:
    """Wait until the host has done with all events."""
    async with asyncio.timeout(20):
        await host.drained()


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the lists of the sample app have no event to wait for
            await asyncio.sleep(0.01)


def running_app() -> Any:
    """The module of the app that runs."""
    return sys.modules["function_app"]


@asynccontextmanager
async def hosts(folder: Path) -> AsyncIterator[StartHost]:
    """Gives a function that starts a host, by default around the sample app without its event hub function."""
    started: list[FunctionsHost] = []

    async def start(
        app_dir: Path | None = None, settings: dict[str, str] | None = None, **options: Any
    ) -> FunctionsHost:
        if app_dir is None:
            app_dir = folder / "app"
            app_dir.mkdir(exist_ok=True)
            without_event_hub(app_dir)
        host = FunctionsHost(
            app_dir, {"SCHEDULE": "0 */5 * * * *", **(settings or {})}, data_dir=folder / "data", **options
        )
        await host.start()
        started.append(host)
        return host

    try:
        yield start
    finally:
        for host in started:
            await host.stop()
