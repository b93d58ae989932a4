"""What a command prints: lines that any terminal can show, whatever a row holds."""

import re
from datetime import UTC, datetime
from typing import Final

from status_core import clean

LINE_LIMIT: Final = 1000
"""Characters of a line."""
_COMMAND: Final = re.compile(r"##(?=\[|vso\[)|(?<![^\s])::(?=\w)")
"""Where a pipeline would take a line of a log for a command: Azure's anywhere in it, GitHub's at its beginning."""


def printed(text: str, limit: int = LINE_LIMIT) -> str:
    """A line without control characters, in ASCII, cut where it is too long, and no command to a pipeline."""
    shown = clean(text, limit).encode("ascii", "backslashreplace").decode()
    return _COMMAND.sub(lambda match: " ".join(match[0]), shown)


def printed_time(time: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
