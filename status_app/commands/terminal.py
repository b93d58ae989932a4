"""What a command prints: lines that any terminal can show, whatever a row holds."""

from datetime import UTC, datetime
from typing import Final

from status_core import clean

LINE_LIMIT: Final = 1000
"""Characters of a line."""


def printed(text: str, limit: int = LINE_LIMIT) -> str:
    """A line without control characters, in ASCII, cut where it is too long."""
    return clean(text, limit).encode("ascii", "backslashreplace").decode()


def printed_time(time: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
