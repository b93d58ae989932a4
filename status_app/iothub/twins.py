"""Reads twins of the IoT hub, singly or by page, as the JSON that the hub sends."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import AzureError

from status_app.errors import ContinuationError, QueryRefusedError, UnavailableError
from status_app.iothub import queries
from status_app.iothub.budget import MINUTE, Budget, Share
from status_app.iothub.queries import PAGE_SIZE
from status_app.iothub.token_bucket import TokenBucket
from status_app.retry import RetryPolicy, retry_after
from status_app.service_clock import ServiceClock
from status_app.settings import is_connection_string
from status_app.telemetry.logs import log
from status_app.telemetry.meters import TWIN_READS, record
from status_core import EDGE_AGENT

if TYPE_CHECKING:
    from azure.iot.hub import IoTHubRegistryManager
    from requests import Response, Session

READERS: Final = 8
"""Requests at once. Each keeps a connection alive, and S1 allows 100 twin reads a second for the whole hub."""
TIMEOUT: Final = 10.0
"""Seconds for a whole attempt to read a twin. The SDK's own default is 100, and only for silence."""
RETRY: Final = RetryPolicy(attempts=4, first_wait=0.5, longest_wait=10.0, within=20.0)
"""A silent hub gets two attempts, one that refuses four. If that was too soon, the host runs the batch again."""
PAGE_TIMEOUTS: Final = 3
"""Multiple of TIMEOUT for an attempt to get a page, which has a hundred twins. Silence is still limited to TIMEOUT."""
QUERY_RETRY: Final = RetryPolicy(attempts=4, first_wait=0.5, longest_wait=MINUTE, within=150.0)
"""If the hub does not say, a throttled query waits for a minute: the hub counts queries by the minute."""
ONCE: Final = RetryPolicy(attempts=1, first_wait=0.0, longest_wait=0.0, within=0.0)
"""A query for several twins is not retried: devices without an answer are read singly."""
LIST_RETRY: Final = RetryPolicy(attempts=2, first_wait=0.5, longest_wait=5.0, within=20.0)
"""The list is read every minute, so the next try is near."""
LIST_SIZE: Final = 1000
"""More deployments than a hub can have. Without a number the hub returns fewer."""

NO_TURNS: Final = TokenBucket(0)
"""Limits nothing."""

_ABSENT: Final = ("DeviceNotFound", "ModuleNotFound")
_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500
_THROTTLED: Final = 429
_TRANSIENT: Final = (408, _THROTTLED)

type _Request = Callable[[Any], Any]
"""A call of the SDK's protocol client that returns a raw response."""

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class _Requests:
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


@dataclass(frozen=True, slots=True)
class TwinPage:
    """One page of a query for `$edgeAgent` twins.

    Attributes:
        twins: JSON objects as the hub sent them, in no guaranteed order.
        continuation: What the next page needs; None for the last page.
    """

    twins: Sequence[Mapping[str, Any]]
    continuation: str | None


