"""The whole app on one machine: IoT Hub, Event Hubs, the functions host and the app, over a table service."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from local.eventhubs import EventHubs
from local.host import FunctionsHost
from local.iothub import IotHub
from local.routed_event import RoutedEvent
from status_app import services
from status_app.settings import Settings

ROOT: Final = Path(__file__).parents[1]
TWIN_CHANGES: Final = "twin-changes"
PARTITIONS: Final = 2


@dataclass(frozen=True, slots=True)
class Stack:
    """The running parts. `sent` holds what the hub's route sent, in order."""

    event_hubs: EventHubs
    iot_hub: IotHub
    host: FunctionsHost
    sent: list[RoutedEvent]

    def send(self, event: RoutedEvent) -> None:
        """Put an event on twin-changes, as the hub's route would."""
        self.event_hubs.append(TWIN_CHANGES, event)


@asynccontextmanager
async def running_stack(
    folder: Path, tables: str, clock: Callable[[], datetime], *, routes: bool = True
) -> AsyncIterator[Stack]:
    """Run the app over a table service.

    Args:
        folder: For certificates and checkpoints.
        tables: Connection string of the table service.
        clock: The clock of everything.
        routes: Whether the hub's route sends on what it makes; else it only keeps it in `sent`.
    """
    event_hubs = EventHubs({TWIN_CHANGES: PARTITIONS}, now=clock)
    sent: list[RoutedEvent] = []

    def route(event: RoutedEvent) -> None:
        sent.append(event)
        if routes:
            event_hubs.append(TWIN_CHANGES, event)

    iot_hub = IotHub(folder, now=clock, route=route)
    await event_hubs.start()
    await iot_hub.start()
    os.environ["REQUESTS_CA_BUNDLE"] = str(iot_hub.ca_file)
    settings = {
        "TwinChanges": event_hubs.connection_string(),
        "TWIN_CHANGES_HUB": TWIN_CHANGES,
        "CONSUMER_GROUP": "$Default",
        "STATUS_TABLES": tables,
        "IOT_HUB": iot_hub.connection_string,
    }
    app = services.Services(Settings.read({**os.environ, **settings}), clock=clock)
    services.use(app)
    # Time is the clock's: a retry does not wait.
    host = FunctionsHost(ROOT, settings, data_dir=folder, clock=clock, sleep=lambda _seconds: asyncio.sleep(0))
    await host.start()
    try:
        yield Stack(event_hubs, iot_hub, host, sent)
    finally:
        await host.stop()
        await app.close()
        await iot_hub.stop()
        await event_hubs.stop()
