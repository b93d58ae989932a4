"""The app's HTTP API over a real socket, without the functions host: one that can be switched off and on again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import unquote

import azure.functions as func
from aiohttp import web

from local.listener import Listener
from status_app.http import routes
from status_app.queries import Fleet

KEY = "hunter2-function-key"
LISTS = {
    "agents": routes.agents,
    "causes": routes.causes,
    "deployments": routes.deployments,
    "devices": routes.devices,
    "images": routes.images,
}


class Api:
    """An API for a key.

    Attributes:
        port: Where it listens on 127.0.0.1, the same after each start.
        answers: Sent first, in place of its own: a status, headers and a body.
        requests: The paths of requests, with their queries.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.port = 0
        self.answers: list[tuple[int, Mapping[str, str], str]] = []
        self.requests: list[str] = []
        self._fleet = fleet
        self._listener: Listener | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/{path:.*}", self._serve)
        self._listener = Listener(web.AppRunner(app, access_log=None))
        await self._listener.start(self.port)
        self.port = self._listener.port

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    async def _serve(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        if request.headers.get("x-functions-key") != KEY:
            return web.Response(status=401)
        if self.answers:
            status, headers, body = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text=body)
        answer = await self._answer(request)
        return web.Response(status=answer.status_code, headers=dict(answer.headers), body=answer.get_body(),
                            content_type=answer.mimetype)  # fmt: skip

    async def _answer(self, request: web.Request) -> func.HttpResponse:
        path = [unquote(part) for part in request.rel_url.raw_path.split("/")[2:]]
        names = {"deviceId": path[1], "deploymentId": path[1]} if len(path) > 1 else {}
        asked = func.HttpRequest(
            "GET", str(request.url), headers=request.headers, params=request.query, route_params=names, body=b""
        )
        match path:
            case [name] if name in LISTS:
                return await LISTS[name](self._fleet, asked)
            case ["deployments", _]:
                return await routes.deployment(self._fleet, asked)
            case ["devices", _]:
                return await routes.device(self._fleet, asked)
            case ["devices", _, "transitions"]:
                return await routes.transitions(self._fleet, asked)
        return func.HttpResponse(status_code=404)


@asynccontextmanager
async def running_api(fleet: Fleet) -> AsyncIterator[Api]:
    """An API that answers for a fleet."""
    api = Api(fleet)
    await api.start()
    try:
        yield api
    finally:
        await api.stop()
