"""Where news of an app on this machine go: an HTTPS server that keeps what a target would get."""

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
"""`NOTIFY` where nothing else is said."""


@dataclass(frozen=True, slots=True)
class PostedNotice:
    """A message that was taken.

    Attributes:
        id: Its header Idempotency-Key.
        at: When it came.
        body: What it says.
    """

    id: str
    at: datetime
    body: Any

    @property
    def shown(self) -> Mapping[str, Any]:
        """It as JSON."""
        return {"id": self.id, "at": self.at.isoformat().replace("+00:00", "Z"), "body": self.body}


class NoticeBoard(HttpServer):
    """Takes messages over HTTPS.

    Args:
        folder: For the certificate of its authority.
        now: The time.

    Attributes:
        posted: What it took, in order.
        faults: What the next messages get in the place of an answer: `send`.
        trusted: Believes its certificate.
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
            assert request.transport is not None  # noqa: S101 (the request has just come over it)
            request.transport.abort()
        if fault is not None and fault.status is not None:
            wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return web.Response(status=fault.status, headers=wait)
        if fault is None:
            self.posted.append(PostedNotice(request.headers["Idempotency-Key"], self._now(), await request.json()))
        return web.Response(status=HTTPStatus.ACCEPTED)
