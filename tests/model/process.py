"""One process of the app, whose every call to a service can go wrong, and which can be killed in any of them."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache, partial
from typing import Any
from unittest.mock import patch

from local.tables.memory import TableService
from status_app.service_clock import ServiceClock
from status_app.services import Services
from status_app.settings import Settings

from .faults import Fault, Killed, Service, Trouble, attempt, refusal, suffer, troubles
from .hub import Hub
from .surroundings import Surroundings

SETTINGS = {
    "STATUS_TABLES": "UseDevelopmentStorage=true",
    "IOT_HUB": "hub1.azure-devices.net",
    "Transitions": "Endpoint=sb://transitions",
    "TRANSITIONS_HUB": "transitions",
}
CALL = timedelta(milliseconds=1)
"""What a call takes."""
SILENCE = timedelta(seconds=30)
"""What a call takes that nobody answers."""


class Process:
    """One process: its clients, and whether it lives."""

    def __init__(self, world: Surroundings, settings: Settings) -> None:
        self.is_alive = True
        self.ahead = timedelta()
        self._paused = timedelta()
        self._silent = set[Service]()
        self.clock = ServiceClock(lambda: world.now + self.ahead)
        self._world = world
        self._faults: Iterator[Fault | None] = troubles(())
        self.tables = TableService(world.tables, partial(self.call, "tables"))
        self.publisher = Publisher(self, world)
        self.hub = hub = Hub(self.call, world)
        with (
            patch("status_app.services.table_service", lambda *_: self.tables),
            patch("status_app.services.TransitionPublisher", lambda *_, **__: self.publisher),
        ):
            self.services = Services(
                settings,
                clock=self.clock,
                twins=hub,
                deployments=hub if world.history.has_list else None,
                sleep=at_once,
                ticks=self._ticks,
            )

    def _ticks(self) -> float:
        return (self._world.now - self._paused).timestamp()

    def expect(self, faults: tuple[Fault, ...]) -> None:
        """What the next calls meet."""
        self._faults = troubles(faults)
        self._silent.clear()

    async def call(
        self, service: Service, name: str, do: Callable[[], Any], part: Callable[[], object] = lambda: None
    ) -> Any:
        """Make a call, as `_call` does, and learn from its answer when it was made."""
        asked, made = self.clock.machine(), list[datetime]()

        def timed() -> Any:
            made.append(self._world.now)
            return do()

        answer = await self._call(service, name, timed, part)
        self.clock.answered(_date(made[-1].replace(microsecond=0)), asked)
        return answer

    async def _call(
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
        if fault is not None and fault.trouble is Trouble.SILENT:
            self._silent.add(service)
        if service in self._silent:
            world.now += SILENCE
            raise refusal(service, Trouble.TIMEOUT)
        return do() if fault is None else await self._suffer(service, fault, do, part)

    async def _suffer(self, service: Service, fault: Fault, do: Callable[[], Any], part: Callable[[], object]) -> Any:
        """Make a call to which something happens."""
        world = self._world
        match fault.trouble:
            case Trouble.KILLED | Trouble.KILLED_AFTER as trouble:
                self.is_alive = False
                if trouble is Trouble.KILLED_AFTER:
                    attempt(do)
                raise Killed
            case Trouble.RIVAL:
                world.change(replace(fault.change, device=fault.device))
                await world.rival(fault.device)
            case Trouble.CHANGE:
                world.change(fault.change)
            case Trouble.PAUSED:
                await self._pause(fault)
            case Trouble.PAUSED_AFTER:
                answer = do()
                await self._pause(fault)
                if not self.is_alive:
                    raise Killed
                return answer
            case Trouble.PARTLY:
                part()
                return suffer(service, Trouble.BUSY, do)
            case trouble:
                return suffer(service, trouble, do)
        if not self.is_alive:
            raise Killed
        return do()

    async def _pause(self, fault: Fault) -> None:
        """Stand still, while the hub changes a twin, and another process looks at a device and runs the timers."""
        pause = timedelta(seconds=fault.pause)
        if fault.stops_ticks:
            self._paused += pause
        self._world.change(replace(fault.change, device=fault.device))
        self._world.now += pause
        await self._world.meanwhile(fault.device)


@lru_cache(maxsize=8)
def _date(second: datetime) -> str:
    """The header `Date` of an answer."""
    return format_datetime(second, usegmt=True)


async def at_once(_seconds: float) -> None:
    """Nobody waits in a history."""
    await asyncio.sleep(0)


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
