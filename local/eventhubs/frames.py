"""AMQP 1.0 frames and the performatives in them (parts 2 and 5 of the specification)."""

import struct
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from local.eventhubs.codec import Described, Reader, Symbol, Ubyte, Uint, Ulong, Ushort, encode
from local.eventhubs.errors import AmqpError, Condition

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
AMQP_FRAME, SASL_FRAME = 0, 1
FRAME_HEADER_SIZE = 8
EMPTY_FRAME = struct.pack(">IBBH", FRAME_HEADER_SIZE, 2, AMQP_FRAME, 0)

SENDER, RECEIVER = False, True
"""The values of `role`."""

_UINT_MAX = 0xFFFFFFFF


@dataclass(slots=True)
class Performative:
    """The command in a frame: a described list of fields, in the order of the specification.

    Fields that the peer omits or sets to null have their defaults.
    """

    code: ClassVar[int]

    def encode(self) -> bytes:
        """Encode the performative with all its fields."""
        return encode(Described(Ulong(self.code), [getattr(self, name) for name in _FIELD_TYPES[self.code]]))

    @classmethod
    def from_fields(cls, values: list[Any]) -> Self:
        """Make a performative from its fields. The last ones can be missing.

        Raises:
            AmqpError: A field is missing, has another type, or is one too many.
        """
        types = _FIELD_TYPES[cls.code]
        if len(values) > len(types):
            raise AmqpError(Condition.DECODE_ERROR, f"{cls.__name__} has {len(values)} fields.")
        given = {
            name: value
            for name, value in zip(types, values, strict=False)
            if value is not None or NoneType in types[name]
        }
        for name, value in given.items():
            if not isinstance(value, types[name]):
                raise AmqpError(Condition.DECODE_ERROR, f"{cls.__name__}.{name} is a {type(value).__name__}.")
        try:
            return cls(**given)
        except TypeError as error:  # a mandatory field
            raise AmqpError(Condition.DECODE_ERROR, f"{cls.__name__}: {error}.") from error


@dataclass(slots=True)
class Open(Performative):
    """Opens a connection; `idle_time_out` is in milliseconds."""

    code = 0x10
    container_id: str
    hostname: str | None = None
    max_frame_size: int = Uint(_UINT_MAX)
    channel_max: int = Ushort(0xFFFF)
    idle_time_out: int | None = None
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Begin(Performative):
    """Begins a session."""

    code = 0x11
    remote_channel: int | None
    next_outgoing_id: int
    incoming_window: int
    outgoing_window: int
    handle_max: int = Uint(_UINT_MAX)
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Attach(Performative):
    """Attaches a link to a session; `role` is the sender's."""

    code = 0x12
    name: str
    handle: int
    role: bool
    snd_settle_mode: int = Ubyte(2)
    rcv_settle_mode: int = Ubyte(0)
    source: Described | None = None
    target: Described | None = None
    unsettled: dict[Any, Any] | None = None
    incomplete_unsettled: bool = False
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Flow(Performative):
    """Reports the state of a session and, with a handle, of a link."""

    code = 0x13
    next_incoming_id: int | None
    incoming_window: int
    next_outgoing_id: int
    outgoing_window: int
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool = False
    echo: bool = False
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Transfer(Performative):
    """Carries a message or a part of one: the payload after the performative."""

    code = 0x14
    handle: int
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool = False
    more: bool = False
    rcv_settle_mode: int | None = None
    state: Described | None = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False


@dataclass(slots=True)
class Disposition(Performative):
    """Reports the outcome of the deliveries `first` to `last`."""

    code = 0x15
    role: bool
    first: int
    last: int | None = None
    settled: bool = False
    state: Described | None = None
    batchable: bool = False


@dataclass(slots=True)
class Detach(Performative):
    """Detaches a link."""

    code = 0x16
    handle: int
    closed: bool = False
    error: Described | None = None


@dataclass(slots=True)
class End(Performative):
    """Ends a session."""

    code = 0x17
    error: Described | None = None


@dataclass(slots=True)
class Close(Performative):
    """Closes a connection."""

    code = 0x18
    error: Described | None = None


@dataclass(slots=True)
class SaslMechanisms(Performative):
    """Offers ways to log in."""

    code = 0x40
    mechanisms: tuple[Symbol, ...]


@dataclass(slots=True)
class SaslInit(Performative):
    """Chooses a way to log in."""

    code = 0x41
    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(slots=True)
class SaslOutcome(Performative):
    """Reports the outcome of the login: code 0 is a success."""

    code = 0x44
    outcome: int
    additional_data: bytes | None = None


def _field_types(performative: type[Performative]) -> dict[str, tuple[type, ...]]:
    """Return the names of the fields in order, each with the classes its values can have."""
    hints = get_type_hints(performative)
    return {field.name: _classes(hints[field.name]) for field in fields(performative)}


def _classes(hint: Any) -> tuple[type, ...]:
    if hint is Any:
        return (object,)
    return tuple(get_origin(arg) or arg for arg in (get_args(hint) if isinstance(hint, UnionType) else (hint,)))


_PERFORMATIVES: dict[int, type[Performative]] = {
    performative.code: performative
    for performative in (
        *(Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close),
        *(SaslMechanisms, SaslInit, SaslOutcome),
    )
}
_FIELD_TYPES = {code: _field_types(performative) for code, performative in _PERFORMATIVES.items()}


def accepted() -> Described:
    """Return the outcome of an accepted delivery."""
    return Described(Ulong(0x24), [])


def rejected(error: AmqpError) -> Described:
    """Return the outcome of a rejected delivery."""
    return Described(Ulong(0x25), [described_error(error)])


def described_error(error: AmqpError) -> Described:
    """Return the error as it is written in a frame."""
    return Described(Ulong(0x1D), [Symbol(error.condition), error.description, None])


def frame(frame_type: int, channel: int, performative: Performative, payload: bytes = b"") -> bytes:
    """Encode a whole frame."""
    body = performative.encode()
    size = FRAME_HEADER_SIZE + len(body) + len(payload)
    return struct.pack(">IBBH", size, 2, frame_type, channel) + body + payload


def read_performative(body: bytes) -> tuple[Performative, bytes]:
    """Read the performative of a frame's body, and the payload after it.

    Raises:
        AmqpError: The body does not start with a known performative.
    """
    reader = Reader(body)
    described = reader.value()
    if not isinstance(described, Described) or not isinstance(described.value, list):
        raise AmqpError(Condition.DECODE_ERROR, "A frame does not start with a performative.")
    code = described.descriptor
    if not isinstance(code, int) or code not in _PERFORMATIVES:
        raise AmqpError(Condition.DECODE_ERROR, f"{code!r} is not a performative.")
    return _PERFORMATIVES[code].from_fields(described.value), reader.rest()
