"""How requests reach the table service: each within a time of its own, and once more where the connection broke."""

import asyncio
from typing import Any, Final

from azure.core.exceptions import (
    IncompleteReadError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import AioHttpTransport

from status_app.service_clock import ServiceClock

_SENT_ONCE: Final = ("PATCH", "POST")
"""What neither aiohttp nor the SDK sends again after a broken connection: merges, inserts and transactions."""
_BROKEN: Final = (ServiceRequestError, ServiceResponseError, IncompleteReadError)
_TIMED_OUT: Final = (ServiceRequestTimeoutError, ServiceResponseTimeoutError)


class TableTransport(AioHttpTransport):  # type: ignore[misc]  # its package exports it by __getattr__
    """Sends requests over aiohttp.

    A service may close a connection at the very moment when a request goes out on it. Whether the request was done is
    unknown then, and sending it again is safe: a merge or an upsert comes to the same, and what has a condition, an
    insert among it, is refused the second time. Its sender reads again, as after any other lost race.

    Args:
        within: Seconds for one attempt, from the connection to the last byte of the answer: bytes that drip count.
        clock: What learns from the answers when they were made.
        options: Those of AioHttpTransport.
    """

    def __init__(self, *, within: float, clock: ServiceClock, **options: Any) -> None:
        super().__init__(**options)
        self._within = within
        self._clock = clock

    async def send(self, request: Any, *, stream: bool = False, **config: Any) -> Any:
        """Send a request and read the whole answer, a stream's too."""
        try:
            async with asyncio.timeout(self._within):
                try:
                    return await self._send(request, stream, config)
                except _BROKEN as error:
                    if request.method not in _SENT_ONCE or isinstance(error, _TIMED_OUT):
                        raise
                    return await self._send(request, stream, config)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(f"no whole answer in {self._within} s", error=error) from error

    async def _send(self, request: Any, stream: bool, config: dict[str, Any]) -> Any:
        asked = self._clock.machine()
        response = await super().send(request, stream=stream, **config)  # it takes its options out of a copy
        self._clock.answered(response.headers.get("Date"), asked)
        if stream:
            await response.read()
        return response
