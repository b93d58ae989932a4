"""One connection to the event hub of the transitions: whoever sends over it waits for who came before."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from status_app.events.cloud_event import CONTENT_TYPE, application_properties
from status_app.telemetry.logs import log

if TYPE_CHECKING:
    from azure.eventhub.aio import EventHubProducerClient

CLOSE_TIMEOUT: Final = 2.0

_log = log(__name__)


class Lane:
    """A connection, made at its first use.

    Args:
        connect: Gives a client of the event hub, which has a connection of its own.
    """

    def __init__(self, connect: "Callable[[], EventHubProducerClient]") -> None:
        self._connect = connect
        self._lock = asyncio.Lock()
        self._client: EventHubProducerClient | None = None

    async def send(self, key: str, events: Sequence[bytes]) -> int:
        """Send as many of the first events as one batch holds; returns how many, 0 where not even one fits.

        Args:
            key: The partition key.
            events: CloudEvents.

        Raises:
            EventHubError: The event hub did not take the batch.
        """
        async with self._lock:
            return await self._send_batch(key, events)

    async def close(self) -> None:
        """Close the connection; it is made again at the next use."""
        async with self._lock:
            await self._disconnect()

    async def _send_batch(self, key: str, events: Sequence[bytes]) -> int:
        from azure.eventhub import EventData  # noqa: PLC0415 (0.15 s, and only where events are sent)

        try:
            self._client = client = self._client or self._connect()
            batch = await client.create_batch(partition_key=key)
            for body in events:
                event = EventData(body)
                event.content_type = CONTENT_TYPE
                event.properties = dict(application_properties(body).items())
                try:
                    batch.add(event)
                except ValueError:  # it is full
                    break
            await client.send_batch(batch)
            return len(batch)
        except asyncio.CancelledError:
            # It ended in the middle of a send: nothing says what state the connection is in, or whether it lives.
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await client.close()
        except Exception as error:  # noqa: BLE001 (whatever a broken connection says at its end)
            _log.info("transitions: the connection did not close, %s", type(error).__name__)
