"""The API of the Event Hubs stand-in: start, stop, addresses, events, faults."""

import asyncio
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from local.clock import utc_now
from local.eventhubs.connection import Connection
from local.eventhubs.log import PARTITION_KEY, Hub, StoredEvent
from local.eventhubs.message import build_message
from local.eventhubs.nodes import Broker
from local.listener import stop_accepting
from local.routed_event import RoutedEvent


class EventHubsFaults:
    """Make the stand-in fail the way Event Hubs does."""

    def __init__(self, broker: Broker, connections: Collection[Connection]) -> None:
        self._broker = broker
        self._connections = connections

    def refuse(self, hub: str, count: int) -> None:
        """Refuse the next sends (an event or a batch each) with com.microsoft:server-busy.

        Clients of the SDK for Python attempt a send twice before they raise. Each attempt counts.

        Args:
            hub: The name of the event hub.
            count: How many. Replaces a number that was set before.

        Raises:
            AmqpError: There is no such event hub.
        """
        self._broker.refusals[self._broker.hub(hub).name] = count

    def refuse_calls(self, hub: str, count: int) -> None:
        """Refuse the next calls of a client of the SDK for Python that sends one at a time: both attempts of each.

        Args:
            hub: The name of the event hub.
            count: How many, in addition to those already set.

        Raises:
            AmqpError: There is no such event hub.
        """
        self._broker.refusals[self._broker.hub(hub).name] += 2 * count

    @contextmanager
    def without_hub(self, hub: str) -> Iterator[None]:
        """Remove an event hub for a while. Afterwards it is back, with its events.

        Raises:
            KeyError: There is no such event hub.
        """
        left_out = self._broker.hubs.pop(hub)
        try:
            yield
        finally:
            self._broker.hubs[hub] = left_out

    @contextmanager
    def only_groups(self, *groups: str) -> Iterator[None]:
        """Allow only these consumer groups for a while."""
        self._broker.groups = groups
        try:
            yield
        finally:
            self._broker.groups = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Refuse every token, as if a role were missing."""
        self._broker.locked = True
        try:
            yield
        finally:
            self._broker.locked = False

    def drop_connections(self) -> None:
        """Reset every connection now, without notice."""
        for connection in tuple(self._connections):
            connection.reset()


class EventHubs:
    """An Event Hubs namespace on 127.0.0.1, for the unmodified Azure SDKs: AMQP 1.0 over TCP or TLS.

    It keeps all events in memory, knows any consumer group, and accepts any credentials. It runs on the event loop that
    `start` is awaited on. Call the synchronous methods on that loop; from another thread, use
    `loop.call_soon_threadsafe`.

    Attributes:
        faults: Makes it fail on purpose.
    """

    def __init__(
        self,
        hubs: Mapping[str, int],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Prepare a namespace. It listens once it is started.

        Args:
            hubs: The number of partitions of each event hub, by name.
            host: The address to listen on.
            port: The port to listen on; 0 takes a free one.
            tls: TLS context; None: plain TCP. With an identity the SDK for Python uses TLS on port 5671.
            now: The clock that events are stamped with, with a time zone.
        """
        self._broker = Broker({name: Hub(name, partitions, now) for name, partitions in hubs.items()})
        self._wanted = host, port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self.faults = EventHubsFaults(self._broker, self._connections)

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises:
            RuntimeError: The namespace has not been started.
        """
        if self._server is None:
            raise RuntimeError("The Event Hubs stand-in has no port: it is not running.")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._broker, self._connections), *self._wanted, ssl=self._tls
        )

    async def stop(self) -> None:
        """Stop listening and cut all connections. Events stay, and it can be started again."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await stop_accepting(sock.fileno() for sock in server.sockets)
        server.close()
        server.abort_clients()
        await server.wait_closed()

    def connection_string(self, hub: str | None = None) -> str:
        """Return the connection string of the namespace, or of one event hub."""
        entity = f";EntityPath={hub}" if hub else ""
        key = "SharedAccessKeyName=local;SharedAccessKey=local"
        return f"Endpoint=sb://localhost:{self.port};{key};UseDevelopmentEmulator=true{entity}"

    def append(self, hub: str, event: RoutedEvent) -> tuple[str, int]:
        """Store an event as a route of IoT Hub does: with its properties, in the partition of its key.

        Returns:
            Its partition id and sequence number.

        Raises:
            AmqpError: There is no such event hub.
        """
        annotations = {**event.system_properties, PARTITION_KEY: event.partition_key}
        message = build_message(event.body, event.properties, annotations)
        log = self._broker.hub(hub).store([message])
        return log.partition_id, log.last_sequence_number

    def last_sequence(self, hub: str) -> dict[str, int]:
        """Return the newest sequence number of each partition, by partition id; -1 if it is empty.

        Raises:
            AmqpError: There is no such event hub.
        """
        return {log.partition_id: log.last_sequence_number for log in self._broker.hub(hub).partitions.values()}

    def events(self, hub: str) -> list[StoredEvent]:
        """Return all events, partition by partition, each in order.

        Raises:
            AmqpError: There is no such event hub.
        """
        return [event for log in self._broker.hub(hub).partitions.values() for event in log.stored()]
