"""Reads twins of the IoT hub, singly or by page, as the JSON that the hub sends."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from status_app.errors import ContinuationError, QueryRefusedError
from status_app.iothub import queries
from status_app.iothub.budget import MINUTE, Budget, Share
from status_app.iothub.hub_requests import BAD_REQUEST, THROTTLED, HubRequestError, HubRequests, Limits
from status_app.iothub.queries import PAGE_SIZE
from status_app.iothub.token_bucket import TokenBucket
from status_app.retry import RetryPolicy
from status_app.service_clock import ServiceClock
from status_app.telemetry.logs import log
from status_app.telemetry.meters import TWIN_READS, record
from status_core import EDGE_AGENT

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

_log = log(__name__)


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
    """Reads `$edgeAgent` twins, and what else the app asks a hub for.

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
        self._own = Budget(reads_per_second, queries_per_minute, clock=clock, sleep=sleep).all
        self._query_retry = query_retry
        self._timeout = timeout
        hub_clock = hub_clock or ServiceClock()
        self._requests = HubRequests(iot_hub, timeout, sleep=sleep, clock=clock, hub_clock=hub_clock)

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        """Read the twin that the hub holds now; None if the device, or its `$edgeAgent`, is not in the hub.

        Args:
            device_id: The device.
            share: How often the hub may be asked; by default the reader's own.

        Raises:
            UnavailableError: The hub does not answer, throttles, or refuses the app, after a few attempts.
        """
        try:
            twin, _ = await self._requests.ask(
                lambda protocol: protocol.modules.get_twin(device_id, EDGE_AGENT, raw=True),
                dict,
                Limits((share or self._own).reads, RETRY, self._timeout),
            )
        except HubRequestError as error:
            # Any other 404 is not the hub's answer about this device, and must not remove its stored state.
            absent = error.code in _ABSENT
            outcome = "absent" if absent else "throttled" if error.status == THROTTLED else "failed"
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
            if since is not None and error.status == BAD_REQUEST:
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
            if error.status == BAD_REQUEST:
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
        items, _ = await self._requests.ask(
            lambda protocol: protocol.query.get_twins({"query": query}, None, str(PAGE_SIZE), raw=True),
            list,
            Limits(NO_TURNS, ONCE, self._timeout),
        )
        return [item for item in items if isinstance(item, dict)]

    async def _page(self, query: str, continuation: str | None, share: Share | None) -> TwinPage:
        try:
            items, headers = await self._requests.ask(
                lambda protocol: protocol.query.get_twins({"query": query}, continuation, str(PAGE_SIZE), raw=True),
                list,
                Limits((share or self._own).queries, self._query_retry, PAGE_TIMEOUTS * self._timeout, MINUTE),
            )
        except HubRequestError as error:
            if continuation is not None and error.status == BAD_REQUEST:
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
        configurations, _ = await self._requests.ask(
            lambda protocol: protocol.configuration.get_configurations(LIST_SIZE, raw=True),
            list,
            Limits(NO_TURNS, LIST_RETRY, self._timeout),
        )
        return configurations

    def close(self) -> None:
        """End the reader's threads after their present requests."""
        self._requests.close()


def outline(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Convert an item of a projection to the form of a twin, without what the item lacks."""
    times = {section: item.get(f"{section}At") for section in ("desired", "reported")}
    twin = {name: item[name] for name in ("deviceId", "version", "configurations") if name in item}
    return twin | {"properties": {name: {"$metadata": {"$lastUpdated": time}} for name, time in times.items()}}
