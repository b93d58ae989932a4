"""An HTTP server on a free port of this machine, for stand-ins of HTTP services."""

import ssl
from types import TracebackType
from typing import Self

from aiohttp import web

from local.listener import Listener


class HttpServer:
    """Serve an application while the context is open.

    Args:
        application: The application.
        host: The host name that clients use.
        tls: TLS context with a certificate for that name; None: plain HTTP.
    """

    def __init__(
        self, application: web.Application, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener = Listener(web.AppRunner(application, access_log=None), host=host, tls=tls)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.port

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        await self._listener.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self._listener.stop()
