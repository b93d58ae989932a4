"""An HTTP server on a free port of this machine, for stand-ins of services that speak HTTP."""

import ssl
from types import TracebackType
from typing import Self

from aiohttp import web

from local.listener import Listener


class HttpServer:
    """Serves an application while its context is open.

    Args:
        application: What it serves.
        host: The name that clients call it by.
        tls: Presents a certificate for that name; None: plain HTTP.
    """

    def __init__(
        self, application: web.Application, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener = Listener(web.AppRunner(application, access_log=None), host=host, tls=tls)

    @property
    def port(self) -> int:
        """Where it listens, from the start on."""
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
