"""Sends transitions as events: no event without its row, and no row without its event."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from status_app.errors import UnavailableError
from status_app.events.cloud_event import cloud_event
from status_app.events.publisher import LANES, TransitionPublisher, lane_of
from status_app.telemetry.logs import log

PAUSE: Final = timedelta(seconds=30)
"""After a refusal nothing is sent for so long: state is written meanwhile, and does not wait for an event hub."""

_log = log(__name__)


class LeftForTheApp:
    """In the place of an outbox where a command writes: the timer of the app sends what it leaves, or need not."""

    is_refused: Final = False

    def try_again(self) -> None:
        """Send nothing."""

    async def send(self, device_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:  # noqa: ARG002 (as an outbox)
        """Send nothing: the events count as not published."""
        return False


class Outbox:
    """Sends the events of devices, and waits for a while where the event hub refuses them."""

    def __init__(self, publisher: TransitionPublisher, clock: Callable[[], datetime]) -> None:
        self._publisher = publisher
        self._clock = clock
        self._paused_until: datetime | None = None
        self._lanes = [asyncio.Lock() for _ in range(LANES)]
        self._probe = asyncio.Lock()

    @property
    def is_refused(self) -> bool:
        """Whether the event hub took nothing when it was asked last."""
        return self._paused_until is not None

    def try_again(self) -> None:
        """Send at the next call, whatever the event hub said before."""
        if self._paused_until is not None:
            self._paused_until = self._clock()

    async def send(self, device_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Send the events of transitions of one device, given by their rows in their order.

        Returns:
            Whether they are published. Where they are not, the timer sends them.
        """
        lane = self._lanes[lane_of(device_id)]
        async with lane:  # one at a time: it finds out that it is refused, and the others know
            if self._paused_until is None:
                return await self._send(device_id, rows)
            async with self._probe:  # one of all lanes finds out whether it still is
                return await self._send(device_id, rows)

    async def _send(self, device_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        if self._paused_until is not None and self._clock() < self._paused_until:
            return False
        try:
            await self._publisher.publish(device_id, [cloud_event(device_id, row) for row in rows])
        except UnavailableError as error:
            if self._paused_until is None:
                _log.warning("events are kept and sent later: %s", error)
            self._paused_until = self._clock() + PAUSE
            _log.info("device %r: its events are left for the timer: %s", device_id, error)
            return False
        if self._paused_until is not None:
            _log.warning("transitions takes events again")
            self._paused_until = None
        return True
