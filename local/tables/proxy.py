"""A proxy between the app and Azurite: it forwards requests unchanged, counts them, and injects faults."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Literal
from uuid import uuid4

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.faults import Fault, Faults
from local.listener import Listener

type Operation = Literal["read", "write"]
"""A GET reads, anything else writes: a transaction or the creation of a table is one write."""

_ENDPOINT: Final = re.compile(r"(?<=TableEndpoint=)(http://[^/;]+)(/[^/;]+)")
_OF_ONE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
"""Headers that belong to one side of the proxy."""
_CODES: Final = {
    HTTPStatus.INTERNAL_SERVER_ERROR: ("InternalError", "The server encountered an internal error."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("ServerBusy", "The server is currently unable to receive requests."),
}
_KEEP_ALIVE_SECONDS: Final = 2.0
"""Azurite closes connections that are idle for 5 seconds: no request must hit that."""
_SHUTDOWN_SECONDS: Final = 0.5


class TableProxy:
    """A table service on 127.0.0.1 in front of another one.

    Args:
        tables: Connection string of the service behind it, over plain HTTP.
        keep_alive: Whether to reuse connections to it. An Azurite that saves a large file does not answer for seconds,
                and then closes connections that it considers idle.

    Attributes:
        faults: Faults of the next answers.
        requests: Requests, including failed ones. Each retry of the SDK counts.
        requests_of: The same per table, by name; `Tables` counts those that create or list tables.
        before: Called with the operation and path of each request before it is forwarded. The request waits for it.
                `is_transaction` recognizes the path of a transaction. If it raises ConnectionError, the request is not
                executed and its connection closed.
    """

    def __init__(self, tables: str, *, keep_alive: bool = True) -> None:
        match = _ENDPOINT.search(tables)
        if match is None:
            raise ValueError("the connection string has no TableEndpoint over plain HTTP")
        self.faults = Faults[Operation]()
        self.requests: Counter[Operation] = Counter()
        self.requests_of: defaultdict[str, Counter[Operation]] = defaultdict(Counter)
        self.before: Callable[[Operation, str], Awaitable[object]] | None = None
        self._tables = tables
        self._keep_alive = keep_alive
        self._origin, account = match.groups()
        # A transaction names its table in its body, which can only be one.
        self._table = re.compile(rf"{account}/(\w+)".encode())
        self._port = 0

    @property
    def connection_string(self) -> str:
        """The connection string for the SDK. It contains the port, so read it after the start."""
        return _ENDPOINT.sub(rf"http://127.0.0.1:{self._port}\2", self._tables)

    async def start(self) -> None:
        """Listen on a free port."""
        connector = (
            aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
            if self._keep_alive
            else aiohttp.TCPConnector(limit=0, force_close=True)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
        )
        # Cancel requests of disconnected clients: a killed client must not write later.
        server = web.Server(self._answer, access_log=None, handler_cancellation=True)
        self._listener = Listener(web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS))
        await self._listener.start()
        self._port = self._listener.port

    async def stop(self) -> None:
        """Close every connection."""
        await self._listener.stop()
        await self._session.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        op: Operation = "read" if request.method == "GET" else "write"
        body = await request.content.read()
        named = self._table.search(request.raw_path.encode())
        table = named or self._table.search(body)
        name = table[1].decode() if table else ""
        self.requests[op] += 1
        self.requests_of[name][op] += 1
        fault = self.faults.take(op) or Fault()
        await asyncio.sleep(fault.delay)
        if fault.status is not None:
            return _refusal(fault.status, fault)
        if fault.body is not None:
            return web.Response(body=fault.body, content_type="application/json")
        try:
            if fault.cut:
                raise ConnectionResetError
            if self.before is not None:
                # The path of a transaction ends with `$batch`: the body names its table.
                await self.before(op, request.path if named else f"{request.path}/{name}")
            answer = await self._hand_on(request, body)
            if fault.lost:
                raise ConnectionResetError
        except (ConnectionError, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # nobody receives it
        return answer

    async def _hand_on(self, request: web.BaseRequest, body: bytes) -> web.Response:
        url = URL(self._origin + request.raw_path, encoded=True)  # as it was signed
        headers = _between_ends(request.headers.items())
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            content = await answer.read()
            headers = _between_ends(answer.headers.items())
            return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=content)


def is_transaction(path: str, table: str) -> bool:
    """Whether a path passed to `TableProxy.before` is a transaction of a table."""
    return path.endswith(f"/$batch/{table}")


@asynccontextmanager
async def table_proxy(tables: str, *, keep_alive: bool = True) -> AsyncIterator[TableProxy]:
    """Run a proxy in front of the table service of a connection string. For `keep_alive` see `TableProxy`.

    Raises:
        ValueError: The connection string has no table service over plain HTTP.
    """
    proxy = TableProxy(tables, keep_alive=keep_alive)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


def _between_ends(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers if name.lower() not in _OF_ONE_CONNECTION)


def _refusal(status: int, fault: Fault) -> web.Response:
    """Make an error response in the format of Table Storage."""
    phrase = HTTPStatus(status).phrase
    code, text = _CODES.get(HTTPStatus(status), (phrase.replace(" ", ""), f"{phrase}."))
    request_id = str(uuid4())
    value = f"{text}\nRequestId:{request_id}\nTime:{datetime.now(UTC).isoformat()}"
    headers = {"x-ms-request-id": request_id, "x-ms-version": "2019-02-02"}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    return web.json_response(
        {"odata.error": {"code": fault.code or code, "message": {"lang": "en-US", "value": value}}},
        status=status,
        headers=headers,
    )
