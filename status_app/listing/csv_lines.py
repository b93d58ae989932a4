"""Lists as CSV (RFC 4180) that a spreadsheet opens without running what a name holds."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from status_app.listing.columns import Item, ListColumns, cell

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""With what a formula begins in a spreadsheet."""


def csv_lines(columns: ListColumns, items: Iterable[Item], *, heading: bool = True) -> str:
    """A list as CSV: a line of headings, and a line for each item."""
    text = io.StringIO()
    writer = csv.writer(text)
    if heading:
        writer.writerow(column.name for column in columns)
    writer.writerows([_safe(item.get(column.name)) for column in columns] for item in items)
    return text.getvalue()


def _safe(value: Any) -> str:
    """A cell; a text that would be a formula has an apostrophe in front. A number is none."""
    text = cell(value)
    is_number = isinstance(value, int | float)
    return f"'{text}" if text.startswith(_FORMULA) and not is_number else text
