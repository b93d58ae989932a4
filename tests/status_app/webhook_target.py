"""A target of news: a real HTTPS server that keeps what it gets, and answers as a test orders."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from local.certificates import issue_certificates
from local.http_server import HttpServer
from status_app.notify.targets import Format, Target
from status_app.notify.webhook import Webhooks

PATH = "/hooks/T0SECRET0PATH"
KEY = "k3y-of-the-target"


@dataclass(frozen=True, slots=True)
class Received:
    """A message that came in."""

    path: str
    id: str
    content_type: str
    body: Any
    headers: dict[str, str]


class WebhookTarget(HttpServer):
    """Keeps messages.

    Attributes:
        received: All that came in, those too that were refused.
        taken: Those that were taken.
        answers: What the next ones are answered, in their order; then 202.
        always: What each is answered in the place of 202; None: 202.
        refused: Ids of messages that are answered 400.
        down: Paths at which each is answered 503.
        silent: Whether nobody is answered.
        took: Set with each that is taken.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        application = web.Application(client_max_size=4_000_000)
        application.router.add_route("*", "/{path:.*}", self._answer)
        super().__init__(application, host="localhost", tls=tls)
        self.received: list[Received] = []
        self.taken: list[Received] = []
        self.answers: list[web.Response] = []
        self.always: int | None = None
        self.refused: set[str] = set()
        self.down: set[str] = set()
        self.silent = False
        self.took = asyncio.Event()
        self._end = asyncio.Event()

    def url(self, path: str = PATH) -> str:
        return f"https://localhost:{self.port}{path}"

    def target(self, name: str = "ops", kind: Format = Format.CLOUDEVENTS, **more: Any) -> Target:
        return Target(name, kind, f"{self.url()}?sig=s3cret0signature", **more)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        message = Received(
            request.path,
            request.headers.get("Idempotency-Key", ""),
            request.headers.get("Content-Type", ""),
            json.loads(await request.text() or "null"),
            dict(request.headers),
        )
        self.received.append(message)
        if self.silent:
            await self._end.wait()
        if self.answers:
            return self.answers.pop(0)
        if message.path in self.down:
            return web.Response(status=503)
        if message.id in self.refused:
            return web.Response(status=400)
        if self.always is not None:
            return web.Response(status=self.always)
        self.taken.append(message)
        self.took.set()
        return web.Response(status=202)

    def end(self) -> None:
        """Answer the requests that wait."""
        self._end.set()


@asynccontextmanager
async def webhook_target(folder: Path, **options: Any) -> AsyncIterator[tuple[WebhookTarget, Webhooks]]:
    """A target, and what sends to it without waiting between attempts."""
    certificates = issue_certificates(folder)
    trusted = ssl.create_default_context(cafile=str(certificates.ca_file))
    known: dict[str, Any] = {"is_local": True, "tls": trusted}
    webhooks = Webhooks(sleep=_no_wait, **known | options)
    async with WebhookTarget(certificates.server) as target:
        try:
            yield target, webhooks
        finally:
            target.end()
            await webhooks.close()


async def _no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)
