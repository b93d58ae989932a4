"""Makes requests to the IoT hub with azure-iot-hub, which blocks, in threads of its own."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import AzureError

from status_app.errors import UnavailableError
from status_app.iothub.registry import registry_manager
from status_app.iothub.token_bucket import TokenBucket
from status_app.retry import RetryPolicy, retry_after
from status_app.service_clock import ServiceClock

if TYPE_CHECKING:
    from azure.iot.hub import IoTHubRegistryManager
    from requests import Response

READERS: Final = 8
"""Requests at once. Each keeps a connection alive, and S1 allows 100 twin reads a second for the whole hub."""

BAD_REQUEST: Final = 400
THROTTLED: Final = 429
_SERVER_ERROR: Final = 500
_TRANSIENT: Final = (408, THROTTLED)

type Request = Callable[[Any], Any]
"""A call of the SDK's protocol client that returns a raw response."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How requests of one kind are made.

    Attributes:
        turns: Limits the rate.
        retry: How often a request is made.
        within: Seconds for an attempt.
        throttled_wait: Seconds to wait after an answer 429 that gives no time.
    """

    turns: TokenBucket
    retry: RetryPolicy
    within: float
    throttled_wait: float = 0.0


class HubRequests:
    """Makes requests to one hub, several at once.

    Args:
        iot_hub: Host name of the hub, or a connection string.
        timeout: Seconds that the hub may be silent.
        sleep: Waits that many seconds, for a turn or before another attempt.
        clock: Seconds that never run back.
        hub_clock: Learns the hub's time from its answers.
    """

    def __init__(
        self,
        iot_hub: str,
        timeout: float,
        *,
        sleep: Callable[[float], Awaitable[object]],
        clock: Callable[[], float],
        hub_clock: ServiceClock,
    ) -> None:
        self._iot_hub = iot_hub
        self._timeout = timeout
        self._sleep = sleep
        self._clock = clock
        self._hub_clock = hub_clock
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="twins")
        self._lock = threading.Lock()
        self._manager: IoTHubRegistryManager | None = None

    async def ask[T](self, request: Request, kind: type[T], limits: Limits) -> tuple[T, Mapping[str, str]]:
        """Return the hub's answer to a request, and its headers. Each attempt waits for its turn first.

        Args:
            request: The request.
            kind: What its JSON must be.
            limits: How it is made.

        Raises:
            HubRequestError: The hub refuses the request, or the last attempt failed.
        """
        loop = asyncio.get_running_loop()

        async def attempt() -> tuple[T, Mapping[str, str]]:
            await limits.turns.take()
            try:
                async with asyncio.timeout(limits.within):  # a thread in a DNS lookup cannot be stopped
                    return await loop.run_in_executor(self._threads, self._attempt, request, kind, limits.within)
            except TimeoutError:
                raise HubRequestError("Timeout") from None
            except HubRequestError as error:
                if error.status == THROTTLED and not error.retry_after:
                    error.retry_after = limits.throttled_wait
                raise

        return await limits.retry.run(attempt, sleep=self._sleep, clock=self._clock)

    def close(self) -> None:
        """End the threads after their present requests."""
        self._threads.shutdown()

    def _attempt[T](self, request: Request, kind: type[T], within: float) -> tuple[T, Mapping[str, str]]:
        from msrest.exceptions import ClientException, HttpOperationError  # noqa: PLC0415 (comes with azure.iot.hub)

        from status_app.iothub.timed_tls import ending_within  # noqa: PLC0415 (imports requests, as azure.iot.hub does)

        asked = self._hub_clock.machine()
        try:
            with ending_within(within):
                response: Response = request(self._client().protocol).response
                content = response.content
        except HttpOperationError as error:
            raise _refusal(error.response) from None  # the error may quote the body
        except (AzureError, ClientException, OSError, ValueError) as error:
            cause = getattr(error, "inner_exception", None) or error
            raise HubRequestError(type(cause).__name__) from None
        self._hub_clock.answered(response.headers.get("Date"), asked)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):  # the error quotes the body
            answer = None
        if not isinstance(answer, kind):
            raise HubRequestError(f"answer {response.status_code} without a JSON {kind.__name__}")
        return answer, response.headers

    def _client(self) -> "IoTHubRegistryManager":
        with self._lock:
            if self._manager is None:
                self._manager = registry_manager(self._iot_hub, self._timeout)
            return self._manager


class HubRequestError(UnavailableError):
    """A request that the hub refused or did not answer properly.

    Attributes:
        status: HTTP status of the refusal; 0 if there was no answer, or an unreadable one.
        code: The hub's own error code, such as `ThrottlingException`.
    """

    def __init__(self, detail: str, *, status: int = 0, code: str = "", retry_after: float = 0.0) -> None:
        is_final = BAD_REQUEST <= status < _SERVER_ERROR and status not in _TRANSIENT
        super().__init__("iothub", detail, retry_after=retry_after, is_final=is_final)
        self.status = status
        self.code = code


def _refusal(response: "Response") -> HubRequestError:
    status, code = response.status_code, response.headers.get("iothub-errorcode", "")
    wait = retry_after(response.headers.get("Retry-After", ""))
    return HubRequestError(f"answer {status} {code}".rstrip(), status=status, code=code, retry_after=wait)
