"""Total readers of JSON: they accept any value and never raise."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from status_core.blanking import blank_keys

EARLIEST: Final = 1970
"""The first year that table columns and clocks must support."""
LARGEST: Final = 2**63 - 1
"""The largest number that a table column holds."""
TEXT_LIMIT: Final = 256
"""Characters of a value that are kept in evidence."""

_NUMBER: Final = (int, float)
_NEVER: Final = "0001-01-01T"
_NOTHING: Final[Mapping[str, Any]] = {}

type Scalar = str | int | float | bool | None
"""A JSON value that is not an object or array."""


def as_object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one for any other value."""
    return value if isinstance(value, dict) else _NOTHING


def object_at(value: Any, *path: str) -> Mapping[str, Any]:
    """Return the JSON object at a path, or an empty one if there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else _NOTHING


def text(value: Any) -> str | None:
    """Return the value if it is a string."""
    return value if isinstance(value, str) else None


def integer(value: Any) -> int | None:
    """Return a whole number that a column can hold. `true` is not a number; `11.0` is 11, as in JSON."""
    if isinstance(value, bool) or not isinstance(value, _NUMBER) or not abs(value) <= LARGEST:
        return None
    return int(value) if value == int(value) else None


def word(value: Any) -> str | None:
    """Return a status word in lower case: agents ignore its case (Newtonsoft's StringEnumConverter)."""
    return value.strip().lower() if isinstance(value, str) else None


def timestamp(value: Any) -> datetime | None:
    """Parse an ISO 8601 time as UTC, to the microsecond. Returns None for "never" (year 1) and before 1970."""
    if not isinstance(value, str) or value.startswith(_NEVER):
        return None
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is not UTC:
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year >= EARLIEST else None


def is_never(value: Any) -> bool:
    """Whether a time is the hub's "never", in the year 1. An absent time is not."""
    return isinstance(value, str) and value.startswith(_NEVER)


def clean(value: str, limit: int) -> str:
    """Make a string safe for any row, log or terminal: one line, no control characters, at most `limit` long."""
    if len(value) <= limit and value.isprintable():
        return value
    kept = value[: limit + 1]
    if not kept.isprintable():
        kept = "".join(character if character.isprintable() else " " for character in kept)
    return kept if len(kept) <= limit else kept[: limit - 3] + "..."


def shown(value: str, limit: int) -> str:
    """Clean a string of a twin for a status, and blank anything that looks like a key."""
    return _shown(value, limit)


# The devices of a fleet run the same images. By itself, since `lru_cache` hides the types of its arguments.
@lru_cache(maxsize=1024)
def _shown(value: str, limit: int) -> str:
    return clean(blank_keys(value), limit)


def scalar(value: Any) -> Scalar:
    """Return a value as evidence shows it: objects and arrays by kind only, and keys blanked."""
    if isinstance(value, str):
        return shown(value, TEXT_LIMIT)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, _NUMBER):
        # NaN and infinity are not JSON, and no column holds a number of a thousand digits.
        return value if abs(value) <= LARGEST else "<number>"
    return "<object>" if isinstance(value, dict) else "<array>"
