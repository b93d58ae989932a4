"""Readers of JSON: any value in any place gives an answer."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from status_core.reading import LARGEST, clean, integer, object_at, scalar, text, timestamp, word


def test_a_path_through_anything_but_objects_reads_as_an_empty_object() -> None:
    assert object_at({"a": {"b": 1}}, "a") == {"b": 1}
    for value in (None, 5, "a", [{"a": 1}], {"a": None}, {"a": [1]}, {"a": "text"}):
        assert object_at(value, "a") == {}
        assert object_at(value, "a", "b") == {}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (11, 11),
        (0, 0),
        (-3, -3),
        (11.0, 11),
        (LARGEST, LARGEST),
        (LARGEST + 1, None),
        (-LARGEST - 1, None),
        pytest.param(10**10_000, None, id="ten thousand digits"),
        (11.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (1e300, None),
        (True, None),
        ("11", None),
        (None, None),
        ([], None),
        ({}, None),
    ],
)
def test_a_whole_number_is_one_that_a_column_holds(value: Any, read: int | None) -> None:
    assert read == integer(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2026-01-01T09:00:00.1234567Z", datetime(2026, 1, 1, 9, 0, 0, 123456, tzinfo=UTC)),
        ("2026-01-01T09:00:00", datetime(2026, 1, 1, 9, tzinfo=UTC)),
        ("2026-01-01T11:00:00+02:00", datetime(2026, 1, 1, 9, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("1969-12-31T23:59:59Z", None),
        ("yesterday", None),
        ("", None),
        ("2026-01-01T09:00:00\ud800", None),
        ("\ud800", None),
        (1767258000, None),
        (None, None),
        ({}, None),
    ],
)
def test_a_time_is_in_utc_and_the_hubs_never_is_none(value: Any, read: datetime | None) -> None:
    assert read == timestamp(value)


def test_a_time_is_in_utc_whatever_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as machine:
        machine.setenv("TZ", "JST-9")
        time.tzset()
        try:
            for written in ("2026-01-01T09:00:00", "2026-01-01T11:00:00+02:00"):
                read = timestamp(written)
                assert read is not None
                assert read.isoformat() == "2026-01-01T09:00:00+00:00"
        finally:
            machine.undo()
            time.tzset()


def test_a_word_is_folded_and_anything_but_text_is_none() -> None:
    assert word(" RUNNING\n") == "running"
    assert word("") == ""
    assert word(200) is None
    assert text("as it stands ") == "as it stands "
    assert text(["text"]) is None


def test_a_cleaned_text_is_one_printable_line_no_longer_than_its_limit() -> None:
    assert clean("a\r\nb\x00c\x1b[31m\ud800\u2028d", 40) == "a  b c [31m  d"
    assert clean("z\u00fcrich \u65e5\u672c", 40) == "z\u00fcrich \u65e5\u672c"
    assert clean("x" * 10, 10) == "x" * 10
    assert clean("x" * 9 + "\n", 10) == "x" * 9 + " "
    assert clean("x" * 11, 10) == "x" * 7 + "..."


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (200, 200),
        (1.5, 1.5),
        (LARGEST, LARGEST),
        (LARGEST + 1, "<number>"),
        ("200\n", "200 "),
        ("x" * 300, "x" * 253 + "..."),
        pytest.param(10**10_000, "<number>", id="ten thousand digits"),
        (float("nan"), "<number>"),
        (float("-inf"), "<number>"),
        ({"password": "hunter2"}, "<object>"),
        (["hunter2"], "<array>"),
    ],
)
def test_evidence_shows_a_scalar_and_only_the_kind_of_anything_else(value: Any, shown: Any) -> None:
    assert shown == scalar(value)
    assert type(shown) is type(scalar(value))
