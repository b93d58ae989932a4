"""One process of the app, whose every call to a service can go wrong, and which can be killed in any of them."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache, partial
from random import Random
from typing import Any, Protocol
from unittest.mock import patch

from local.tables.memory import Tables, TableService
from status_app.errors import ContinuationError, QueryRefusedError
from status_app.iothub.twins import TwinPage
from status_app.service_clock import ServiceClock
from status_app.services import Services
from status_app.settings import Settings

from .faults import Fault, Killed, Service, Trouble, attempt, refusal, suffer, troubles
from .fleet import Change, Device
from .outlines import outline_of
from .steps import Page

SETTINGS = {
    "STATUS_TABLES": "UseDevelopmentStorage=true",
    "IOT_HUB": "hub1.azure-devices.net",
    "Transitions": "Endpoint=sb://transitions",
    "TRANSITIONS_HUB": "transitions",
}
BEFORE_ALL = " "
"""A continuation before the first device."""
CALL = timedelta(milliseconds=1)
"""What a call takes."""
SILENCE = timedelta(seconds=30)
"""What a call takes that nobody answers."""


class Surroundings(Protocol):
    """What a process is in: its services, the hub, and the clock."""

    now: datetime
    tables: Tables
    published: list[tuple[str, bytes]]
    devices: dict[str, Device]
    lag: dict[str, int]
    page_size: int
    pages: Iterator[Page]
    random: Random

    def change(self, change: Change) -> None:
        """Change a twin."""

    async def rival(self, device: int) -> None:
        """Let another process look at a device."""

    async def meanwhile(self, device: int) -> None:
        """Let another process look at a device, and run the timer of each minute."""


class Process:
    """One process: its clients, and whether it lives."""

    def __init__(self, world: Surroundings, settings: Settings) -> None:
        self.is_alive = True
        self.ahead = timedelta()
        self._paused = timedelta()
        self._silent = set[Service]()
        self._clock = ServiceClock(lambda: world.now + self.ahead)
        self._world = world
        self._faults: Iterator[Fault | None] = troubles(())
        tables = TableService(world.tables, partial(self.call, "tables"))
        with (
            patch("status_app.services.table_service", lambda *_: tables),
            patch("status_app.services.TransitionPublisher", lambda *_, **__: Publisher(self, world)),
        ):
            self.services = Services(
                settings, clock=self._clock, twins=Hub(self, world), sleep=at_once, ticks=self._ticks
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
        asked, made = self._clock.machine(), list[datetime]()

        def timed() -> Any:
            made.append(self._world.now)
            return do()

        answer = await self._call(service, name, timed, part)
        self._clock.answered(_date(made[-1].replace(microsecond=0)), asked)
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


class Hub:
    """The twins of the hub, as a process reads them."""

    def __init__(self, process: Process, world: Surroundings) -> None:
        self._process = process
        self._world = world

    async def read(self, device_id: str, _share: object = None) -> Mapping[str, Any] | None:
        device = self._world.devices[device_id]
        twin: Mapping[str, Any] | None = await self._process.call("iothub", "read", lambda: device.twin)
        return twin

    async def tags(self, _continuation: str | None, _device_ids: Sequence[str] = (), _share: object = None) -> TwinPage:
        raise AssertionError("no cohorts are asked for")

    async def tags_of(self, _device_ids: Sequence[str], _share: object = None) -> Sequence[Mapping[str, Any]]:
        raise AssertionError("no cohorts are asked for")

    async def several(self, device_ids: Sequence[str], _share: object = None) -> Sequence[Mapping[str, Any]]:
        """Twins of some devices, of the hub's own index."""
        world = self._world

        def do() -> list[Mapping[str, Any]]:
            kind = next(world.pages, Page.WHOLE)
            names = world.devices if kind is Page.FOREIGN else device_ids
            known = (_behind(world.devices[name], world.lag.get(name, 0)) for name in names)
            twins: list[Mapping[str, Any]] = [twin for twin in known if twin is not None]
            match kind:
                case Page.EMPTY:
                    return []
                case Page.SHORT:
                    return twins[:1]
                case Page.REPEATED:
                    return [*twins, *twins[:1]]
                case Page.TORN:
                    return [{"deviceId": twin["deviceId"], "moduleId": "$edgeAgent"} for twin in twins]
            return twins

        twins: Sequence[Mapping[str, Any]] = await self._process.call("iothub", "several", do)
        return twins

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, _share: object = None
    ) -> TwinPage:
        """A page of what tells whether twins are as they were, of the same index."""
        world = self._world

        def do() -> TwinPage:
            kind = next(world.pages, Page.WHOLE)
            known = (_behind(world.devices[name], world.lag.get(name, 0)) for name in sorted(device_ids))
            twins = [twin for twin in known if twin is not None and twin["deviceId"] > (continuation or "")]
            if kind is Page.EMPTY:
                return TwinPage([], continuation or BEFORE_ALL)
            found = [outline_of(twin) for twin in twins[: 1 if kind is Page.SHORT else world.page_size]]
            if kind is Page.TORN:
                found[::2] = [{"deviceId": twin["deviceId"]} for twin in found[::2]]
            after = found[-1]["deviceId"] if len(found) < len(twins) else None
            return TwinPage([*found, *found[: kind is Page.REPEATED]], after)

        def refuse() -> None:
            if continuation is not None:
                raise ContinuationError
            raise QueryRefusedError

        page: TwinPage = await self._process.call("iothub", "outlines", do, refuse)
        return page

    async def page(self, continuation: str | None, _share: object = None, since: datetime | None = None) -> TwinPage:
        """A page of what the hub's own index holds: it may be behind what `read` gives."""
        world = self._world

        def do() -> TwinPage:
            twins = {name: _behind(device, world.lag.get(name, 0)) for name, device in sorted(world.devices.items())}
            left = [name for name, twin in twins.items() if twin is not None and name > (continuation or "")]
            left = [name for name in left if since is None or _changed_at(twins[name]) >= since]
            kind = next(world.pages, Page.WHOLE)
            if kind is Page.EMPTY:
                return TwinPage([], continuation or BEFORE_ALL)
            names = left[: 1 if kind is Page.SHORT else world.page_size]
            found = [twins[name] or {} for name in names]
            after = names[-1] if len(left) > len(names) or (kind is Page.SHORT and names) else None
            if kind is Page.REPEATED and len(names) > 1:
                found, after = [*found, found[0]], names[-2]
            if kind is Page.TORN:
                found[::2] = [{"deviceId": twin["deviceId"], "moduleId": "$edgeAgent"} for twin in found[::2]]
            return TwinPage(found, after)

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


def _changed_at(twin: Mapping[str, Any] | None) -> datetime:
    """When a twin was changed last."""
    sections = () if twin is None else twin["properties"].values()
    return max(datetime.fromisoformat(section["$metadata"]["$lastUpdated"]) for section in sections)


def _behind(device: Device, lag: int) -> dict[str, Any] | None:
    return device.twins[max(0, len(device.twins) - 1 - lag)]
