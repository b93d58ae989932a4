"""A service that accepts and never answers, or whose answer drips, and never ends."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

DRIP = 0.02
"""Seconds between two bytes: far less than any limit on silence."""
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class SilentServer:
    """Listens on 127.0.0.1.

    Attributes:
        drips: What comes at once as an answer; bytes follow one by one for ever. None: nothing comes.
        requests: Requests that came in.
    """

    def __init__(self) -> None:
        self.drips: bytes | None = None
        self.requests = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests; answer none of them to its end."""
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.requests += data.count(b"\r\nHost:")
                if self.drips is not None:
                    writer.write(self.drips)
                    while not reader.at_eof():
                        writer.write(b" ")
                        await writer.drain()
                        await asyncio.sleep(DRIP)
        writer.close()


@asynccontextmanager
async def silent_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[SilentServer]:
    """A running one."""
    silent = SilentServer()
    server = await asyncio.start_server(silent.serve, "127.0.0.1", 0, ssl=tls)
    silent.port = server.sockets[0].getsockname()[1]
    try:
        yield silent
    finally:
        server.close()
        server.abort_clients()
