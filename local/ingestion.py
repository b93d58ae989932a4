"""The ingestion endpoint of Application Insights: keeps the metrics that it is sent with a token."""

import gzip
import json
import ssl
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from local.tokens import token_refusal

AUDIENCE: Final = "https://monitor.azure.com/"


class Ingestion:
    """Takes telemetry over HTTPS.

    Args:
        tls: Presents the certificate of this machine.

    Attributes:
        items: What was sent, as it was sent.
        refused: Why requests were refused.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._port = 0
        self.items: list[dict[str, Any]] = []
        self.refused: list[str] = []

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        application = web.Application()
        application.router.add_post("/{slash:/?}v2.1/track", self._track)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "localhost", 0, ssl_context=self._tls).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self._runner.cleanup()

    @property
    def connection_string(self) -> str:
        """What the exporter takes."""
        key = "00000000-0000-0000-0000-000000000000"
        return f"InstrumentationKey={key};IngestionEndpoint=https://localhost:{self._port}/"

    @property
    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """The base data of each metric that was sent, by its name."""
        found: dict[str, list[dict[str, Any]]] = {}
        for item in self.items:
            data = item["data"]["baseData"]
            for metric in data["metrics"]:
                found.setdefault(metric["name"], []).append(metric | {"properties": data.get("properties", {})})
        return found

    async def _track(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        refusal = token_refusal(token, AUDIENCE)
        if refusal is not None:
            self.refused.append(refusal)
            return web.json_response({"errors": []}, status=HTTPStatus.UNAUTHORIZED)
        body = await request.read()
        items = json.loads(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)
        self.items += items
        return web.json_response({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []})
