"""An HTTP server on a free port of this machine, for stand-ins of services that speak HTTP."""

import ssl
from types import TracebackType
from typing import Self

from aiohttp import web


class HttpServer:
    """Serves an application while its context is open.

    Args:
        application: What it serves.
        host: The name that clients call it by.
        tls: Presents a certificate for that name; None: plain HTTP.

    Attributes:
        port: Where it listens, from the start on.
    """

    def __init__(
        self, application: web.Application, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.port = 0
        self._application = application
        self._host = host
        self._tls = tls

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._runner = web.AppRunner(self._application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self._runner.cleanup()
