"""Parses the arguments of the commands, and reports wrong ones."""

import argparse
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NoReturn

from status_app.commands.exit_codes import ExitCode
from status_core import Threshold, parse_duration


class Parser(argparse.ArgumentParser):
    """A parser with its own exit code for errors: argparse's 2 means that a gate timed out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Report the error without the value of an unknown argument: it may be a key."""
        kind, _, unknown = message.partition(": ")
        if kind == "unrecognized arguments":
            names = " ".join(re.findall(r"(?:^|(?<= ))--[a-z][a-z-]*", unknown))
            message = f"{kind}: {names or 'a value without a name'}"
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: error: {message}\n")


_SHORT: Final = re.compile("[0-9]{1,6}[smh]")


def duration(*, least: timedelta = timedelta(0), longest: timedelta | None = None) -> Callable[[str], timedelta]:
    """Create a reader of durations within bounds: ISO 8601, or as people write them, such as 10m."""

    def read(value: str) -> timedelta:
        short = _SHORT.fullmatch(value)
        try:
            found = parse_duration(value if short is None else f"PT{value.upper()}")
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if found < least or (longest is not None and found > longest):
            raise argparse.ArgumentTypeError(f"{value!r} is not from {least} to {longest}")
        return found

    return read


def number(least: int) -> Callable[[str], int]:
    """Create a reader of whole numbers with a minimum."""

    def read(value: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", value) or int(value) < least:
            raise argparse.ArgumentTypeError(f"{value!r} is not a whole number of at least {least}")
        return int(value)

    return read


def name(kind: str) -> Callable[[str], str]:
    """Create a reader of names, which may not be empty."""

    def read(value: str) -> str:
        if not value.strip():
            raise argparse.ArgumentTypeError(f"the name of {kind} is empty")
        return value.strip()

    return read


def cohort(value: str) -> str:
    """Parse a cohort: a tag and its value."""
    if not all(value.partition("=")):
        raise argparse.ArgumentTypeError(f"{value!r} is not a tag with its value, such as ring=canary")
    return value


def threshold(value: str) -> Threshold:
    """Parse how many devices may fail: a number, or a percentage."""
    try:
        return Threshold.parse(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r}: {error}") from None
