"""What is committed and not yet published: sent at once where that is possible, and by the timer where it was not."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from status_app.errors import UnavailableError
from status_app.events.cloud_event import cloud_event
from status_app.events.publisher import TooLargeError, TransitionPublisher
from status_app.tables.deployment_index import DeploymentIndex, unsent_sequences
from status_app.tables.rows import read_number
from status_app.tables.status_table import StatusTable

PAUSE: Final = timedelta(seconds=30)
"""After a refusal nothing is sent for so long: state is written meanwhile, and does not wait for an event hub."""

_log = logging.getLogger(__name__)


class Outbox:
    """Publishes transitions from their rows: no event without its row, and no row without its event."""

    def __init__(
        self,
        publisher: TransitionPublisher,
        table: StatusTable,
        index: DeploymentIndex,
        clock: Callable[[], datetime],
    ) -> None:
        self._publisher = publisher
        self._table = table
        self._index = index
        self._clock = clock
        self._paused_until: datetime | None = None

    async def send(self, device_id: str) -> bool:
        """Send what a device has just committed, where the event hub takes events; else the timer sends it.

        Returns:
            Whether nothing of the device is left.
        """
        if self._paused_until is not None and self._clock() < self._paused_until:
            return False
        try:
            await self._send(device_id)
        except UnavailableError as error:
            _log.info("device %r: its events are left for the timer: %s", device_id, error)
            return False
        return True

    async def resend(self) -> None:
        """Send everything that is unsent.

        Raises:
            UnavailableError: The event hub, or the table service, does not answer. What is unsent stays so.
        """
        tried: set[str] = set()
        while devices := {pointer.device_id: None for pointer in await self._index.unsent()}.keys() - tried:
            for device_id in sorted(devices):
                try:
                    await self._send(device_id)
                except TooLargeError:  # a bug, and no reason to keep other devices waiting
                    _log.exception("an event cannot be sent")
            tried |= devices

    async def _send(self, device_id: str) -> None:
        """Send what is unsent of a device in its order: what an earlier call could not send goes first."""
        pointers = await self._index.unsent(device_id)
        if not pointers:
            return
        first, last = unsent_sequences(pointers[0])[0], unsent_sequences(pointers[-1])[-1]
        rows = await self._table.transitions(device_id, range(first, last + 1))
        if rows:
            await self._publish(device_id, [cloud_event(device_id, row) for row in rows])
        sent = {read_number(row["Sequence"]) for row in rows}
        done = [pointer for pointer in pointers if sent.issuperset(unsent_sequences(pointer))]
        await self._index.remove(pointer.key for pointer in done)
        for pointer in pointers:
            if pointer not in done:  # its change is not committed, or not whole, and may never be
                await self._index.discard(pointer)

    async def _publish(self, device_id: str, events: list[bytes]) -> None:
        try:
            await self._publisher.publish(device_id, events)
        except UnavailableError as error:
            if self._paused_until is None:
                _log.warning("events are kept and sent later: %s", error)
            self._paused_until = self._clock() + PAUSE
            raise
        if self._paused_until is not None:
            _log.warning("transitions takes events again")
            self._paused_until = None
