"""Counts the partitions of the event hub of twin changes: as many processes can read twins for it at once."""

import asyncio
from collections.abc import Callable
from typing import Final

from status_app.settings import is_connection_string
from status_app.telemetry.logs import log

UNKNOWN: Final = 32
"""Assumed if the event hub does not answer: the most outside of premium and dedicated namespaces."""
TIMEOUT: Final = 10.0
"""Seconds for the request."""
RETRY_AFTER: Final = 600.0
"""Seconds until the next try after a failure."""

_log = log(__name__)


class Partitions:
    """Asks an event hub for its partitions, once, when first needed.

    Args:
        event_hub: Connection string or host name of its namespace, and its name; None if the app does not know it.
        clock: Seconds that never run back.
    """

    def __init__(self, event_hub: tuple[str, str] | None, clock: Callable[[], float]) -> None:
        self._event_hub = event_hub
        self._clock = clock
        self._lock = asyncio.Lock()
        self._count: int | None = None
        self._retry_at: float | None = None

    async def count(self) -> int:
        """Return the number of partitions, or `UNKNOWN` if the event hub does not answer. It never raises."""
        if self._event_hub is None:
            return UNKNOWN
        async with self._lock:
            if self._count is None and (self._retry_at is None or self._clock() >= self._retry_at):
                await self._ask(*self._event_hub)
        return self._count or UNKNOWN

    async def _ask(self, connection: str, name: str) -> None:
        from azure.eventhub.exceptions import EventHubError  # noqa: PLC0415 (0.15 s, and only when twins are read)

        try:
            async with asyncio.timeout(TIMEOUT):
                self._count = await _partitions(connection, name)
        except (EventHubError, OSError, TimeoutError, ValueError) as error:  # its text may name a key
            self._retry_at = self._clock() + RETRY_AFTER
            _log.warning(
                "event hub %r does not say how many partitions it has (%s): twins are read as if there were %d",
                name,
                type(error).__name__,
                UNKNOWN,
            )
        else:
            _log.info("event hub %r has %d partitions: each reads twins at its part of the limits", name, self._count)


async def _partitions(connection: str, name: str) -> int:
    from azure.eventhub.aio import EventHubConsumerClient  # noqa: PLC0415 (as above)

    if is_connection_string(connection):
        client = EventHubConsumerClient.from_connection_string(
            connection, consumer_group="$Default", eventhub_name=name, retry_total=0
        )
        async with client:
            return len(await client.get_partition_ids())
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 (0.2 s, and only with an identity)

    async with (
        DefaultAzureCredential() as credential,
        EventHubConsumerClient(connection, name, "$Default", credential, retry_total=0) as client,
    ):
        return len(await client.get_partition_ids())
