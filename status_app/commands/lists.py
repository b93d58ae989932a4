"""The commands `stuck`, `devices`, `deployments`, `causes` and `images`: print a list as a table, JSON or CSV."""

import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, TextIO

from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import Answer, FleetLists
from status_app.commands.terminal import printable
from status_app.listing.columns import CAUSES, DEPLOYMENTS, DEVICES, IMAGES, ListColumn, ListColumns, cell
from status_app.listing.csv_lines import csv_lines

COLUMNS: Final[Mapping[str, ListColumns]] = {
    "devices": DEVICES,
    "deployments": DEPLOYMENTS,
    "causes": CAUSES,
    "images": IMAGES,
}
"""The columns of each list, by its name in the API."""
WIDTH: Final = 160
"""Characters of a line if the output is not a terminal."""
_WIDEST: Final = 60
"""Characters of a cell, except in the last column."""
_GAP: Final = "  "


class Form(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    """For a person."""
    JSON = "json"
    """One JSON array of the API's items."""
    CSV = "csv"
    """For a spreadsheet."""


async def print_list(
    fleet: FleetLists, name: str, words: Mapping[str, str], out: TextIO, form: Form = Form.TABLE
) -> ExitCode:
    """Print a whole list.

    Args:
        fleet: The source.
        name: The list, by its name in the API.
        words: The API's query parameters.
        out: Where to print.
        form: How to print it.
    """
    items = fleet.items(name, words)
    if form is Form.JSON:
        print(json.dumps([item async for item in items], indent=1), file=out)
    elif form is Form.CSV:
        await _print_csv(COLUMNS[name], items, out)
    else:
        is_terminal = out.isatty()
        width = shutil.get_terminal_size((WIDTH, 0)).columns if is_terminal else WIDTH
        for line in table([column for column in COLUMNS[name] if column.title], [item async for item in items], width):
            print(line, file=out)
    return ExitCode.OK


async def _print_csv(columns: ListColumns, items: AsyncIterator[Answer], out: TextIO) -> None:
    out.write(csv_lines(columns, []))
    async for item in items:
        out.write(csv_lines(columns, [item], heading=False))


def table(columns: Sequence[ListColumn], items: Sequence[Answer], width: int) -> list[str]:
    """Format a list as lines with a heading: columns as wide as their cells, lines no wider than the terminal."""
    if not items:
        return ["none"]
    rows = [
        [column.title for column in columns],
        *([_shown(item.get(column.name)) for column in columns] for item in items),
    ]
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(*rows, strict=True)]
    return [_line(row, widths)[:width].rstrip() for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        (text if len(text) <= size else f"{text[: size - 3]}...").ljust(size)
        for text, size in zip(row[:-1], widths[:-1], strict=True)
    ]
    return _GAP.join([*cells, row[-1]])


def _shown(value: object) -> str:
    """Format a cell for a terminal, times to the second."""
    text = printable(cell(value))
    is_time = isinstance(value, str) and len(value) == len("2026-01-31T09:02:10.765432Z") and value.endswith("Z")
    return f"{text[:19]}Z".replace("T", " ") if is_time and text[10:11] == "T" else text
