"""The shapes of the API over real sockets, served from the tables, for those who ask it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from status_app.fleet_status import FleetStatus

KEY = "hunter2-function-key"
PAGE = 2
"""Devices of a page: few, so that one is not the last."""


class Api:
    """An API that can be switched off and on again.

    Attributes:
        port: Where it listens on 127.0.0.1, the same after each start.
        answers: Given first, in the place of its own: a status, headers and a body.
        requests: What it was asked, with its query.
    """

    def __init__(self, fleet: FleetStatus) -> None:
        self.port = 0
        self.answers: list[tuple[int, Mapping[str, str], str]] = []
        self.requests: list[str] = []
        self._fleet = fleet
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        if request.headers.get("x-functions-key") != KEY:
            return web.Response(status=401)
        if self.answers:
            status, headers, body = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text=body)
        answer = await self._answer([unquote(part) for part in request.rel_url.raw_path.split("/")[2:]], request.query)
        if answer is None:
            problem = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "it is not known"}
            return web.json_response(problem, status=404, content_type="application/problem+json")
        return web.json_response(answer)

    async def _answer(self, path: list[str], query: Mapping[str, str]) -> Mapping[str, Any] | None:
        match path:
            case ["deployments", deployment]:
                return await self._fleet.deployment(deployment)
            case ["devices"]:
                found = self._fleet.devices(
                    query["deployment"], state=query.get("state"), stuck=query.get("stuck") == "true"
                )
                first = int(query.get("next", 0))
                items = [item async for item in found]
                more = str(first + PAGE) if len(items) > first + PAGE else None
                return {"items": items[first : first + PAGE], "next": more}
            case ["devices", device]:
                return await self._fleet.device(device)
            case ["devices", device, "transitions"]:
                found_ = await self._fleet.transitions(device, int(query["limit"]))
                return {"items": found_, "next": None} if found_ else None
        return None


@asynccontextmanager
async def running_api(fleet: FleetStatus) -> AsyncIterator[Api]:
    """An API that answers as a fleet does."""
    api = Api(fleet)
    await api.start()
    try:
        yield api
    finally:
        await api.stop()
