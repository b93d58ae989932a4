"""How a value is kept in a column: what the SDK writes, what is read back, and what the API shows of it."""

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
"""Characters of a name in a column: a twin's keys have no more bytes."""
UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError)
"""What a row raises that has no such column, or holds something else in it."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Writes a value to a column, reads it back, and shows it. A column that is left out is read and shown as None.

    Attributes:
        write: What the SDK writes of a value.
        read: The value of what the SDK reads.
        show: What JSON says of what the SDK reads.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    show: Callable[[Any], Any]


def long(value: int | None) -> EntityProperty | None:
    """A whole number as a column of 64 bits."""
    return None if value is None else EntityProperty(value, EdmType.INT64)


def read_number(value: Any) -> int | None:
    """A whole number, as a column of 32 or of 64 bits gives it."""
    number: int | None = value.value if isinstance(value, EntityProperty) else value
    return number


def read_time(value: datetime) -> datetime:
    """A plain datetime of one that the SDK has dressed."""
    return datetime.fromtimestamp(value.timestamp(), UTC).replace(microsecond=value.microsecond)


def show_time(time: datetime) -> str:
    """A time in UTC, always with six digits of a second (RFC 3339)."""
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
"""The name of a module, of which a twin may hold half a surrogate pair."""
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
"""What lint found, as a JSON array of objects; as many as a row should hold."""
JSON_TEXT: Final = Codec(str, _maybe(json.loads), _maybe(json.loads))
"""A value that is JSON already."""
BINARY: Final = Codec(_same, _same, _same)
"""Bytes."""
