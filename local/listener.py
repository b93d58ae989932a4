"""How a local server listens and stops."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Final

from aiohttp import web

_STEPS_OF_A_CONNECTION: Final = 3
"""Iterations of the loop from accepting a connection to its protocol's connection_made."""


class Listener:
    """Listen for an aiohttp runner.

    Args:
        runner: The server.
        host: The host name that clients use: `127.0.0.1` or `localhost`.
        tls: TLS context with a certificate for that name; None: plain HTTP.

    Attributes:
        port: The port that it listens on.
    """

    def __init__(self, runner: web.BaseRunner, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._runner = runner
        self._host = host
        self._tls = tls

    async def start(self, port: int = 0) -> None:
        """Listen on a port, 0 for a free one."""
        await self._runner.setup()
        self._socket = socket.create_server((self._host, port))
        await web.SockSite(self._runner, self._socket, ssl_context=self._tls).start()
        self.port = self._socket.getsockname()[1]

    async def stop(self) -> None:
        """Finish running requests, then close every connection."""
        if self._socket.fileno() >= 0:  # not stopped yet
            await stop_accepting([self._socket.fileno()])
        await self._runner.cleanup()


async def stop_accepting(listening: Iterable[int]) -> None:
    """Stop accepting on sockets, and wait until accepted connections have reached their protocol.

    A server that is closed before that would never close such a connection.
    """
    loop = asyncio.get_running_loop()
    for descriptor in listening:
        loop.remove_reader(descriptor)
    for _ in range(_STEPS_OF_A_CONNECTION):
        await asyncio.sleep(0)
