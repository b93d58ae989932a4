"""Sends events to the event hub `transitions`: in order per device, at least once."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from status_app.errors import StatusAppError, UnavailableError
from status_app.events.lane import Lane
from status_app.retry import RetryPolicy
from status_app.settings import is_connection_string

if TYPE_CHECKING:
    from azure.eventhub.aio import EventHubProducerClient
    from azure.identity.aio import DefaultAzureCredential

RETRY: Final = RetryPolicy(attempts=4, first_wait=0.5, longest_wait=0.0, within=60.0)
"""For each batch, in addition to the SDK's immediate second attempt. The event hub never asks to wait."""
TIMEOUT: Final = 15.0
"""Seconds for one attempt, including the wait for other senders: a dead connection may not be reported."""
LANES: Final = 8
"""Connections. A device always uses the same one, which keeps its events in order."""

# We wait between attempts ourselves: the SDK waits up to 24 s if the hub is gone, and not at all if it refuses.
_RETRIES: Final[Mapping[str, Any]] = {"retry_total": 0, "retry_backoff_factor": 0.01}


class TooLargeError(StatusAppError):
    """A single event is too large for the event hub. Its columns are bounded, so this is a bug."""


def lane_of(device_id: str) -> int:
    """Return the lane of a device."""
    return zlib.crc32(device_id.encode("utf-8", "replace")) % LANES


class TransitionPublisher:
    """Publishes events over a few connections, each opened on first use."""

    def __init__(
        self,
        transitions: str,
        hub: str,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timeout: float = TIMEOUT,
    ) -> None:
        """Prepare a publisher; nothing is connected yet.

        Args:
            transitions: Connection string of an Event Hubs namespace, or its host name for the app's identity.
            hub: Name of the event hub.
            sleep: Waits between attempts, in seconds.
            timeout: Seconds for one attempt.
        """
        self._transitions = transitions
        self._hub = hub
        self._sleep = sleep
        self._timeout = timeout
        self._lanes = [Lane(self._connect) for _ in range(LANES)]
        self._credential: DefaultAzureCredential | None = None

    async def publish(self, device_id: str, events: Sequence[bytes]) -> None:
        """Send the events of one device in order, in as few batches as possible.

        The device is the partition key. A batch is stored as a whole or not at all. If it fails, later batches are not
        sent. A batch whose answer is lost is sent again, so events can be stored twice. The order of two calls for a
        device is kept only if the second one starts after the end of the first.

        Raises:
            UnavailableError: The event hub did not accept a batch after a few attempts.
            TooLargeError: Some events can never be sent. All others were.
        """
        lane, key = self._lanes[lane_of(device_id)], device_id.encode("utf-8", "replace").decode()
        left, too_large = list(events), 0
        while left:
            taken = await self._send_with_retries(lane, key, left)
            too_large += not taken
            left = left[taken or 1 :]
        if too_large:
            raise TooLargeError(f"{too_large} of {len(events)} events of device {device_id!r}")

    async def close(self) -> None:
        """Close the connections. The next use opens them again."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))
        if self._credential is not None:
            await self._credential.close()
            self._credential = None

    def _connect(self) -> "EventHubProducerClient":
        from azure.eventhub.aio import EventHubProducerClient  # noqa: PLC0415 (0.15 s, and only when events are sent)

        if is_connection_string(self._transitions):
            return EventHubProducerClient.from_connection_string(self._transitions, eventhub_name=self._hub, **_RETRIES)
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 (0.2 s, and only with an identity)

        self._credential = self._credential or DefaultAzureCredential()
        return EventHubProducerClient(self._transitions, self._hub, self._credential, **_RETRIES)

    async def _send_with_retries(self, lane: Lane, key: str, events: Sequence[bytes]) -> int:
        from azure.eventhub.exceptions import EventHubError  # noqa: PLC0415 (as above)

        async def attempt() -> int:
            try:
                async with asyncio.timeout(self._timeout):
                    return await lane.send(key, events)
            except (EventHubError, TimeoutError) as error:
                detail = str(error).partition("\n")[0] or type(error).__name__
                raise UnavailableError("transitions", detail) from None

        return await RETRY.run(attempt, sleep=self._sleep)
