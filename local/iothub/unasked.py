"""Twins that nobody asks for: what stands in for a hub overrides what it is asked for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from status_app.iothub.budget import Share
from status_app.iothub.twins import TwinPage


class UnaskedTwins:
    """Every question of `status_app.iothub.breaker.TwinSource`, refused."""

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        """Not asked for."""
        raise NotImplementedError

    async def several(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Not asked for."""
        raise NotImplementedError

    async def page(
        self, continuation: str | None, share: Share | None = None, since: datetime | None = None
    ) -> TwinPage:
        """Not asked for."""
        raise NotImplementedError

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, share: Share | None = None
    ) -> TwinPage:
        """Not asked for."""
        raise NotImplementedError

    async def tags(
        self, continuation: str | None, device_ids: Sequence[str] = (), share: Share | None = None
    ) -> TwinPage:
        """Not asked for."""
        raise NotImplementedError

    async def tags_of(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Not asked for."""
        raise NotImplementedError
