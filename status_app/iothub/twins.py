"""Twins of the IoT hub: read one at a time, or by the page, as the JSON that the hub sends."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import AzureError

from status_app.errors import ContinuationError, UnavailableError
from status_app.iothub.token_bucket import TokenBucket
from status_app.retry import RetryPolicy, retry_after
from status_app.settings import is_connection_string
from status_app.telemetry.logs import log
from status_app.telemetry.meters import TWIN_READS, record
from status_core import EDGE_AGENT

if TYPE_CHECKING:
    from azure.iot.hub import IoTHubRegistryManager
    from requests import Response

READERS: Final = 8
"""Requests at once: each holds a kept-alive connection, and S1 allows 100 twin reads a second to the whole hub."""
RETRY: Final = RetryPolicy(attempts=4, first_wait=0.5, longest_wait=10.0, within=60.0)
"""The host runs a batch again if that was too soon."""
TIMEOUT: Final = 10.0
"""Seconds that the hub can be silent; the SDK's own default is 100."""
PAGE_SIZE: Final = 100
"""Twins of a page: the most that the hub gives, since S1 allows 20 queries a minute."""
QUERY: Final = f"SELECT * FROM devices.modules WHERE moduleId = '{EDGE_AGENT}'"  # noqa: S608 (of constants)

_ABSENT: Final = ("DeviceNotFound", "ModuleNotFound")
_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500
_THROTTLED: Final = 429
_TRANSIENT: Final = (408, _THROTTLED)

type _Request = Callable[[Any], Any]
"""A call of the SDK's protocol client, which gives a raw response."""

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class TwinPage:
    """One page of a query over all `$edgeAgent` twins.

    Attributes:
        twins: JSON objects as the hub sent them, in no order that is promised.
        continuation: What the next page takes; None: this is the last one.
    """

    twins: Sequence[Mapping[str, Any]]
    continuation: str | None


