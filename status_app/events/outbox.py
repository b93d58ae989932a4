"""What is committed and not yet published: sent at once where that is possible, and by the timer where it was not."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from status_app.errors import UnavailableError
from status_app.events.cloud_event import cloud_event
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index.deployment_index import PAGE, DeploymentIndex
from status_app.fleet_index.index_rows import Pointer, unsent_row, unsent_sequences
from status_app.status_table.change import Committed
from status_app.status_table.status_table import StatusTable
from status_app.storage.keys import transition_sequence
from status_app.telemetry.logs import log

PAUSE: Final = timedelta(seconds=30)
"""After a refusal nothing is sent for so long: state is written meanwhile, and does not wait for an event hub."""

_log = log(__name__)


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

    async def send(self, committed: Committed) -> bool:
        """Send what a device has just committed, where the event hub takes events; else the timer sends it.

        What is unsent of the device goes first. Where it is known that nothing is, the index is not asked.

        Returns:
            Whether nothing of the device is left.
        """
        if self._paused_until is not None and self._clock() < self._paused_until:
            return False
        device_id = committed.stored.device_id
        try:
            if committed.stored.is_published:
                await self._publish(device_id, [cloud_event(device_id, row) for row in committed.history])
            else:
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
        while devices := {pointer.device_id for pointer in await self._index.unsent()} - tried:
            for device_id in sorted(devices):
                try:
                    await self._send(device_id)
                except UnavailableError:
                    raise
                except Exception:  # noqa: BLE001 (a bug, and no reason to keep other devices waiting)
                    _log.exception("device %r: its events cannot be sent", device_id)
            tried |= devices

    async def _send(self, device_id: str) -> None:
        """Send what is unsent of a device in its order: what an earlier call could not send goes first."""
        pointers = await self._index.unsent(device_id)
        while pointers and await self._send_page(device_id, pointers) and len(pointers) >= PAGE:
            pointers = await self._index.unsent(device_id)

    async def _send_page(self, device_id: str, pointers: Sequence[Pointer]) -> int:
        """Send what the first unsent rows of a device speak of. Returns how many of them that is the end of."""
        spans = [unsent_sequences(pointer) for pointer in pointers]
        # A row can speak of less than one before it: another writer came between the parts of a large change.
        rows = await self._table.transitions(device_id, range(spans[0][0], max(span[-1] for span in spans) + 1))
        if rows:
            await self._publish(device_id, [cloud_event(device_id, row) for row in rows])
        newest = transition_sequence(rows[-1]["RowKey"]) if rows else 0
        done = [pointer.key for pointer, span in zip(pointers, spans, strict=True) if span[-1] <= newest]
        await self._index.remove(done)
        for pointer, span in zip(pointers, spans, strict=True):
            if span[0] <= newest < span[-1]:  # a part of its change stands, and is not sent again for the other's sake
                await self._index.add(unsent_row(device_id, newest + 1, span[-1]))
                await self._index.remove([pointer.key])
            elif newest < span[0]:  # its change is not committed, and may never be
                await self._index.discard(pointer)
        return len(done)

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
