"""The AMQP 1.0 type system (part 1 of the specification): bytes to Python values and back.

The SDK's own decoder reads the fields of a frame by position and accepts no short form of a list there. So lists
and maps are always written in their long form, with all fields.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from local.eventhubs.errors import AmqpError, Condition

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SHORT = 0xFF  # the longest content with a length of one byte
_DESCRIBED = 0x00
_NULL = 0x40
_EMPTY_LIST = 0x45


class Symbol(str):
    """A name from the vocabulary of a protocol. A plain `str` is an AMQP string."""

    __slots__ = ()


class Ubyte(int):
    """An unsigned integer of 8 bits; a plain `int` is an AMQP long."""


class Ushort(int):
    """An unsigned integer of 16 bits."""


class Uint(int):
    """An unsigned integer of 32 bits."""


class Ulong(int):
    """An unsigned integer of 64 bits."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor.

    Attributes:
        descriptor: A `Ulong` code or a `Symbol`.
        value: The described value.
    """

    descriptor: object
    value: Any


def _timestamp(data: bytes) -> datetime:
    return _EPOCH + int.from_bytes(data, signed=True) * _MILLISECOND


def _signed(data: bytes) -> int:
    return int.from_bytes(data, signed=True)


# By constructor. Its upper half gives the number of bytes that follow.
_SCALARS: dict[int, Callable[[bytes], object]] = {
    _NULL: lambda _: None,
    0x41: lambda _: True,
    0x42: lambda _: False,
    0x43: lambda _: 0,
    0x44: lambda _: Ulong(0),
    0x50: int.from_bytes,
    0x51: _signed,
    0x52: int.from_bytes,
    0x53: lambda data: Ulong(int.from_bytes(data)),
    0x54: _signed,
    0x55: _signed,
    0x56: any,
    0x60: int.from_bytes,
    0x61: _signed,
    0x70: int.from_bytes,
    0x71: _signed,
    0x72: lambda data: struct.unpack(">f", data)[0],
    0x73: lambda data: chr(int.from_bytes(data)),
    0x74: bytes,  # a decimal, like 0x84 and 0x94: kept as bytes
    0x80: lambda data: Ulong(int.from_bytes(data)),
    0x81: _signed,
    0x82: lambda data: struct.unpack(">d", data)[0],
    0x83: _timestamp,
    0x84: bytes,
    0x94: bytes,
    0x98: lambda data: UUID(bytes=data),
    0xA0: bytes,
    0xA1: lambda data: str(data, "utf-8"),
    0xA3: lambda data: Symbol(data, "ascii"),
    0xB0: bytes,
    0xB1: lambda data: str(data, "utf-8"),
    0xB3: lambda data: Symbol(data, "ascii"),
}
_FIXED_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_LISTS, _MAPS, _ARRAYS = {_EMPTY_LIST, 0xC0, 0xD0}, {0xC1, 0xD1}, {0xE0, 0xF0}


class Reader:
    """Read encoded values one after the other.

    Every method raises AmqpError (amqp:decode-error) if the bytes are not valid AMQP.

    Attributes:
        data: The encoded bytes.
        at: The position of the next value.
    """

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def rest(self) -> bytes:
        """Return all bytes that are still unread."""
        return self.data[self.at :]

    def value(self) -> Any:
        """Read the next value: lists are lists, maps dicts, arrays tuples, and timestamps have a time zone."""
        constructor = self._byte()
        if constructor == _DESCRIBED:
            return Described(self.value(), self.value())
        return self._content(constructor)

    def alike(self, count: int) -> tuple[Any, ...]:
        """Read `count` values that share one constructor, as in an array."""
        constructor = self._byte() if count else _NULL
        return tuple(self._content(constructor) for _ in range(count))

    def descriptor(self) -> object:
        """Read the descriptor of the next value. The value itself is next then."""
        if self._byte() != _DESCRIBED:
            raise AmqpError(Condition.DECODE_ERROR, "A value has no descriptor.")
        return self.value()

    def skip(self) -> bytes:
        """Return the next value, still encoded."""
        start = self.at
        self._pass_over()
        return self.data[start : self.at]

    def items(self) -> Iterator[tuple[Any, bytes]]:
        """Read the next value, a map; yield its keys and its encoded values."""
        constructor = self._byte()
        if constructor not in _MAPS:
            raise AmqpError(Condition.DECODE_ERROR, f"Constructor 0x{constructor:02x} is not a map.")
        count, elements = self._elements(constructor)
        for _ in range(count // 2):
            yield elements.value(), elements.skip()

    def _pass_over(self) -> None:
        constructor = self._byte()
        if constructor == _DESCRIBED:
            self._pass_over()
            self._pass_over()
        else:
            self._raw(constructor)

    def _content(self, constructor: int) -> Any:
        if constructor in _SCALARS:
            try:
                return _SCALARS[constructor](self._raw(constructor))
            except (ValueError, OverflowError) as error:
                raise AmqpError(Condition.DECODE_ERROR, f"Bad content of 0x{constructor:02x}: {error}.") from error
        if constructor in _LISTS:
            count, elements = self._elements(constructor)
            return [elements.value() for _ in range(count)]
        if constructor in _MAPS:
            count, elements = self._elements(constructor)
            try:
                return {elements.value(): elements.value() for _ in range(count // 2)}
            except TypeError as error:
                raise AmqpError(Condition.DECODE_ERROR, "A key of a map is not a simple value.") from error
        if constructor in _ARRAYS:
            count, elements = self._elements(constructor)
            return elements.alike(count)
        raise AmqpError(Condition.DECODE_ERROR, f"Constructor 0x{constructor:02x} is not supported.")

    def _elements(self, constructor: int) -> "tuple[int, Reader]":
        if constructor == _EMPTY_LIST:
            return 0, Reader(b"")
        content = Reader(self._raw(constructor))
        count = int.from_bytes(content._take(_size_width(constructor)))
        if count > len(content.data):  # each has at least one byte
            raise AmqpError(Condition.DECODE_ERROR, f"{count} elements in {len(content.data)} bytes.")
        return count, content

    def _raw(self, constructor: int) -> bytes:
        category = constructor >> 4
        if category in _FIXED_WIDTHS:
            return self._take(_FIXED_WIDTHS[category])
        if category < 0xA:  # noqa: PLR2004 - categories 0 to 3 do not exist
            raise AmqpError(Condition.DECODE_ERROR, f"Constructor 0x{constructor:02x} does not exist.")
        return self._take(int.from_bytes(self._take(_size_width(constructor))))

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.data):
            raise AmqpError(Condition.DECODE_ERROR, f"{end - len(self.data)} bytes are missing.")
        taken = self.data[self.at : end]
        self.at = end
        return taken


def _size_width(constructor: int) -> int:
    return 4 if constructor & 0x10 else 1


def encode(value: object) -> bytes:
    """Encode a value of Python as its AMQP type.

    Raises:
        TypeError: No AMQP type matches the type of the value.
    """
    try:
        encoder = _ENCODERS[type(value)]
    except KeyError:
        raise TypeError(f"No AMQP type matches {type(value).__name__}.") from None
    return encoder(value)


def encode_map(items: Iterator[tuple[object, bytes]]) -> bytes:
    """Encode a map whose values are encoded already."""
    parts = [part for key, value in items for part in (encode(key), value)]
    return _compound(0xD1, parts)


def _compound(constructor: int, parts: list[bytes]) -> bytes:
    content = b"".join(parts)
    return struct.pack(">BII", constructor, len(content) + 4, len(parts)) + content


def _variable(short: int, content: bytes) -> bytes:
    if len(content) <= _SHORT:
        return bytes((short, len(content))) + content
    return struct.pack(">BI", short + 0x10, len(content)) + content


def _array(values: tuple[str, ...]) -> bytes:
    """Encode an array of names, the only kind that is needed."""
    element = 0xB3 if all(isinstance(value, Symbol) for value in values) else 0xB1
    encoded = [value.encode() for value in values]
    content = b"".join(struct.pack(">I", len(value)) + value for value in encoded)
    return struct.pack(">BIIB", 0xF0, len(content) + 5, len(values), element) + content


def _ulong(value: int) -> bytes:
    return struct.pack(">BB", 0x53, value) if value <= _SHORT else struct.pack(">BQ", 0x80, value)


# No annotation can say that each encoder takes values of its key's type.
_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    Ubyte: lambda value: struct.pack(">BB", 0x50, value),
    Ushort: lambda value: struct.pack(">BH", 0x60, value),
    Uint: lambda value: struct.pack(">BI", 0x70, value),
    Ulong: _ulong,
    int: lambda value: struct.pack(">Bq", 0x81, value),
    float: lambda value: struct.pack(">Bd", 0x82, value),
    datetime: lambda value: struct.pack(">Bq", 0x83, (value - _EPOCH) // _MILLISECOND),
    UUID: lambda value: b"\x98" + value.bytes,
    bytes: lambda value: _variable(0xA0, value),
    str: lambda value: _variable(0xA1, value.encode()),
    Symbol: lambda value: _variable(0xA3, value.encode("ascii")),
    list: lambda value: _compound(0xD0, [encode(element) for element in value]),
    dict: lambda value: encode_map((key, encode(element)) for key, element in value.items()),
    tuple: _array,
    Described: lambda value: b"\0" + encode(value.descriptor) + encode(value.value),
}
