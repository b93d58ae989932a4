"""Where a server of this machine listens, and how it stops."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Final

from aiohttp import web

_STEPS_OF_A_CONNECTION: Final = 3
"""Turns of the loop from a connection that is accepted to one that its protocol knows."""


class Listener:
    """Listens for a runner of aiohttp.

    Args:
        runner: What serves.
        host: The name that clients call it by: `127.0.0.1` or `localhost`.
        tls: Presents a certificate for that name; None: plain HTTP.

    Attributes:
        port: Where it listens, from the start on.
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
        """Finish the requests that run, then close every connection."""
        if self._socket.fileno() >= 0:  # not stopped before
            await stop_accepting([self._socket.fileno()])
        await self._runner.cleanup()


async def stop_accepting(listening: Iterable[int]) -> None:
    """Accept nothing more on sockets, and wait until what was accepted is known to its protocol.

    A server that is closed in between closes such a connection never: asyncio hands it to nobody.
    """
    loop = asyncio.get_running_loop()
    for descriptor in listening:
        loop.remove_reader(descriptor)
    for _ in range(_STEPS_OF_A_CONNECTION):
        await asyncio.sleep(0)
