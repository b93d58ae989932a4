"""What a service asks for by the header Retry-After."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(header: str) -> float:
    """The seconds that a Retry-After header asks to wait: it is a number, or a date.

    Less than 0 where the date is past; 0 where it is neither.
    """
    if header.isdecimal():
        return float(header)
    try:
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):  # no date, or one without a zone
        return 0.0
