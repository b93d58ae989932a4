"""One session of a connection: its links, and the windows for flow control."""

from collections import deque
from typing import Any, Protocol

from local.eventhubs.codec import Described, Ubyte, Uint, Ulong
from local.eventhubs.errors import AmqpError, Condition
from local.eventhubs.frames import (
    FRAME_HEADER_SIZE,
    RECEIVER,
    SENDER,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Performative,
    Transfer,
    accepted,
    described_error,
    rejected,
)
from local.eventhubs.links import MAX_MESSAGE_SIZE, IncomingLink, OutgoingLink
from local.eventhubs.nodes import Broker, Nodes

WINDOW = Uint(0x7FFFFFFF)
"""Practically unlimited: TCP slows a fast sender down."""

_SETTLED, _FIRST = Ubyte(1), Ubyte(0)  # settle modes of senders and receivers
_TRANSFER_SIZE = 64  # no encoded transfer is longer
_SOURCE_CODE, _SOURCE_FIELDS = Ulong(0x28), 11
_TARGET_CODE, _TARGET_FIELDS = Ulong(0x29), 7


class Channel(Protocol):
    """What a session sends through."""

    max_frame_size: int

    @property
    def writable(self) -> bool:
        """Whether the client keeps up with reading."""

    def send(self, channel: int, performative: Performative, payload: bytes = b"") -> None:
        """Send one frame."""


