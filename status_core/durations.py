"""ISO 8601 durations of weeks, days, hours, minutes and seconds: lengths of time, not calendar arithmetic."""

import re
from datetime import timedelta
from typing import Final

_NUMBER: Final = r"(\d{1,9}(?:[.,]\d{1,6})?)"
_DURATION: Final = re.compile(
    rf"P(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.ASCII,
)


LONGEST: Final = timedelta(days=3650)
"""A longer wait is a mistake, and would overflow the calendar."""


def parse_duration(value: str) -> timedelta:
    """Parse a duration such as `PT15M`, `P1DT12H` or `PT90S`.

    Raises:
        ValueError: The text is not such a duration, or is longer than ten years. Years and months are refused: their
            length depends on the calendar.
    """
    match = _DURATION.fullmatch(value.strip().upper())
    if match is None or not any(match.groups()) or value.strip().upper().endswith("T"):
        raise ValueError(f"{value!r} is not an ISO 8601 duration of weeks, days, hours, minutes and seconds")
    weeks, days, hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in match.groups())
    seconds += 60 * (minutes + 60 * (hours + 24 * (days + 7 * weeks)))
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{value!r} is longer than {LONGEST.days} days")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Format a duration in whole hours or minutes if possible, else as `PT<seconds>S`."""
    seconds = value.total_seconds()
    for unit, length in (("H", 3600), ("M", 60)):
        if seconds and seconds % length == 0:
            return f"PT{seconds / length:.0f}{unit}"
    return f"PT{f'{seconds:.6f}'.rstrip('0').rstrip('.')}S"
