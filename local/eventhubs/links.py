"""The two kinds of link: one receives messages from a client, the other sends messages to it."""

import logging
from typing import Protocol

from local.eventhubs.errors import AmqpError, Condition
from local.eventhubs.frames import Flow, Transfer

MAX_MESSAGE_SIZE = 1024 * 1024
_CREDIT = 1000

logger = logging.getLogger(__name__)


class Frames(Protocol):
    """What a link sends through: the session."""

    @property
    def ready(self) -> bool:
        """Whether another message can be sent."""

    def detach(self, handle: int, error: AmqpError) -> None:
        """End a link with an error."""

    def settle(self, delivery_id: int, refusal: AmqpError | None) -> None:
        """Send the outcome of a delivery to the client."""

    def send_flow(self, handle: int, delivery_count: int, credit: int, *, drain: bool = False) -> None:
        """Send the state of a link to the client."""

    def send_message(self, handle: int, payload: bytes) -> None:
        """Send one message."""


class Target(Protocol):
    """Where the messages of a client go."""

    def receive(self, message_format: int, payload: bytes) -> None:
        """Take one delivery.

        Raises:
            AmqpError: The delivery is refused.
        """


class Source(Protocol):
    """Where the messages for a client come from."""

    def open(self, link: "OutgoingLink") -> None:
        """Let a link read. Its `pump` is called when there are new messages.

        Raises:
            AmqpError: The link is not allowed to read.
        """

    def next(self) -> bytes | None:
        """Return the next message, None if there is none yet."""

    def close(self, link: "OutgoingLink") -> None:
        """Drop a link."""


class IncomingLink:
    """Assemble the deliveries of a client, and pass them to a target."""

    def __init__(self, session: Frames, handle: int, target: Target) -> None:
        self._session = session
        self._handle = handle
        self._target = target
        self._first: Transfer | None = None
        self._payload = bytearray()
        self._delivery_count = 0
        self._credit = 0

    def opened(self) -> None:
        """Give the client credit to send, after the attach was answered."""
        self._credit = _CREDIT
        self._tell_state()

    def on_flow(self, flow: Flow) -> None:
        """Answer a client that requests the state of the link."""
        if flow.echo:
            self._tell_state()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Take one frame of a delivery. A delivery that is too large ends the link.

        Raises:
            AmqpError: The delivery has no id.
        """
        first = self._first or transfer
        if transfer.aborted:
            self._delivered()
            return
        self._payload += payload
        if len(self._payload) > MAX_MESSAGE_SIZE:
            size = f"more than {MAX_MESSAGE_SIZE} bytes"
            error = AmqpError(Condition.MESSAGE_SIZE_EXCEEDED, f"Delivery {first.delivery_id} has {size}.")
            self._session.detach(self._handle, error)
            return
        if transfer.more:
            self._first = first
            return
        if first.delivery_id is None:
            raise AmqpError(Condition.NOT_ALLOWED, "A delivery has no id.")
        received = bytes(self._payload)
        self._delivered()
        refusal: AmqpError | None = None
        try:
            self._target.receive(first.message_format or 0, received)
        except AmqpError as error:
            logger.info("Refusing delivery %s: %s", first.delivery_id, error)
            refusal = error
        if not (first.settled or transfer.settled):
            self._session.settle(first.delivery_id, refusal)

    def closed(self) -> None:
        """Do nothing: the link holds nothing."""

    def pump(self) -> None:
        """Do nothing: this link has nothing to send."""

    def _delivered(self) -> None:
        self._first = None
        self._payload.clear()
        self._delivery_count += 1
        self._credit -= 1
        if self._credit <= _CREDIT // 2:
            self._credit = _CREDIT
            self._tell_state()

    def _tell_state(self) -> None:
        self._session.send_flow(self._handle, self._delivery_count, self._credit)


class OutgoingLink:
    """Sends the messages of a source as far as the client's credit allows: settled, because readers have no state."""

    def __init__(self, session: Frames, handle: int, source: Source) -> None:
        self._session = session
        self._handle = handle
        self._source = source
        self._delivery_count = 0
        self._credit = 0
        source.open(self)

    def opened(self) -> None:
        """Do nothing after the attach was answered: it is up to the client to give credit."""

    def on_flow(self, flow: Flow) -> None:
        """Take the client's credit."""
        if flow.link_credit is not None:
            self._credit = (flow.delivery_count or 0) + flow.link_credit - self._delivery_count
        self.pump()
        if flow.drain and self._credit > 0:
            self._delivery_count += self._credit
            self._credit = 0
        if flow.echo or flow.drain:
            self._session.send_flow(self._handle, self._delivery_count, self._credit, drain=flow.drain)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Refuse a message from the client.

        Raises:
            AmqpError: Always.
        """
        size = len(payload)
        raise AmqpError(Condition.NOT_ALLOWED, f"{size} bytes were sent to a source, handle {transfer.handle}.")

    def pump(self) -> None:
        """Send all waiting messages that the credit allows."""
        while self._credit > 0 and self._session.ready and (payload := self._source.next()) is not None:
            self._credit -= 1
            self._delivery_count += 1
            self._session.send_message(self._handle, payload)

    def stolen(self, description: str) -> None:
        """End the link in favor of another reader."""
        self._session.detach(self._handle, AmqpError(Condition.LINK_STOLEN, description))

    def closed(self) -> None:
        """Remove the link from its source."""
        self._source.close(self)
