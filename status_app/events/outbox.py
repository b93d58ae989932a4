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
"""After a refusal nothing is sent for this long. State is still written, without waiting for the event hub."""

_log = log(__name__)


class LeftForTheApp:
    """Takes the place of an outbox when a command writes: the app's timer sends the events."""

    is_refused: Final = False

    def try_again(self) -> None:
        """Send nothing."""

    async def send(self, device_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:  # noqa: ARG002 (as an outbox)
        """Send nothing: the events count as not published."""
        return False


class Outbox:
    """Sends the events of devices, and pauses when the event hub refuses them."""

    def __init__(self, publisher: TransitionPublisher, clock: Callable[[], datetime]) -> None:
        self._publisher = publisher
        self._clock = clock
        self._paused_until: datetime | None = None
        self._lanes = [asyncio.Lock() for _ in range(LANES)]
        self._probe = asyncio.Lock()

    @property
    def is_refused(self) -> bool:
        """Whether the event hub refused the last send."""
        return self._paused_until is not None

    def try_again(self) -> None:
        """End the pause."""
        if self._paused_until is not None:
            self._paused_until = self._clock()

    async def send(self, device_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Send the events of one device's transitions, given by their rows in order.

        Returns:
            Whether they were published. If not, the timer sends them.
        """
        lane = self._lanes[lane_of(device_id)]
        async with lane:  # one at a time, so that others see a refusal
            if self._paused_until is None:
                return await self._send(device_id, rows)
            async with self._probe:  # one lane at a time tries again
                return await self._send(device_id, rows)

    async def _send(self, device_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        if self._paused_until is not None and self._clock() < self._paused_until:
            return False
        try:
            await self._publisher.publish(device_id, [cloud_event(device_id, row) for row in rows])
        except UnavailableError as error:
            if self._paused_until is None:
                _log.warning("events are stored and sent later: %s", error)
            self._paused_until = self._clock() + PAUSE
            _log.info("device %r: its events are left for the timer: %s", device_id, error)
            return False
        if self._paused_until is not None:
            _log.warning("transitions takes events again")
            self._paused_until = None
        return True
