"""The hub, as a process reads it: its twins, and its list of deployments."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from status_app.errors import ContinuationError, QueryRefusedError
from status_app.iothub.twins import TwinPage

from .fleet import Device
from .outlines import outline_of
from .steps import Page
from .surroundings import Surroundings

type Call = Callable[..., Awaitable[Any]]
"""Makes a call, which something may happen to."""
BEFORE_ALL = " "
"""A continuation before the first device."""


class Hub:
    """The twins of the hub, and its list of deployments, as a process reads them."""

    def __init__(self, call: Call, world: Surroundings) -> None:
        self._call = call
        self._world = world

    async def read(self, device_id: str, _share: object = None) -> Mapping[str, Any] | None:
        device = self._world.devices[device_id]
        twin: Mapping[str, Any] | None = await self._call("iothub", "read", lambda: device.twin)
        return twin

    async def deployments(self) -> Sequence[Any]:
        listed: Sequence[Any] = await self._call("iothub", "deployments", self._world.hub_list.listed)
        return listed

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

        twins: Sequence[Mapping[str, Any]] = await self._call("iothub", "several", do)
        return twins

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, _share: object = None
    ) -> TwinPage:
        """A page of outlines, which show whether twins are as they were, of the same index."""
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

        page: TwinPage = await self._call("iothub", "outlines", do, refuse)
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

        page: TwinPage = await self._call("iothub", "page", do, refuse)
        return page


def _changed_at(twin: Mapping[str, Any] | None) -> datetime:
    """When a twin was changed last."""
    sections = () if twin is None else twin["properties"].values()
    return max(datetime.fromisoformat(section["$metadata"]["$lastUpdated"]) for section in sections)


def _behind(device: Device, lag: int) -> dict[str, Any] | None:
    return device.twins[max(0, len(device.twins) - 1 - lag)]
