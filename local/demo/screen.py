"""The output of the demo: the story, its progress, and the tables at the end."""

import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from local.demo.status_rows import Row, name_of

_MARKS: Final = {"successful": "#", "in_progress": "~", "pending": ".", "module_failed": "!", "invalid": "x"}
"""In the order of the bar. Other states come last."""
_OTHER: Final = "?"
_ORDER: Final = (*_MARKS.values(), _OTHER)
_BAR: Final = 30
_WIDTH_OF_A_FILE: Final = 120
_CLEAR_LINE: Final = "\r\x1b[K"


class Screen:
    """Standard output. On a terminal the progress is one line that is rewritten; elsewhere each update is a line."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()

    def say(self, text: str = "", at: datetime | None = None) -> None:
        """Print a line, with the simulated time if one is given."""
        line = text if at is None else f"{at:%H:%M}  {text}"
        print(f"{self._clear}{line}", flush=True)

    def legend(self) -> None:
        """Print the legend of the bar."""
        self.say("  ".join(f"{mark} {state}" for state, mark in (*_MARKS.items(), ("another state", _OTHER))))

    def progress(self, at: datetime, devices: Sequence[Row], stuck: Sequence[Row]) -> None:
        """Show how many devices are in each state, and how many rows are stuck."""
        marks = sorted((_mark(row) for row in devices), key=_ORDER.index)
        bar = "".join(marks[cell * len(marks) // _BAR] for cell in range(_BAR if marks else 0))
        counts = "  ".join(f"{mark} {count}" for mark, count in Counter(marks).items())
        line = _cut(f"{at:%H:%M}  [{bar}]  {counts}" + (f"  {len(stuck)} stuck" if stuck else ""))
        print(f"{self._clear}{line}", end="" if self._is_terminal else "\n", flush=True)

    def turn(self, row: Row) -> None:
        """Print that something got stuck or recovered."""
        unsettled = _length(timedelta(seconds=row["DurationSeconds"]))
        words = f"{name_of(row)}: {row['Reason']}, unsettled for {unsettled}"
        self.say(f"{row['Kind'].upper():9}  {words}", row["ObservedAt"])

    def states(self, devices: Sequence[Row], now: datetime) -> None:
        """Print the status table: the count of each state, and every device that is not successful."""
        counts = Counter(row["State"] for row in sorted(devices, key=lambda row: _ORDER.index(_mark(row))))
        self._table(("STATE", "DEVICES"), [(state, str(count)) for state, count in counts.items()])
        counters = Counter(row.get("Portal", "none") for row in devices)
        numbers = ", ".join(f"{count} {counter}" for counter, count in counters.most_common())
        self.say(f"(IoT Hub's own counters for the same devices: {numbers})")
        self._table(
            ("DEVICE", "STATE", "REASON", "SINCE", "FOR", "MESSAGE"),
            [
                (
                    name_of(row),
                    row["State"],
                    row["Reason"],
                    _time(row["Since"]),
                    _length(now - row["Since"]),
                    row["Message"],
                )
                for row in devices
                if row["State"] != "successful"
            ],
        )

    def stuck(self, rows: Sequence[Row]) -> None:
        """Print the stuck list."""
        self._table(
            ("STUCK", "STUCK SINCE", "UNSETTLED SINCE", "REASON"),
            [(name_of(row), _time(row["StuckSince"]), _time(row["UnsettledSince"]), row["Reason"]) for row in rows],
        )

    def events(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Print how many events of each type a subscriber received."""
        counts = Counter(event["type"] for event in events)
        self._table(("PUBLISHED", "EVENTS"), [(name, str(count)) for name, count in sorted(counts.items())])

    def notices(self, texts: Sequence[str]) -> None:
        """Print the messages that Teams or Slack would have received through a webhook."""
        self.say("\nThese messages would have been sent to people:")
        for text in texts:
            self.say()
            for line in text.splitlines():
                self.say(_cut(f"  {line}"))

    @property
    def _clear(self) -> str:
        return _CLEAR_LINE if self._is_terminal else ""

    def _table(self, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        self.say()
        for row in (head, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.say(_cut("  ".join(cells).rstrip()))


def _mark(row: Row) -> str:
    return _MARKS.get(row["State"], _OTHER)


def _time(at: datetime) -> str:
    return f"{at:%H:%M}"


def _length(length: timedelta) -> str:
    return f"{length // timedelta(minutes=1)} min"


def _cut(line: str) -> str:
    """Cut a line to the width of the terminal: a longer one could not be rewritten."""
    width = shutil.get_terminal_size((_WIDTH_OF_A_FILE, 0)).columns
    return line if len(line) <= width else f"{line[: width - 3]}..."
