"""One client's connection: protocol headers, login, heartbeats, and the routing of frames to sessions."""

import asyncio
import logging
import socket
import struct

from local.eventhubs.codec import Symbol, Ubyte, Uint, Ushort
from local.eventhubs.errors import AmqpError, Condition
from local.eventhubs.frames import (
    AMQP_FRAME,
    AMQP_HEADER,
    EMPTY_FRAME,
    FRAME_HEADER_SIZE,
    SASL_FRAME,
    SASL_HEADER,
    Begin,
    Close,
    End,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    described_error,
    frame,
    read_performative,
)
from local.eventhubs.nodes import Broker
from local.eventhubs.session import WINDOW, Session

MIN_FRAME_SIZE, MAX_FRAME_SIZE = 512, 64 * 1024
_MECHANISMS = (Symbol("MSSBCBS"), Symbol("ANONYMOUS"), Symbol("PLAIN"))
_NO_LINGER = struct.pack("ii", 1, 0)
_OK, _BAD_LOGIN = Ubyte(0), Ubyte(1)

logger = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """An AMQP 1.0 connection with one client.

    A client that breaks the protocol gets an error and is disconnected. Other connections are not affected.

    Attributes:
        max_frame_size: The largest frame that the client accepts.
        writable: Whether the client keeps up with reading.
    """

    def __init__(self, broker: Broker, connections: "set[Connection]") -> None:
        """Prepare for a client; while it is connected, `connections` holds its connection."""
        self._broker = broker
        self._connections = connections
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._header_expected = True
        self._open = False
        self._sessions: dict[int, Session | None] = {}  # None: ended
        self._heartbeat: asyncio.TimerHandle | None = None
        self.max_frame_size = MAX_FRAME_SIZE
        self.writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle a new client."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker: a stream server's is
        self._transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Process all complete frames."""
        self._received += data
        try:
            while not self._transport.is_closing() and self._take_next():
                pass
        except AmqpError as error:
            logger.warning("Disconnecting a client that broke the protocol: %s", error)
            self._close(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """End all sessions."""
        logger.debug("A connection ended: %s", exc or "closed")
        self._connections.discard(self)
        if self._heartbeat:
            self._heartbeat.cancel()
        for session in filter(None, self._sessions.values()):
            session.end()

    def pause_writing(self) -> None:
        """Stop sending: the client does not keep up."""
        self.writable = False

    def resume_writing(self) -> None:
        """Resume sending: the client has caught up."""
        self.writable = True
        for session in filter(None, self._sessions.values()):
            session.pump()

    def send(self, channel: int, performative: Performative, payload: bytes = b"") -> None:
        """Send one frame."""
        self._transport.write(frame(AMQP_FRAME, channel, performative, payload))

    def reset(self) -> None:
        """Cut the connection so that the client sees a reset, not an orderly end."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def _take_next(self) -> bool:
        """Process the next header or frame; False if it is not complete yet."""
        if len(self._received) < FRAME_HEADER_SIZE:
            return False
        if self._header_expected:
            self._answer_header(self._take(len(AMQP_HEADER)))
            return True
        size = int.from_bytes(self._received[:4])
        if not FRAME_HEADER_SIZE <= size <= MAX_FRAME_SIZE:
            raise AmqpError(Condition.FRAMING_ERROR, f"A frame claims to have {size} bytes.")
        if len(self._received) < size:
            return False
        self._on_frame(self._take(size))
        return True

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _answer_header(self, header: bytes) -> None:
        self._header_expected = False
        if header == SASL_HEADER:
            self._transport.write(SASL_HEADER + frame(SASL_FRAME, 0, SaslMechanisms(_MECHANISMS)))
        else:
            self._transport.write(AMQP_HEADER)
            if header != AMQP_HEADER:
                raise AmqpError(Condition.FRAMING_ERROR, f"{header!r} is not the header of a supported protocol.")

    def _on_frame(self, data: bytes) -> None:
        body_start, frame_type, channel = data[4] * 4, data[5], int.from_bytes(data[6:8])
        if not FRAME_HEADER_SIZE <= body_start <= len(data):
            raise AmqpError(Condition.FRAMING_ERROR, f"The body of a frame begins at byte {body_start}.")
        if body_start == len(data):
            return  # a heartbeat
        performative, payload = read_performative(data[body_start:])
        if frame_type == SASL_FRAME:
            self._log_in(performative)
        else:
            self._on_performative(channel, performative, payload)

    def _log_in(self, performative: Performative) -> None:
        if not isinstance(performative, SaslInit):
            raise AmqpError(Condition.NOT_ALLOWED, f"{type(performative).__name__} cannot start a login.")
        known = performative.mechanism in _MECHANISMS
        self._transport.write(frame(SASL_FRAME, 0, SaslOutcome(_OK if known else _BAD_LOGIN)))
        if not known:
            self._transport.close()
        self._header_expected = True

    def _on_performative(self, channel: int, performative: Performative, payload: bytes) -> None:
        match performative:
            case Open():
                self._on_open(performative)
            case Begin():
                if self._sessions.get(channel):
                    raise AmqpError(Condition.NOT_ALLOWED, f"Channel {channel} has a session already.")
                self._sessions[channel] = Session(channel, performative, self, self._broker)
                self.send(channel, Begin(Ushort(channel), Uint(0), WINDOW, WINDOW))
            case Close():
                self._close()
            case _:
                self._on_session_performative(channel, performative, payload)

    def _on_session_performative(self, channel: int, performative: Performative, payload: bytes) -> None:
        if channel not in self._sessions:
            raise AmqpError(Condition.NOT_ALLOWED, f"Channel {channel} has no session.")
        session = self._sessions[channel]
        if session is None:
            return  # the SDK for Python detaches the links of a session after it has ended it
        if isinstance(performative, End):
            session.end()
            self._sessions[channel] = None
            self.send(channel, End())
        else:
            session.receive(performative, payload)

    def _on_open(self, opened: Open) -> None:
        if opened.max_frame_size < MIN_FRAME_SIZE:
            raise AmqpError(Condition.NOT_ALLOWED, f"Frames of {opened.max_frame_size} bytes are too small.")
        self._open = True
        self.max_frame_size = min(opened.max_frame_size, MAX_FRAME_SIZE)
        self.send(0, Open("eventhubs-stand-in", max_frame_size=Uint(MAX_FRAME_SIZE)))
        if opened.idle_time_out:
            self._beat(opened.idle_time_out / 1000 / 2)

    def _beat(self, interval: float) -> None:
        """Send an empty frame at an interval, or the client would consider the connection dead."""
        self._transport.write(EMPTY_FRAME)
        self._heartbeat = asyncio.get_running_loop().call_later(interval, self._beat, interval)

    def _close(self, error: AmqpError | None = None) -> None:
        if self._open:
            self.send(0, Close(described_error(error) if error else None))
        self._transport.close()