class TwinReader:
    """Reads `$edgeAgent` twins with azure-iot-hub, which blocks, in its own threads.

    Args:
        iot_hub: Host name of the hub, or a connection string.
        reads_per_second: Most requests for a twin by callers without a share; 0 for no limit. The hub throttles queries
            separately.
        queries_per_minute: Most requests for a page by callers without a share; 0 for no limit.
        sleep: Waits that many seconds, for a turn or before another attempt.
        clock: Seconds that never run back.
        hub_clock: Learns the hub's time from its answers.
        query_retry: How often a page is requested.
        timeout: Seconds for an attempt to read a twin. A page takes longer.
    """

    def __init__(  # noqa: PLR0913 (all but one keyword-only)
        self,
        iot_hub: str,
        *,
        reads_per_second: int = 0,
        queries_per_minute: int = 0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        hub_clock: ServiceClock | None = None,
        query_retry: RetryPolicy = QUERY_RETRY,
        timeout: float = TIMEOUT,
    ) -> None:
        self._iot_hub = iot_hub
        self._own = Budget(reads_per_second, queries_per_minute, clock=clock, sleep=sleep).all
        self._query_retry = query_retry
        self._sleep = sleep
        self._clock = clock
        self._hub_clock = hub_clock or ServiceClock()
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="twins")
        self._lock = threading.Lock()
        self._manager: IoTHubRegistryManager | None = None

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        """Read the twin that the hub holds now; None if the device, or its `$edgeAgent`, is not in the hub.

        Args:
            device_id: The device.
            share: How often the hub may be asked; by default the reader's own.

        Raises:
            UnavailableError: The hub does not answer, throttles, or refuses the app, after a few attempts.
        """
        try:
            twin, _ = await self._ask(
                lambda protocol: protocol.modules.get_twin(device_id, EDGE_AGENT, raw=True),
                dict,
                _Requests((share or self._own).reads, RETRY, self._timeout),
            )
        except HubRequestError as error:
            # Any other 404 is not the hub's answer about this device, and must not remove its stored state.
            absent = error.code in _ABSENT
            outcome = "absent" if absent else "throttled" if error.status == _THROTTLED else "failed"
            record(TWIN_READS, 1, {"outcome": outcome})
            if absent:
                return None
            raise
        record(TWIN_READS, 1, {"outcome": "found"})
        return twin

    async def several(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Read the twins of some devices by one query. The hub answers from an index, which may be older than `read`.

        The query is sent once, and only if a token is free now. Further pages are not requested: the hub may put
        anything there.

        Args:
            device_ids: Plain ids, as many as a query holds (queries.portions).
            share: See `read`.

        Returns:
            The twins as received: there may be others, duplicates, or fewer. None if no query was sent.

        Raises:
            UnavailableError: The hub does not answer, throttles, or refuses the query.
        """
        return await self._query(queries.of_devices(device_ids), share)

    async def page(
        self, continuation: str | None, share: Share | None = None, since: datetime | None = None
    ) -> TwinPage:
        """Read one page of all twins, or of those changed since a time.

        The hub answers a query from an index, which may be older than `read`.

        An item that is not an object is logged and left out. The rest of the fleet is still read.

        Args:
            continuation: The continuation of the previous page; None for the first page.
            share: See `read`.
            since: Only twins changed since then; None for all.

        Raises:
            ContinuationError: The hub refuses the continuation.
            QueryRefusedError: The hub refuses the query for changed twins.
            UnavailableError: See `read`; also if the answer is not a list.
        """
        query = queries.ALL if since is None else queries.changed_since(since)
        try:
            return await self._page(query, continuation, share)
        except HubRequestError as error:
            if since is not None and error.status == _BAD_REQUEST:
                raise QueryRefusedError from None
            raise

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, share: Share | None = None
    ) -> TwinPage:
        """Read a page of outlines, which show whether the twins of some devices have changed, in the form of twins.

        An outline has a version, the configurations, and when each section changed, without the contents of the
        sections.

        Args:
            device_ids: See `several`.
            continuation: The continuation of the previous page; None for the first page.
            share: See `read`.

        Raises:
            ContinuationError: The hub refuses the continuation.
            QueryRefusedError: The hub refuses the query.
            UnavailableError: See `page`.
        """
        try:
            page = await self._page(queries.outlines_of(device_ids), continuation, share)
        except HubRequestError as error:
            if error.status == _BAD_REQUEST:
                raise QueryRefusedError from None
            raise
        return TwinPage([*map(outline, page.twins)], page.continuation)

    async def tags(
        self, continuation: str | None, device_ids: Sequence[str] = (), share: Share | None = None
    ) -> TwinPage:
        """Read one page of devices with their tags, which are in the twin of a device and not in that of a module.

        Args:
            continuation: The continuation of the previous page; None for the first page.
            device_ids: Only these devices: plain ids, as many as a query holds (queries.portions); empty for all.
            share: See `read`.

        Raises:
            ContinuationError: The hub refuses the continuation.
            UnavailableError: See `page`.
        """
        return await self._page(queries.tags_of(device_ids) if device_ids else queries.TAGS, continuation, share)

    async def tags_of(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Read some devices with their tags by one query. See `several`."""
        return await self._query(queries.tags_of(device_ids), share)

    async def _query(self, query: str, share: Share | None) -> Sequence[Mapping[str, Any]] | None:
        if not (share or self._own).queries.try_take():
            return None
        items, _ = await self._ask(
            lambda protocol: protocol.query.get_twins({"query": query}, None, str(PAGE_SIZE), raw=True),
            list,
            _Requests(NO_TURNS, ONCE, self._timeout),
        )
        return [item for item in items if isinstance(item, dict)]

    async def _page(self, query: str, continuation: str | None, share: Share | None) -> TwinPage:
        try:
            items, headers = await self._ask(
                lambda protocol: protocol.query.get_twins({"query": query}, continuation, str(PAGE_SIZE), raw=True),
                list,
                _Requests((share or self._own).queries, self._query_retry, PAGE_TIMEOUTS * self._timeout, MINUTE),
            )
        except HubRequestError as error:
            if continuation is not None and error.status == _BAD_REQUEST:
                raise ContinuationError from None
            raise
        twins = [item for item in items if isinstance(item, dict)]
        if len(twins) < len(items):
            _log.warning("%d of %d items of a page of twins are not objects", len(items) - len(twins), len(items))
        return TwinPage(twins, headers.get("x-ms-continuation") or None)

    async def deployments(self) -> Sequence[Any]:
        """Read the configurations of the hub: deployments, and configurations of devices. Not charged.

        Raises:
            UnavailableError: See `read`; also if the answer is not a list.
        """
        configurations, _ = await self._ask(
            lambda protocol: protocol.configuration.get_configurations(LIST_SIZE, raw=True),
            list,
            _Requests(NO_TURNS, LIST_RETRY, self._timeout),
        )
        return configurations

    def close(self) -> None:
        """End the reader's threads after their present requests."""
        self._threads.shutdown()

    async def _ask[T](self, request: _Request, kind: type[T], requests: _Requests) -> tuple[T, Mapping[str, str]]:
        """Return the hub's answer to a request, and its headers. Each attempt waits for its turn first.

        Raises:
            HubRequestError: The hub refuses the request, or the last attempt failed.
        """
        loop = asyncio.get_running_loop()

        async def attempt() -> tuple[T, Mapping[str, str]]:
            await requests.turns.take()
            try:
                async with asyncio.timeout(requests.within):  # a thread in a DNS lookup cannot be stopped
                    return await loop.run_in_executor(self._threads, self._attempt, request, kind, requests.within)
            except TimeoutError:
                raise HubRequestError("Timeout") from None
            except HubRequestError as error:
                if error.status == _THROTTLED and not error.retry_after:
                    error.retry_after = requests.throttled_wait
                raise

        return await requests.retry.run(attempt, sleep=self._sleep, clock=self._clock)

    def _attempt[T](self, request: _Request, kind: type[T], within: float) -> tuple[T, Mapping[str, str]]:
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
        is_final = _BAD_REQUEST <= status < _SERVER_ERROR and status not in _TRANSIENT
        super().__init__("iothub", detail, retry_after=retry_after, is_final=is_final)
        self.status = status
        self.code = code


def outline(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Convert an item of a projection to the form of a twin, without what the item lacks."""
    times = {section: item.get(f"{section}At") for section in ("desired", "reported")}
    twin = {name: item[name] for name in ("deviceId", "version", "configurations") if name in item}
    return twin | {"properties": {name: {"$metadata": {"$lastUpdated": time}} for name, time in times.items()}}


def _refusal(response: "Response") -> HubRequestError:
    status, code = response.status_code, response.headers.get("iothub-errorcode", "")
    wait = retry_after(response.headers.get("Retry-After", ""))
    return HubRequestError(f"answer {status} {code}".rstrip(), status=status, code=code, retry_after=wait)


def registry_manager(iot_hub: str, timeout: float) -> "IoTHubRegistryManager":
    """Create the SDK's client of a hub as the app needs it: kept alive, without its own retries, twins as raw JSON.

    Args:
        iot_hub: Host name of the hub, or a connection string.
        timeout: Seconds that the hub may be silent.
    """
    from azure.iot.hub import IoTHubRegistryManager  # noqa: PLC0415 (0.3 s, and only when twins are read)

    if is_connection_string(iot_hub):
        manager = IoTHubRegistryManager.from_connection_string(iot_hub)
    else:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 (only with an identity)

        manager = IoTHubRegistryManager.from_token_credential(iot_hub, DefaultAzureCredential())
    # Its AMQP client sends to devices, which this app never does. Closed here, it need not be closed at exit.
    manager.amqp_svc_client.disconnect_sync()
    manager.amqp_svc_client = None
    protocol = manager.protocol
    protocol.config.keep_alive = True
    protocol.config.connection.timeout = timeout
    protocol.config.session_configuration_callback = _timed
    # Its own retries would multiply ours, and lose the status and the Retry-After header.
    retries = protocol.config.retry_policy
    retries.retries = 0
    retries.policy.status_forcelist = ()
    retries.policy.read = False  # like requests: a timeout raises a timeout error
    # Its models drop twins with unusual types, and their errors quote the twin.
    for group in (protocol.modules, protocol.query, protocol.configuration):
        group._deserialize = _unread  # noqa: SLF001
    return manager


def _timed(session: "Session", config: Any, _options: Any, **options: Any) -> Mapping[str, Any]:
    """Mount timed connections on a session of the SDK, one per thread."""
    from status_app.iothub.timed_tls import TimedAdapter  # noqa: PLC0415 (as above)

    if not isinstance(session.adapters["https://"], TimedAdapter):
        session.mount("https://", TimedAdapter(max_retries=config.retry_policy()))
    return options


def _unread(_type: str, _response: object) -> None:
    """Return no model: the JSON is taken from the raw response."""
