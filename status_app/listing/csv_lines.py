"""Lists as CSV (RFC 4180). A spreadsheet can open them without running a name as a formula."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from status_app.listing.columns import Item, ListColumns, cell

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a formula starts with in a spreadsheet."""


def csv_lines(columns: ListColumns, items: Iterable[Item], *, heading: bool = True) -> str:
    """Format a list as CSV: a line of headings, and a line for each item."""
    text = io.StringIO()
    writer = csv.writer(text)
    if heading:
        writer.writerow(column.name for column in columns)
    writer.writerows([_safe(item.get(column.name)) for column in columns] for item in items)
    return text.getvalue()


def _safe(value: Any) -> str:
    """Format a cell. A text that would be a formula gets an apostrophe in front; a number is no formula."""
    text = cell(value)
    is_number = isinstance(value, int | float)
    return f"'{text}" if text.startswith(_FORMULA) and not is_number else text
