"""One connection to the event hub `transitions`. Senders wait for those before them."""

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
    """A connection, opened on first use.

    Args:
        connect: Creates a client of the event hub, with its own connection.
    """

    def __init__(self, connect: "Callable[[], EventHubProducerClient]") -> None:
        self._connect = connect
        self._lock = asyncio.Lock()
        self._client: EventHubProducerClient | None = None

    async def send(self, key: str, events: Sequence[bytes]) -> int:
        """Send as many of the first events as fit into one batch. Returns how many: 0 if the first one does not fit.

        Args:
            key: The partition key.
            events: CloudEvents.

        Raises:
            EventHubError: The event hub did not accept the batch.
        """
        async with self._lock:
            return await self._send_batch(key, events)

    async def close(self) -> None:
        """Close the connection. The next use opens it again."""
        async with self._lock:
            await self._disconnect()

    async def _send_batch(self, key: str, events: Sequence[bytes]) -> int:
        from azure.eventhub import EventData  # noqa: PLC0415 (0.15 s, and only when events are sent)

        try:
            self._client = client = self._client or self._connect()
            batch = await client.create_batch(partition_key=key)
            for body in events:
                event = EventData(body)
                event.content_type = CONTENT_TYPE
                event.properties = dict(application_properties(body).items())
                try:
                    batch.add(event)
                except ValueError:  # the batch is full
                    break
            await client.send_batch(batch)
            return len(batch)
        except asyncio.CancelledError:
            # The send was interrupted, so the state of the connection is unknown.
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await client.close()
        except Exception as error:  # noqa: BLE001 (a broken connection may raise anything)
            _log.info("transitions: the connection did not close, %s", type(error).__name__)
