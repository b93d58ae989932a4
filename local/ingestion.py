"""The ingestion endpoint of Application Insights. Stores metrics sent with a valid token."""

import gzip
import json
import ssl
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from local.http_server import HttpServer
from local.tokens import token_refusal

AUDIENCE: Final = "https://monitor.azure.com/"


class Ingestion(HttpServer):
    """Receive telemetry over HTTPS.

    Args:
        tls: TLS context with the certificate of this machine.

    Attributes:
        items: The received items, unchanged.
        refused: Why requests were refused.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        application = web.Application()
        application.router.add_post("/{slash:/?}v2.1/track", self._track)
        super().__init__(application, host="localhost", tls=tls)
        self.items: list[dict[str, Any]] = []
        self.refused: list[str] = []

    @property
    def connection_string(self) -> str:
        """The connection string for the exporter."""
        key = "00000000-0000-0000-0000-000000000000"
        return f"InstrumentationKey={key};IngestionEndpoint=https://localhost:{self.port}/"

    @property
    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """Return the base data of each received metric, by name."""
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