class Session:
    """The links of a client on one channel."""

    def __init__(self, channel: int, begin: Begin, connection: Channel, broker: Broker) -> None:
        self._channel = channel
        self._connection = connection
        self._nodes = Nodes(broker)
        self._links: dict[int, IncomingLink | OutgoingLink | None] = {}  # None: detached here only
        self._next_incoming_id = begin.next_outgoing_id
        self._next_outgoing_id = 0
        self._next_delivery_id = 0
        self._window = begin.incoming_window
        self._outbox: deque[tuple[Transfer, bytes]] = deque()

    @property
    def ready(self) -> bool:
        """Whether another message can be sent."""
        return not self._outbox and self._window > 0 and self._connection.writable

    def receive(self, performative: Performative, payload: bytes) -> None:
        """Act on one frame of the client.

        Raises:
            AmqpError: The client broke the protocol.
        """
        match performative:
            case Attach():
                self._attach(performative)
            case Detach():
                self._detached(performative)
            case Transfer():
                self._next_incoming_id += 1
                if link := self._link(performative.handle):
                    link.on_transfer(performative, payload)
            case Flow():
                self._flow(performative)
            case Disposition():
                pass  # all sent messages are settled already
            case _:
                raise AmqpError(Condition.NOT_ALLOWED, f"{type(performative).__name__} is not allowed in a session.")

    def pump(self) -> None:
        """Send waiting messages as far as the client's window and reading allow."""
        self._send_outbox()
        for link in tuple(self._links.values()):
            if link:
                link.pump()

    def end(self) -> None:
        """Close all links: the session or its connection is over."""
        links = [link for link in self._links.values() if link]
        self._links.clear()
        for link in links:
            link.closed()

    def detach(self, handle: int, error: AmqpError) -> None:
        """End a link with an error."""
        link = self._links[handle]
        self._links[handle] = None
        if link:
            link.closed()
        self._send(Detach(Uint(handle), closed=True, error=described_error(error)))

    def settle(self, delivery_id: int, refusal: AmqpError | None) -> None:
        """Send the outcome of a delivery to the client."""
        state = rejected(refusal) if refusal else accepted()
        self._send(Disposition(RECEIVER, Uint(delivery_id), Uint(delivery_id), settled=True, state=state))

    def send_flow(self, handle: int, delivery_count: int, credit: int, *, drain: bool = False) -> None:
        """Send the state of a link to the client."""
        self._send(
            Flow(
                next_incoming_id=Uint(self._next_incoming_id),
                incoming_window=WINDOW,
                next_outgoing_id=Uint(self._next_outgoing_id),
                outgoing_window=WINDOW,
                handle=Uint(handle),
                delivery_count=Uint(delivery_count),
                link_credit=Uint(credit),
                drain=drain,
            )
        )

    def send_message(self, handle: int, payload: bytes) -> None:
        """Send one message in as many frames as it takes."""
        size = self._connection.max_frame_size - FRAME_HEADER_SIZE - _TRANSFER_SIZE
        first = Transfer(
            Uint(handle),
            delivery_id=Uint(self._next_delivery_id),
            delivery_tag=self._next_delivery_id.to_bytes(4),
            message_format=Uint(0),
            settled=True,
            more=len(payload) > size,
        )
        self._next_delivery_id += 1
        self._outbox.append((first, payload[:size]))
        for start in range(size, len(payload), size):
            part = Transfer(Uint(handle), settled=True, more=start + size < len(payload))
            self._outbox.append((part, payload[start : start + size]))
        self._send_outbox()

    def _attach(self, attach: Attach) -> None:
        handle = attach.handle
        if self._links.get(handle):
            raise AmqpError(Condition.HANDLE_IN_USE, f"A link is attached at handle {handle}.")
        try:
            link: IncomingLink | OutgoingLink
            if attach.role == SENDER:
                link = IncomingLink(self, handle, self._nodes.target(_address(attach.target)))
            else:
                link = OutgoingLink(self, handle, self._nodes.source(_address(attach.source), attach))
        except AmqpError as error:
            self._links[handle] = None
            self._answer_attach(attach, refused=True)
            self._send(Detach(Uint(handle), closed=True, error=described_error(error)))
            return
        self._links[handle] = link
        self._answer_attach(attach, refused=False)
        link.opened()

    def _answer_attach(self, attach: Attach, *, refused: bool) -> None:
        """Attach our end; a refused link has no source, or no target, at our end."""
        from_client = attach.role == SENDER
        source = _terminus(_SOURCE_CODE, attach.source, _SOURCE_FIELDS)
        target = _terminus(_TARGET_CODE, attach.target, _TARGET_FIELDS)
        self._send(
            Attach(
                name=attach.name,
                handle=Uint(attach.handle),
                role=not attach.role,
                snd_settle_mode=Ubyte(attach.snd_settle_mode) if from_client else _SETTLED,
                rcv_settle_mode=_FIRST,
                source=None if refused and not from_client else source,
                target=None if refused and from_client else target,
                initial_delivery_count=None if from_client else Uint(0),
                max_message_size=Ulong(MAX_MESSAGE_SIZE),
            )
        )

    def _detached(self, detach: Detach) -> None:
        link = self._links.pop(detach.handle, None)
        if link:
            link.closed()
            self._send(Detach(Uint(detach.handle), closed=detach.closed))

    def _flow(self, flow: Flow) -> None:
        self._window = (flow.next_incoming_id or 0) + flow.incoming_window - self._next_outgoing_id
        if flow.handle is not None and (link := self._link(flow.handle)):
            link.on_flow(flow)
        self.pump()

    def _link(self, handle: int) -> IncomingLink | OutgoingLink | None:
        try:
            return self._links[handle]
        except KeyError:
            raise AmqpError(Condition.UNATTACHED_HANDLE, f"No link is attached at handle {handle}.") from None

    def _send_outbox(self) -> None:
        while self._outbox and self._window > 0:
            self._window -= 1
            self._next_outgoing_id += 1
            self._send(*self._outbox.popleft())

    def _send(self, performative: Performative, payload: bytes = b"") -> None:
        self._connection.send(self._channel, performative, payload)


def _address(terminus: Described | None) -> str:
    fields = terminus.value if terminus else None
    if not isinstance(fields, list) or not fields or not isinstance(fields[0], str):
        raise AmqpError(Condition.NOT_FOUND, "The link has no address.")
    return fields[0]


def _terminus(code: Ulong, given: Described | None, fields: int) -> Described:
    """Make a source or target with the client's address."""
    values: list[Any] = given.value if given and isinstance(given.value, list) else []
    return Described(code, [*values[:1], *[None] * (fields - len(values[:1]))])
