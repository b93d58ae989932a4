"""How values are stored in columns: what the SDK writes, what is read back, and what the API shows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from azure.data.tables import EdmType, EntityProperty

from status_core import Finding, format_duration, parse_duration

FINDINGS_SIZE: Final = 8_000
"""Characters of the JSON of findings."""
TEXT_LIMIT: Final = 1024
"""Characters of a name in a column: keys of a twin have no more bytes."""
UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError)
"""Raised for rows that lack a column, or hold something else in it."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Writes a value to a column, reads it back, and shows it. A missing column is read and shown as None.

    Attributes:
        write: Converts a value for the SDK.
        read: Converts what the SDK read back to the value.
        show: Converts what the SDK read to JSON.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    show: Callable[[Any], Any]


def long(value: int | None) -> EntityProperty | None:
    """Convert a whole number for a 64-bit column."""
    return None if value is None else EntityProperty(value, EdmType.INT64)


def read_number(value: Any) -> int | None:
    """Read a whole number from a 32-bit or 64-bit column."""
    number: int | None = value.value if isinstance(value, EntityProperty) else value
    return number


def read_time(value: datetime) -> datetime:
    """Convert the SDK's datetime to a plain one."""
    if type(value) is datetime:  # this process has written it
        return value
    return datetime.fromtimestamp(value.timestamp(), UTC).replace(microsecond=value.microsecond)


def show_time(time: datetime) -> str:
    """Format a time in UTC, always with six fractional digits (RFC 3339)."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _same(value: Any) -> Any:
    return value


def _maybe(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _names(names: Any) -> str:
    return json.dumps(list(names), ensure_ascii=False)


def _name(name: str) -> str:
    return name.encode("utf-8", "replace").decode()[:TEXT_LIMIT]


def _findings(findings: Any) -> str | None:
    kept = [json.dumps({"path": item.path, "problem": item.problem}, ensure_ascii=False) for item in findings]
    while sum(len(text) + 2 for text in kept) > FINDINGS_SIZE:
        kept.pop()
    return f"[{', '.join(kept)}]" if kept else None


def _list(value: str | None) -> list[Any]:
    found: list[Any] = [] if value is None else json.loads(value)
    return found


TEXT: Final = Codec(str, _same, _same)
"""A text, or a word of a closed set."""
NAME: Final = Codec(_name, _same, _same)
"""The name of a module, which may contain unpaired surrogates."""
TIME: Final = Codec(_same, _maybe(read_time), _maybe(show_time))
"""A time in UTC."""
LONG: Final = Codec(long, read_number, read_number)
"""A whole number of 64 bits."""
NUMBER: Final = Codec(_same, read_number, read_number)
"""A whole number of 32 bits, or seconds with a fraction."""
BOOLEAN: Final = Codec(_same, _same, _same)
PERIOD: Final = Codec(format_duration, _maybe(lru_cache(parse_duration)), _same)
"""A length of time, as an ISO 8601 duration."""
NAMES: Final = Codec(_names, lambda value: tuple(_list(value)), _list)
"""Names, as a JSON array."""
TIMES: Final = Codec(
    lambda times: json.dumps([time.isoformat() for time in times]),
    lambda value: tuple(map(datetime.fromisoformat, _list(value))),
    _list,
)
"""Times in UTC, as a JSON array."""
FINDINGS: Final = Codec(_findings, lambda value: tuple(Finding(**item) for item in _list(value)), _list)
"""Lint findings as a JSON array of objects, as many as a row should hold."""
JSON_TEXT: Final = Codec(str, _maybe(json.loads), _maybe(json.loads))
"""A value that already is JSON."""
BINARY: Final = Codec(_same, _same, _same)
"""Bytes."""
