"""A local IoT hub."""

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final, cast

from aiohttp import web

from local.certificates import issue_certificates
from local.clock import utc_now
from local.faults import Faults
from local.iothub.authorization import refusal_of
from local.iothub.registry import Change, Registry, Twin
from local.iothub.routes import routed_event
from local.iothub.server import Operation, TwinService
from local.listener import stop_accepting
from local.routed_event import RoutedEvent

_KEY_NAME: Final = "iothubowner"
_SHUTDOWN_SECONDS: Final = 0.5


def _discard(_event: RoutedEvent) -> None:
    """Drop events: the hub has no route."""


class IotHub:
    """Twins behind HTTPS on 127.0.0.1. Every change is sent to the route.

    Args:
        certificate_folder: Where to write the certificate authority's file, which clients have to trust.
        name: The hub's short name in its events.
        port: The port; 0 is any free port, kept after a restart.
        now: The hub's clock.
        route: Called with the event of every change, in order.

    Attributes:
        ca_file: The authority's file for clients, for example for `REQUESTS_CA_BUNDLE`.
        registry: The twins.
        faults: Faults of the next answers.
        port: The port. 0 until the first start if any free port was requested.
    """

    def __init__(
        self,
        certificate_folder: Path,
        *,
        name: str = "local-hub",
        port: int = 0,
        now: Callable[[], datetime] = utc_now,
        route: Callable[[RoutedEvent], object] = _discard,
    ) -> None:
        self.name = name
        self.port = port
        self.registry = Registry(now, self._notify)
        self.faults = Faults[Operation]()
        self._route = route
        self._key = b64encode(token_bytes(32)).decode()
        self._service = TwinService(self.registry, self.faults, self._refusal_of, now)
        certificates = issue_certificates(certificate_folder)
        self.ca_file = certificates.ca_file
        self._tls = certificates.server
        self._running: tuple[web.AppRunner, asyncio.Server] | None = None

    @property
    def reads(self) -> Counter[str]:
        """Twin reads by device id, including refused ones."""
        return self._service.reads

    @property
    def on_read(self) -> set[Callable[[str], None]]:
        """Callbacks that get the device id when a twin read arrives."""
        return self._service.on_read

    @property
    def configurations(self) -> list[Any]:
        """The hub's own list of deployments, as sent."""
        return self._service.configurations

    def give_list(self, configurations: Sequence[Any] | None) -> None:
        """Return this list of deployments from now on. None refuses to return it."""
        self._service.gives_list = configurations is not None
        self._service.configurations[:] = configurations or []

    def index(self, index_of: Callable[[str], Twin | None] | None) -> None:
        """Let queries return this for a device instead of its twin: their index can lag by minutes."""
        self._service.index_of = index_of

    def allow_queries(self, per_minute: int | None) -> None:
        """Throttle queries to this many per minute of the hub's clock, as a tier does; None: unlimited."""
        self._service.queries_per_minute = per_minute

    @property
    def queries(self) -> int:
        """The number of requested query pages."""
        return self._service.requests["query"]

    @property
    def connection_string(self) -> str:
        """The connection string for the SDK. It contains the port, so read it after the start."""
        return f"HostName=localhost:{self.port};SharedAccessKeyName={_KEY_NAME};SharedAccessKey={self._key}"

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: The port is taken.
        """
        runner = web.AppRunner(self._service.application(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        handler = cast("web.Server", runner.server)  # there is one after setup()
        try:
            server = await asyncio.get_running_loop().create_server(handler, "127.0.0.1", self.port, ssl=self._tls)
        except OSError:
            await runner.cleanup()
            raise
        self._running = runner, server
        self.port = server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection. The twins stay."""
        if self._running is not None:
            runner, server = self._running
            self._running = None
            await stop_accepting(sock.fileno() for sock in server.sockets)
            server.close()
            await runner.cleanup()
            # A TLS connection closes only after its client's close_notify, which may never come.
            server.abort_clients()
            await server.wait_closed()

    def event(self, change: Change) -> RoutedEvent:
        """Return the event of a change, to send it again or modified."""
        return routed_event(change, self.name)

    def _notify(self, change: Change) -> None:
        self._route(self.event(change))

    def _refusal_of(self, header: str | None) -> str | None:
        return refusal_of(header, host=f"localhost:{self.port}", key_name=_KEY_NAME, key=self._key)
