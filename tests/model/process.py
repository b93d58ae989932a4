"""One process of the app, whose every call to a service can go wrong, and which can be killed in any of them."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Protocol
from unittest.mock import patch

from status_app.errors import ContinuationError
from status_app.iothub.twins import TwinPage
from status_app.services import Services
from status_app.settings import Settings

from .faults import Fault, Killed, Service, Trouble, attempt, suffer, troubles
from .fleet import Change, Device
from .tables import Tables, TableService

SETTINGS = {
    "STATUS_TABLES": "UseDevelopmentStorage=true",
    "IOT_HUB": "hub1.azure-devices.net",
    "Transitions": "Endpoint=sb://transitions",
    "TRANSITIONS_HUB": "transitions",
}
CALL = timedelta(milliseconds=1)
"""What a call takes."""


class Surroundings(Protocol):
    """What a process is in: its services, the hub, and the clock."""

    now: datetime
    tables: Tables
    published: list[tuple[str, bytes]]
    devices: dict[str, Device]
    lag: dict[str, int]
    page_size: int
    random: Random

    def change(self, change: Change) -> None:
        """Change a twin."""

    async def rival(self, device: int) -> None:
        """Let another process look at a device."""


class Process:
    """One process: its clients, and whether it lives."""

    def __init__(self, world: Surroundings, settings: Settings) -> None:
        self.is_alive = True
        self._world = world
        self._faults: Iterator[Fault | None] = troubles(())
        tables = TableService(world.tables, partial(self.call, "tables"))
        with (
            patch("status_app.services.table_service", lambda _: tables),
            patch("status_app.services.TransitionPublisher", lambda *_, **__: Publisher(self, world)),
        ):
            self.services = Services(settings, clock=lambda: world.now, twins=Hub(self, world), sleep=at_once)

    def expect(self, faults: tuple[Fault, ...]) -> None:
        """What the next calls meet."""
        self._faults = troubles(faults)

    async def call(
        self, service: Service, _name: str, do: Callable[[], Any], part: Callable[[], object] = lambda: None
    ) -> Any:
        """Make a call.

        Args:
            service: Whom it goes to.
            do: What it does.
            part: What a `PARTLY` does of it.
        """
        world = self._world
        for _ in range(world.random.randrange(3)):
            await asyncio.sleep(0)
        if not self.is_alive:
            raise Killed
        world.now += CALL
        fault = next(self._faults)
        if fault is None:
            return do()
        match fault.trouble:
            case Trouble.KILLED | Trouble.KILLED_AFTER as trouble:
                self.is_alive = False
                if trouble is Trouble.KILLED_AFTER:
                    attempt(do)
                raise Killed
            case Trouble.RIVAL:
                await world.rival(fault.device)
            case Trouble.CHANGE:
                world.change(fault.change)
            case Trouble.PARTLY:
                part()
                return suffer(service, Trouble.BUSY, do)
            case trouble:
                return suffer(service, trouble, do)
        if not self.is_alive:
            raise Killed
        return do()


async def at_once(_seconds: float) -> None:
    """Nobody waits in a history."""
    await asyncio.sleep(0)


class Hub:
    """The twins of the hub, as a process reads them."""

    def __init__(self, process: Process, world: Surroundings) -> None:
        self._process = process
        self._world = world

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        device = self._world.devices[device_id]
        twin: Mapping[str, Any] | None = await self._process.call("iothub", "read", lambda: device.twin)
        return twin

    async def page(self, continuation: str | None) -> TwinPage:
        """A page of what the hub's own index holds: it may be behind what `read` gives."""
        world = self._world

        def do() -> TwinPage:
            twins = {name: _behind(device, world.lag.get(name, 0)) for name, device in sorted(world.devices.items())}
            left = [name for name, twin in twins.items() if twin is not None and name > (continuation or "")]
            names = left[: world.page_size]
            return TwinPage([twins[name] or {} for name in names], names[-1] if len(left) > len(names) else None)

        def refuse() -> None:
            if continuation is not None:
                raise ContinuationError

        page: TwinPage = await self._process.call("iothub", "page", do, refuse)
        return page


class Publisher:
    """In the place of a TransitionPublisher: the same promises, an event hub in memory."""

    def __init__(self, process: Process, world: Surroundings) -> None:
        self._process = process
        self._world = world

    async def publish(self, device_id: str, events: Sequence[bytes]) -> None:
        def store(some: Iterable[bytes]) -> None:
            self._world.published.extend((device_id, event) for event in some)

        first = events[: (len(events) + 1) // 2]
        await self._process.call("transitions", "publish", lambda: store(events), lambda: store(first))

    async def close(self) -> None:
        """Nothing is open."""


def _behind(device: Device, lag: int) -> dict[str, Any] | None:
    return device.twins[max(0, len(device.twins) - 1 - lag)]
