"""A local notification target: an HTTPS server that keeps the messages it receives."""

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import web

from local.certificates import issue_certificates
from local.faults import Faults
from local.http_server import HttpServer

URL_SETTING: Final = "NOTIFY_URL"
"""The setting that holds its address, as `NOTIFY` names it."""
PEOPLE: Final = json.dumps([{"name": "people", "format": "slack", "urlSetting": URL_SETTING}])
"""The default of `NOTIFY`."""


@dataclass(frozen=True, slots=True)
class PostedNotice:
    """A received message.

    Attributes:
        id: The header Idempotency-Key.
        at: When it was received.
        body: The content.
    """

    id: str
    at: datetime
    body: Any

    @property
    def shown(self) -> Mapping[str, Any]:
        """Return it as JSON."""
        return {"id": self.id, "at": self.at.isoformat().replace("+00:00", "Z"), "body": self.body}


class NoticeBoard(HttpServer):
    """Receive messages over HTTPS.

    Args:
        folder: Folder for the certificate of its authority.
        now: The clock.

    Attributes:
        posted: The received messages, in order.
        faults: Faults of the next messages; the operation is `send`.
        trusted: TLS context that trusts its certificate.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        certificates = issue_certificates(folder)
        application = web.Application(client_max_size=2**24)
        application.router.add_post("/notices", self._take)
        super().__init__(application, host="localhost", tls=certificates.server)
        self._now = now
        self.posted: list[PostedNotice] = []
        self.faults: Faults[Literal["send"]] = Faults()
        self.trusted = ssl.create_default_context(cafile=str(certificates.ca_file))

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://localhost:{self.port}/notices"

    async def _take(self, request: web.Request) -> web.Response:
        fault = self.faults.take("send")
        if fault is not None and fault.cut:
            assert request.transport is not None  # noqa: S101 (the request arrived over it)
            request.transport.abort()
        if fault is not None and fault.status is not None:
            wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return web.Response(status=fault.status, headers=wait)
        if fault is None:
            self.posted.append(PostedNotice(request.headers["Idempotency-Key"], self._now(), await request.json()))
        return web.Response(status=HTTPStatus.ACCEPTED)
