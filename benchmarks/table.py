"""The one table that every part of the benchmarks fills."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Final

_HEADINGS: Final = ("part", "what", "measured", "ratio", "to", "aim")


@dataclass(frozen=True, slots=True)
class Row:
    """One line.

    Attributes:
        part: The part of the benchmarks: core, end to end, fleets or start.
        what: What was measured.
        measured: The value with its unit. A time or a rate holds for this machine and this run.
        ratio: The value over that of `to`, which was measured in the same run; empty for a count.
        to: What it is compared with.
        aim: What the ratio, or the value, should be.
    """

    part: str
    what: str
    measured: str
    ratio: str = ""
    to: str = ""
    aim: str = ""


def lines(rows: Iterable[Row]) -> list[str]:
    """The table as lines of Markdown, padded so that a terminal shows columns."""
    return columns([_HEADINGS, *(astuple(row) for row in rows)])


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells as a table of Markdown, the headings first."""
    cells = [*rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return [f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in cells]
