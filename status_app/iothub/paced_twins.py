"""Reads the twins of a hub at the pace of one share of the app's budget."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from status_app.iothub.breaker import TwinBreaker
from status_app.iothub.budget import Share
from status_app.iothub.twins import TwinPage


class PacedTwins:
    """Reads twins as often as a share allows.

    Args:
        twins: The twins, for all shares of the process.
        share: Returns the share, which may need a request first.
    """

    def __init__(self, twins: TwinBreaker, share: Callable[[], Awaitable[Share]]) -> None:
        self._twins = twins
        self._share = share

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        """See TwinBreaker.read."""
        return await self._twins.read(device_id, await self._share())

    async def several(self, device_ids: Sequence[str]) -> Sequence[Mapping[str, Any]] | None:
        """See TwinBreaker.several."""
        return await self._twins.several(device_ids, await self._share())

    async def page(self, continuation: str | None, since: datetime | None = None) -> TwinPage:
        """See TwinBreaker.page."""
        return await self._twins.page(continuation, await self._share(), since)

    async def outlines(self, device_ids: Sequence[str], continuation: str | None = None) -> TwinPage:
        """See TwinBreaker.outlines."""
        return await self._twins.outlines(device_ids, continuation, await self._share())

    async def tags(self, continuation: str | None, device_ids: Sequence[str] = ()) -> TwinPage:
        """See TwinBreaker.tags."""
        return await self._twins.tags(continuation, device_ids, await self._share())

    async def tags_of(self, device_ids: Sequence[str]) -> Sequence[Mapping[str, Any]] | None:
        """See TwinBreaker.tags_of."""
        return await self._twins.tags_of(device_ids, await self._share())