class TwinReader:
    """Reads `$edgeAgent` twins with azure-iot-hub, which blocks: in threads of its own.

    Args:
        iot_hub: Host name of the hub, or a connection string.
        reads_per_second: Most requests for a twin, further attempts among them; 0: no limit. Queries are not counted:
            the hub throttles them for themselves.
        sleep: Waits that many seconds, for a turn or before another attempt.
        clock: Seconds that never run back.
        timeout: Seconds that the hub can be silent.
    """

    def __init__(
        self,
        iot_hub: str,
        *,
        reads_per_second: int = 0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = TIMEOUT,
    ) -> None:
        self._iot_hub = iot_hub
        self._reads = TokenBucket(reads_per_second, clock=clock, sleep=sleep)
        self._sleep = sleep
        self._clock = clock
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="twins")
        self._lock = threading.Lock()
        self._manager: IoTHubRegistryManager | None = None

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        """The twin that the hub holds now; None where the device, or its `$edgeAgent`, is not in the hub.

        Raises:
            UnavailableError: The hub does not answer, throttles, or refuses the app, after a few attempts.
        """
        try:
            twin, _ = await self._ask(
                lambda protocol: protocol.modules.get_twin(device_id, EDGE_AGENT, raw=True), dict, self._reads.take
            )
        except HubRequestError as error:
            # Any other 404 is not the hub's word on this device, and must not remove what is stored of it.
            absent = error.code in _ABSENT
            outcome = "absent" if absent else "throttled" if error.status == _THROTTLED else "failed"
            record(TWIN_READS, 1, {"outcome": outcome})
            if absent:
                return None
            raise
        record(TWIN_READS, 1, {"outcome": "found"})
        return twin

    async def page(self, continuation: str | None) -> TwinPage:
        """One page of all twins. The hub answers a query from an index, which may be behind what `read` gives.

        An item that is no object is left out, and logged: the rest of the fleet is still read.

        Args:
            continuation: What the page before gave; None for the first page.

        Raises:
            ContinuationError: The hub does not take the continuation.
            UnavailableError: As of `read`; also where the answer is no list.
        """
        try:
            items, headers = await self._ask(
                lambda protocol: protocol.query.get_twins({"query": QUERY}, continuation, str(PAGE_SIZE), raw=True),
                list,
            )
        except HubRequestError as error:
            if continuation is not None and error.status == _BAD_REQUEST:
                raise ContinuationError from None
            raise
        twins = [item for item in items if isinstance(item, dict)]
        if len(twins) < len(items):
            _log.warning("%d of %d items of a page of twins are no objects", len(items) - len(twins), len(items))
        return TwinPage(twins, headers.get("x-ms-continuation") or None)

    def close(self) -> None:
        """End the reader's threads; requests under way end first."""
        self._threads.shutdown()

    async def _ask[T](
        self, request: _Request, kind: type[T], turn: Callable[[], Awaitable[None]] | None = None
    ) -> tuple[T, Mapping[str, str]]:
        """The hub's answer to a request, and its headers. Each attempt waits for its turn first.

        Raises:
            HubRequestError: The hub refuses the request, or the last attempt failed.
        """
        loop = asyncio.get_running_loop()

        async def attempt() -> tuple[T, Mapping[str, str]]:
            if turn is not None:
                await turn()
            return await loop.run_in_executor(self._threads, self._attempt, request, kind)

        return await RETRY.run(attempt, sleep=self._sleep, clock=self._clock)

    def _attempt[T](self, request: _Request, kind: type[T]) -> tuple[T, Mapping[str, str]]:
        from msrest.exceptions import ClientException, HttpOperationError  # noqa: PLC0415 (comes with azure.iot.hub)

        try:
            response: Response = request(self._client().protocol).response
        except HttpOperationError as error:
            raise _refusal(error.response) from None  # the error may quote the body
        except (AzureError, ClientException, ValueError) as error:
            cause = getattr(error, "inner_exception", None) or error
            raise HubRequestError(type(cause).__name__) from None
        try:
            answer = json.loads(response.content)
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
    """One request that was not answered as it should be.

    Attributes:
        status: HTTP status of the refusal; 0: there was no answer, or one that cannot be read.
        code: The hub's own word for it, such as `ThrottlingException`.
    """

    def __init__(self, detail: str, *, status: int = 0, code: str = "", retry_after: float = 0.0) -> None:
        is_final = _BAD_REQUEST <= status < _SERVER_ERROR and status not in _TRANSIENT
        super().__init__("iothub", detail, retry_after=retry_after, is_final=is_final)
        self.status = status
        self.code = code


def _refusal(response: "Response") -> HubRequestError:
    status, code = response.status_code, response.headers.get("iothub-errorcode", "")
    wait = retry_after(response.headers.get("Retry-After", ""))
    return HubRequestError(f"answer {status} {code}".rstrip(), status=status, code=code, retry_after=wait)


def registry_manager(iot_hub: str, timeout: float) -> "IoTHubRegistryManager":
    """The SDK's client of a hub, as the app needs it: kept alive, without retries of its own, twins as raw JSON.

    Args:
        iot_hub: Host name of the hub, or a connection string.
        timeout: Seconds that the hub can be silent.
    """
    from azure.iot.hub import IoTHubRegistryManager  # noqa: PLC0415 (0.3 s, and only where twins are read)

    if is_connection_string(iot_hub):
        manager = IoTHubRegistryManager.from_connection_string(iot_hub)
    else:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 (only with an identity)

        manager = IoTHubRegistryManager.from_token_credential(iot_hub, DefaultAzureCredential())
    # Its AMQP client sends to devices, which this app never does; closed here, it is not closed at exit.
    manager.amqp_svc_client.disconnect_sync()
    manager.amqp_svc_client = None
    protocol = manager.protocol
    protocol.config.keep_alive = True
    protocol.config.connection.timeout = timeout
    # Its own retries multiply ours, and lose the status and the Retry-After of what they gave up on.
    retries = protocol.config.retry_policy
    retries.retries = 0
    retries.policy.status_forcelist = ()
    retries.policy.read = False  # as it is in requests: a timeout is told as one
    # Its models lose a twin whose types are not the usual ones, and their errors quote the twin.
    protocol.modules._deserialize = protocol.query._deserialize = _unread  # noqa: SLF001
    return manager


def _unread(_type: str, _response: object) -> None:
    """No model: the JSON is taken from the raw response."""
