"""The HTTP trigger: a server on 127.0.0.1 for the app's HTTP functions."""

import hmac
from collections.abc import Callable, Iterable
from datetime import datetime
from email.utils import format_datetime

from aiohttp import web

from local.host.invocation import Function, HostStoppedError, Invoker
from local.host.messages import RpcHttp, TypedData
from local.host.route import Route, parse_route
from local.host.worker import AppLoadError
from local.listener import Listener

_LONGEST_BODY = 100 * 1024 * 1024


class HttpServer:
    """Serve the routes of the app's HTTP functions.

    Functions of auth level `function` (or `admin`) require the host's key. Without a key they are open, like in Core
    Tools on a developer's machine. The Date header of answers has the time of the clock.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        invoker: Invoker,
        *,
        prefix: str,
        key: str | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._invoker = invoker
        self._key = key
        self._clock = clock
        routes = [(_route(function, prefix), function) for function in functions]
        self._routes = sorted(routes, key=lambda entry: entry[0].rank)

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1:`port`, 0 for a free one; return the port."""
        app = web.Application(client_max_size=_LONGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._listener = Listener(web.AppRunner(app, access_log=None))
        await self._listener.start(port)
        return self._listener.port

    async def stop(self) -> None:
        """Finish running requests, then close."""
        await self._listener.stop()

    async def _serve(self, request: web.Request) -> web.Response:
        response = await self._answer(request)
        response.headers.setdefault("Date", format_datetime(self._clock(), usegmt=True))
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        for route, function in self._routes:
            params = route.match(request.rel_url.raw_path)
            if params is not None and _allows(function, request.method):
                break
        else:
            return web.Response(status=404)
        if not self._authorized(function, request):
            return web.Response(status=401)
        try:
            outcome = await self._invoker.run(function, TypedData(http=await _request(request, params)))
        except HostStoppedError:
            return web.Response(status=503)
        return _response(outcome.return_value) if outcome.ok else web.Response(status=500)

    def _authorized(self, function: Function, request: web.Request) -> bool:
        if self._key is None or str(function.trigger.get("authLevel")).lower() == "anonymous":
            return True
        key = request.headers.get("x-functions-key") or request.query.get("code", "")
        return hmac.compare_digest(key.encode(), self._key.encode())


def _route(function: Function, prefix: str) -> Route:
    try:
        return parse_route(f"{prefix}/{(function.trigger.get('route') or function.name).strip('/')}")
    except ValueError as error:
        raise AppLoadError(f"function {function.name}: route {error}") from error


def _allows(function: Function, method: str) -> bool:
    methods = function.trigger.get("methods")
    return not methods or method.upper() in {str(allowed).upper() for allowed in methods}


async def _request(request: web.Request, params: dict[str, str]) -> RpcHttp:
    """Convert a request as the host does: repeated headers and query values are joined, empty query values dropped."""
    body = await request.read()
    return RpcHttp(
        method=request.method,
        url=str(request.url),
        headers={name.lower(): ",".join(request.headers.getall(name)) for name in request.headers},
        params=params,
        query={name: ",".join(request.query.getall(name)) for name, value in request.query.items() if value},
        body=TypedData(bytes=body) if body else TypedData(),
    )


def _response(value: TypedData | None) -> web.Response:
    """Convert the result of an HTTP function: a response, or plain text."""
    if value is None or value.http is None:
        return web.Response(text=value.string if value else None)
    return web.Response(status=int(value.http.status_code), headers=value.http.headers, body=value.http.body.bytes)
