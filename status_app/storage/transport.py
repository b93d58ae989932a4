"""Sends requests to the table service, each within a time limit, and once more if the connection broke."""

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
"""Requests that neither aiohttp nor the SDK resends after a broken connection: merges, inserts and transactions."""
_BROKEN: Final = (ServiceRequestError, ServiceResponseError, IncompleteReadError)
_TIMED_OUT: Final = (ServiceRequestTimeoutError, ServiceResponseTimeoutError)


class TableTransport(AioHttpTransport):  # type: ignore[misc]  # its package exports it by __getattr__
    """Sends requests over aiohttp.

    A service may close a connection just when a request is sent on it. It is then unknown whether the request was done,
    but resending it is safe: a merge or an upsert has the same result, and a request with a condition, such as an
    insert, is refused the second time. Its sender then reads again, as after any other lost race.

    Args:
        within: Seconds for one attempt, from the connection to the last byte of the answer, however slowly it arrives.
        clock: Learns the service's time from its answers.
        options: The options of AioHttpTransport.
    """

    def __init__(self, *, within: float, clock: ServiceClock, **options: Any) -> None:
        super().__init__(**options)
        self._within = within
        self._clock = clock

    async def send(self, request: Any, *, stream: bool = False, **config: Any) -> Any:
        """Send a request and read the whole answer, even of a stream."""
        try:
            async with asyncio.timeout(self._within):
                try:
                    return await self._send(request, stream, config)
                except _BROKEN as error:
                    if request.method not in _SENT_ONCE or isinstance(error, _TIMED_OUT):
                        raise
                    return await self._send(request, stream, config)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(f"no complete answer in {self._within} s", error=error) from error

    async def _send(self, request: Any, stream: bool, config: dict[str, Any]) -> Any:
        asked = self._clock.machine()
        response = await super().send(request, stream=stream, **config)  # it removes its options from a copy
        self._clock.answered(response.headers.get("Date"), asked)
        if stream:
            await response.read()
        return response
