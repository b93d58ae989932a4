"""The whole app on one machine: IoT Hub, Event Hubs, the functions host and the app, over a table service."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from local.eventhubs import EventHubs
from local.host import FunctionsHost
from local.iothub import IotHub
from local.notice_board import PEOPLE, URL_SETTING, NoticeBoard
from local.routed_event import RoutedEvent
from status_app import services
from status_app.iothub.budget import Budget
from status_app.iothub.twins import TwinReader
from status_app.notify.targets import SETTING, read_targets
from status_app.notify.webhook import Webhooks
from status_app.settings import SCHEDULES, Settings

ROOT: Final = Path(__file__).parents[1]
TWIN_CHANGES: Final = "twin-changes"
TRANSITIONS: Final = "transitions"
PARTITIONS: Final = 2
_STOP_SECONDS: Final = 30
"""Seconds to wait for functions that do not finish."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stack:
    """The running parts.

    Attributes:
        sent: The events of the hub's route, in order.
        settings: The settings of the app.
        board: The target of notifications; None: none.
    """

    event_hubs: EventHubs
    iot_hub: IotHub
    host: FunctionsHost
    sent: list[RoutedEvent]
    settings: Mapping[str, str]
    board: NoticeBoard | None = None

    @property
    def api(self) -> str:
        """The address of the app's HTTP functions, without a trailing slash."""
        return f"http://127.0.0.1:{self.host.http_port}/api"

    def send(self, event: RoutedEvent) -> None:
        """Send an event to twin-changes, as the hub's route would."""
        self.event_hubs.append(TWIN_CHANGES, event)

    async def drained(self) -> None:
        """Wait until the app has processed every event of twin-changes, and its own events if it notifies people."""
        await self.host.processed(TWIN_CHANGES, self.event_hubs.last_sequence(TWIN_CHANGES))
        if self.board is not None:
            await self.host.processed(TRANSITIONS, self.event_hubs.last_sequence(TRANSITIONS))


@asynccontextmanager
async def running_stack(  # noqa: PLR0913 (all but three keyword-only: what differs from the app as it is deployed)
    folder: Path,
    tables: str,
    clock: Callable[[], datetime],
    *,
    routes: bool = True,
    function_key: str | None = None,
    app_dir: Path = ROOT,
    twins: Callable[[Settings], TwinReader] | None = None,
    own_settings: Mapping[str, str] | None = None,
    notifies: bool = False,
    budget: Callable[[Settings], Budget] | None = None,
    before: Callable[[Stack], object] | None = None,
) -> AsyncIterator[Stack]:
    """Run the app over a table service. Timers do not fire on their own: use `host.run_timer`.

    Args:
        folder: For certificates and checkpoints.
        tables: Connection string of the table service.
        clock: The clock of everything.
        routes: Whether the hub's route sends its events; otherwise they are only kept in `sent`.
        function_key: The key of the HTTP functions. None leaves them open.
        app_dir: Folder of the function app.
        twins: The reader of twins; None: the app's own, without its waits.
        own_settings: Further settings of the app.
        notifies: Whether the app notifies people, on a local board.
        budget: The budget of the API; None: the one of the settings, with the clock.
        before: Called before the app starts, to prepare the hubs.
    """
    event_hubs = EventHubs({TWIN_CHANGES: PARTITIONS, TRANSITIONS: PARTITIONS}, now=clock)
    sent: list[RoutedEvent] = []

    def route(event: RoutedEvent) -> None:
        sent.append(event)
        if routes:
            event_hubs.append(TWIN_CHANGES, event)

    iot_hub = IotHub(folder, now=clock, route=route)
    async with AsyncExitStack() as running:
        await event_hubs.start()
        running.push_async_callback(event_hubs.stop)
        await iot_hub.start()
        running.push_async_callback(iot_hub.stop)
        running.enter_context(_trusting(iot_hub.ca_file))
        settings = {
            "TwinChanges": event_hubs.connection_string(),
            "TWIN_CHANGES_HUB": TWIN_CHANGES,
            "CONSUMER_GROUP": "$Default",
            "Transitions": event_hubs.connection_string(),
            "TRANSITIONS_HUB": TRANSITIONS,
            "STATUS_TABLES": tables,
            "IOT_HUB": iot_hub.connection_string,
            **SCHEDULES,
            **(own_settings or {}),
        }
        board = None
        if notifies:
            board = await running.enter_async_context(NoticeBoard(folder / "board", clock))
            settings = {SETTING: PEOPLE, **settings, URL_SETTING: board.url}
        trusted = None if board is None else board.trusted
        read = Settings.read({**os.environ, **settings})
        reader = None if twins is None else twins(read)
        limits = None if budget is None else budget(read)
        app = services.Services(
            read,
            clock=clock,
            twins=reader,
            budget=limits,
            sleep=_no_wait,
            targets=read_targets(settings),
            webhooks=Webhooks(sleep=_no_wait, is_local=True, tls=trusted),
        )
        running.push_async_callback(app.close)
        services.use(app)
        host = FunctionsHost(app_dir, settings, data_dir=folder, clock=clock, sleep=_no_wait, function_key=function_key)
        stack = Stack(event_hubs, iot_hub, host, sent, settings, board)
        if before is not None:
            before(stack)
        await host.start()
        running.push_async_callback(_stop, host)
        yield stack


async def _stop(host: FunctionsHost) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await host.stop()
    except TimeoutError:
        _log.error("a function is still running: not waiting for it")


async def _no_wait(_seconds: float) -> None:
    """Do not wait before a retry: only the clock moves time."""
    await asyncio.sleep(0)


@contextmanager
def _trusting(ca_file: Path) -> Iterator[None]:
    """Let clients in this process trust the certificates of an authority."""
    before = os.environ.get("REQUESTS_CA_BUNDLE")
    os.environ["REQUESTS_CA_BUNDLE"] = str(ca_file)
    try:
        yield
    finally:
        if before is None:
            del os.environ["REQUESTS_CA_BUNDLE"]
        else:
            os.environ["REQUESTS_CA_BUNDLE"] = before
