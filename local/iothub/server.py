"""The part of IoT Hub's service API for twins."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Literal
from uuid import uuid4

from aiohttp import web

from local.faults import Fault, Faults
from local.iothub import queries
from local.iothub.registry import EDGE_AGENT, Registry, Twin, device_twin

_PAGE_SIZE: Final = 100
_MINUTE: Final = timedelta(minutes=1)
_CODES: Final = {HTTPStatus.TOO_MANY_REQUESTS: "ThrottlingException", HTTPStatus.INTERNAL_SERVER_ERROR: "ServerError"}

type Operation = Literal["read", "query", "write", "list"]
"""The operations that can fail."""

type _Handler = Callable[[web.Request], Awaitable[web.Response]]
type _Guarded = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TwinService:
    """Serve a registry.

    Args:
        registry: The twins.
        faults: Scheduled faults.
        refusal_of: Returns why an Authorization header is refused, or None.
        now: The hub's clock.

    Attributes:
        reads: Twin reads by device id, including failed ones.
        requests: Requests by operation.
        on_read: Callbacks that get the device id when a twin read arrives.
        configurations: The hub's own list of deployments, as sent.
        gives_list: Whether it returns that list; otherwise it refuses with 403.
        index_of: What queries return for a device, if their index lags behind the registry; None: it never does.
        queries_per_minute: Query pages per minute; None: unlimited. Each tier has its own limit.
    """

    def __init__(
        self,
        registry: Registry,
        faults: Faults[Operation],
        refusal_of: Callable[[str | None], str | None],
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._faults = faults
        self._refusal_of = refusal_of
        self._now = now
        self._answered = deque[datetime]()
        self.index_of: Callable[[str], Twin | None] | None = None
        self.queries_per_minute: int | None = None
        self.reads: Counter[str] = Counter()
        self.requests: Counter[Operation] = Counter()
        self.on_read: set[Callable[[str], None]] = set()
        self.configurations: list[Any] = []
        self.gives_list = True

    def application(self) -> web.Application:
        """The service as a web application."""
        application = web.Application()
        application.router.add_get("/twins/{device}/modules/{module}", self._guarded("read", self._read_module))
        application.router.add_get("/twins/{device}", self._guarded("read", self._read_device))
        application.router.add_post("/devices/query", self._guarded("query", self._query))
        application.router.add_get("/configurations", self._guarded("list", self._list_configurations))
        application.router.add_put("/devices/{device}", self._guarded("write", self._create))
        application.router.add_delete("/devices/{device}", self._guarded("write", self._delete))
        application.router.add_post(
            "/devices/{device}/applyConfigurationContent", self._guarded("write", self._apply_configuration)
        )
        return application

    def _guarded(self, op: Operation, answer: _Handler) -> _Guarded:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self.requests[op] += 1
            if op == "read":
                self.reads[request.match_info["device"]] += 1
                for callback in tuple(self.on_read):
                    callback(request.match_info["device"])
            fault = self._faults.take(op)
            if fault is not None:
                await asyncio.sleep(fault.delay)
                if (fault.cut or fault.lost) and request.transport is not None:  # a read has no side effects
                    request.transport.abort()  # the answer is lost
                if fault.status is not None:
                    return _ordered_refusal(fault.status, fault)
                if fault.body is not None:
                    return web.Response(body=fault.body, content_type="application/json")
            refused = self._refusal_of(request.headers.get("Authorization"))
            if refused is not None:
                return _refusal(HTTPStatus.UNAUTHORIZED, "IotHubUnauthorizedAccess", f"Unauthorized: {refused}.")
            if not request.query.get("api-version"):
                return _refusal(HTTPStatus.BAD_REQUEST, "InvalidProtocolVersion", "The api-version is missing.")
            answered = await answer(request)
            return answered if fault is None or not fault.half else await _half(request, answered)

        return guarded

    async def _read_module(self, request: web.Request) -> web.Response:
        device_id, module_id = request.match_info["device"], request.match_info["module"]
        twin = self._registry.get(device_id)
        if twin is None:
            return _no_device(device_id)
        if module_id != EDGE_AGENT:
            message = f"Unable to find module with ID [{device_id}/{module_id}]."
            return _refusal(HTTPStatus.NOT_FOUND, "ModuleNotFound", message)
        return web.json_response(twin)

    async def _read_device(self, request: web.Request) -> web.Response:
        device_id = request.match_info["device"]
        twin = self._registry.get(device_id)
        return _no_device(device_id) if twin is None else web.json_response(device_twin(twin))

    async def _query(self, request: web.Request) -> web.Response:
        try:
            query = await request.json()
            size = int(request.headers.get("x-ms-max-item-count", _PAGE_SIZE))
            after = b64decode(request.headers.get("x-ms-continuation", ""), validate=True).decode() or None
        except ValueError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, "ArgumentInvalid", f"The request cannot be read: {error}.")
        text = query.get("query") if isinstance(query, Mapping) else None
        if isinstance(text, str) and len(text) > queries.LIMIT:
            return _refusal(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", "The query is too long.")
        asked = queries.parse(text) if isinstance(text, str) else None
        if asked is None or size < 1:
            message = f"Supported, in pages of at least one twin: {'; '.join(queries.FORMS)}."
            return _refusal(HTTPStatus.BAD_REQUEST, "ArgumentInvalid", message)
        if self._is_throttled():
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS, "ThrottlingException", "Too many queries in a minute.")
        # Read one more than requested, to see whether there is a next page.
        size = min(size, _PAGE_SIZE)
        found = self._page(asked, size + 1, after)
        page = found[:size]
        headers = {"x-ms-item-type": "twin" if asked.gives == "twins" else "raw"}
        if len(found) > len(page):
            headers["x-ms-continuation"] = b64encode(page[-1]["deviceId"].encode()).decode()
        return web.json_response([asked.item(twin, self._registry.tags) for twin in page], headers=headers)

    def _page(self, query: queries.Query, size: int, after: str | None) -> list[Twin]:
        """Return the next twins of a query after the device `after`, in order of device ids."""
        if query.device_ids is None and not query.since and self.index_of is None:
            return self._registry.page(size, after)
        find = self.index_of or self._registry.get
        names = query.device_ids or {twin["deviceId"] for twin in self._registry.page(len(self._registry))}
        found = (find(name) for name in sorted(names) if after is None or name > after)
        return [twin for twin in found if twin is not None and query.is_about(twin)][:size]

    def _is_throttled(self) -> bool:
        """Whether a query exceeds the limit of its minute. If not, count it."""
        if self.queries_per_minute is None:
            return False
        now = self._now()
        while self._answered and self._answered[0] <= now - _MINUTE:
            self._answered.popleft()
        if len(self._answered) >= self.queries_per_minute:
            return True
        self._answered.append(now)
        return False

    async def _list_configurations(self, _request: web.Request) -> web.Response:
        if not self.gives_list:
            return _refusal(HTTPStatus.FORBIDDEN, "IotHubForbidden", "Not authorized to list configurations.")
        return web.json_response(self.configurations)

    async def _create(self, request: web.Request) -> web.Response:
        """Create a device with the capability `iotEdge`, and its `$edgeAgent`."""
        device_id, asked = request.match_info["device"], await request.json()
        if not asked.get("capabilities", {}).get("iotEdge"):
            message = "This stand-in only creates edge devices."
            return _refusal(HTTPStatus.BAD_REQUEST, "ArgumentInvalid", message)
        if self._registry.get(device_id) is not None:
            message = f"A device with ID {device_id!r} is already registered."
            return _refusal(HTTPStatus.CONFLICT, "DeviceAlreadyExists", message)
        twin = self._registry.create(device_id).twin
        return web.json_response({**asked, "deviceId": device_id, "etag": twin["deviceEtag"]})

    async def _delete(self, request: web.Request) -> web.Response:
        device_id = request.match_info["device"]
        if self._registry.get(device_id) is None:
            return _no_device(device_id)
        self._registry.delete(device_id)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _apply_configuration(self, request: web.Request) -> web.Response:
        """Replace the desired properties of `$edgeAgent`; other modules have no twin here."""
        device_id, asked = request.match_info["device"], await request.json()
        desired = asked.get("modulesContent", {}).get(EDGE_AGENT, {}).get("properties.desired")
        if self._registry.get(device_id) is None:
            return _no_device(device_id)
        if not isinstance(desired, dict):
            message = "The content has no properties.desired of $edgeAgent."
            return _refusal(HTTPStatus.BAD_REQUEST, "ArgumentInvalid", message)
        self._registry.apply_desired(device_id, desired)
        return web.Response(status=HTTPStatus.NO_CONTENT)


def _no_device(device_id: str) -> web.Response:
    return _refusal(HTTPStatus.NOT_FOUND, "DeviceNotFound", f"Unable to find device with ID [{device_id}].")


async def _half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Send half of an answer, then close the connection."""
    body = answer.body
    assert isinstance(body, bytes)  # noqa: S101 (set by every handler)
    cut = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut


def _ordered_refusal(status: int, fault: Fault) -> web.Response:
    phrase = HTTPStatus(status).phrase
    code = fault.code or _CODES.get(HTTPStatus(status), phrase.replace(" ", ""))
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return _refusal(status, code, f"{phrase}.", headers)


def _refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    body = {
        "Message": f"ErrorCode:{code};{message}",
        "ExceptionMessage": f"Tracking ID:{uuid4().hex}-TimeStamp:{datetime.now(UTC):%m/%d/%Y %H:%M:%S}",
    }
    return web.Response(
        status=status,
        text=json.dumps(body),
        content_type="application/json",
        headers={"iothub-errorcode": code, **(headers or {})},
    )
