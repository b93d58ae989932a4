"""Makes lines printable on any terminal, whatever a row holds."""

import re
from datetime import UTC, datetime
from typing import Final

from status_core import clean

LINE_LIMIT: Final = 1000
"""Characters of a line."""
_COMMAND: Final = re.compile(r"##(?=\[|vso\[)|(?<![^\s])::(?=\w)")
"""What a pipeline would take for a command in its log: Azure's anywhere in a line, GitHub's at its start."""


def printable(text: str, limit: int = LINE_LIMIT) -> str:
    """Return a line in ASCII without control characters, cut to a length, that no pipeline takes for a command."""
    shown = clean(text, limit).encode("ascii", "backslashreplace").decode()
    return _COMMAND.sub(lambda match: " ".join(match[0]), shown)


def printable_time(time: datetime) -> str:
    """Format a time to the second, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
