"""The AMQP types, to bytes and back."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from local.eventhubs import AmqpError
from local.eventhubs.codec import Described, Reader, Symbol, Ubyte, Uint, Ulong, Ushort, encode

VALUES: list[Any] = [
    None,
    True,
    False,
    Ubyte(255),
    Ushort(65535),
    Uint(2**32 - 1),
    Ulong(7),
    Ulong(2**64 - 1),
    -(2**63),
    2.5,
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    UUID(int=5),
    b"",
    b"\xff" * 256,
    "é" * 200,
    Symbol("amqp:accepted:list"),
    [],
    [1, ["a", None], {"b": b"c"}],
    {Symbol("key"): [True]},
    ("0", "1"),
    (Symbol("PLAIN"), Symbol("MSSBCBS")),
    (),
    Described(Ulong(0x24), []),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_with_its_type(value: Any) -> None:
    reader = Reader(encode(value) + b"\x40")
    read = reader.value()
    assert read == value
    assert isinstance(read, int) or type(read) is type(value)
    assert reader.rest() == b"\x40"


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_passed_over_without_being_read(value: Any) -> None:
    reader = Reader(encode(value) + b"\x41")
    assert reader.skip() == encode(value)
    assert reader.value() is True


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"\x43", 0),
        (b"\x44", 0),
        (b"\x45", []),
        (b"\x51\xff", -1),
        (b"\x52\x80", 128),
        (b"\x54\x80", -128),
        (b"\x55\x80", -128),
        (b"\x56\x01", True),
        (b"\x61\xff\xfe", -2),
        (b"\x71\xff\xff\xff\xfe", -2),
        (b"\x72\x3f\x80\x00\x00", 1.0),
        (b"\x73\x00\x01\xf6\x00", "\U0001f600"),
        (b"\xc0\x03\x02\x41\x42", [True, False]),
        (b"\xc1\x05\x02\xa1\x01a\x40", {"a": None}),
        (b"\xe0\x04\x02\x50\x01\x02", (1, 2)),
        (b"\xb1\x00\x00\x00\x01a", "a"),
    ],
)
def test_short_and_foreign_forms_are_read(encoded: bytes, value: Any) -> None:
    assert Reader(encoded).value() == value


def test_a_value_that_is_cut_short_is_refused() -> None:
    encoded = encode([1, "text", {Symbol("a"): b"b"}, ("0", "1")])
    for length in range(len(encoded)):
        with pytest.raises(AmqpError, match="decode-error"):
            Reader(encoded[:length]).value()


def test_bytes_at_random_are_read_or_refused() -> None:
    chance = random.Random(1)  # noqa: S311 (no secret)
    encoded = encode([1, "text", {Symbol("a"): b"b", "c": 2.5}, ("0", "1"), Described(Ulong(1), [None])])
    refused = 0
    for _ in range(3000):
        changed = bytearray(encoded)
        for _ in range(3):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            Reader(bytes(changed)).value()
        except AmqpError:
            refused += 1
    assert 0 < refused < 3000


def test_a_value_that_amqp_has_no_type_for_is_an_error() -> None:
    with pytest.raises(TypeError, match="complex"):
        encode(1j)
