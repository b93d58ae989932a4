"""The arguments of the commands: how they are read, and what is said of wrong ones."""

import argparse
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NoReturn

from status_app.commands.exit_codes import ExitCode
from status_core import Threshold, parse_duration


class Parser(argparse.ArgumentParser):
    """A parser whose errors have an exit code of their own: argparse's, 2, says that the time of a gate is over."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, but not the value of what is not known: it may be a key."""
        kind, _, unknown = message.partition(": ")
        if kind == "unrecognized arguments":
            names = " ".join(re.findall(r"(?:^|(?<= ))--[a-z][a-z-]*", unknown))
            message = f"{kind}: {names or 'a value without a name'}"
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: error: {message}\n")


_SHORT: Final = re.compile("[0-9]{1,6}[smh]")


def duration(*, least: timedelta = timedelta(0), longest: timedelta | None = None) -> Callable[[str], timedelta]:
    """Reads a duration within bounds: ISO 8601, or as people write it, such as 10m."""

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
    """Reads a whole number that is not too small."""

    def read(value: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", value) or int(value) < least:
            raise argparse.ArgumentTypeError(f"{value!r} is no whole number from {least} on")
        return int(value)

    return read


def name(of: str) -> Callable[[str], str]:
    """Reads the name of something, which is never empty."""

    def read(value: str) -> str:
        if not value.strip():
            raise argparse.ArgumentTypeError(f"the name of {of} is empty")
        return value.strip()

    return read


def cohort(value: str) -> str:
    """Reads a cohort: the name of a tag, and what it holds."""
    if not all(value.partition("=")):
        raise argparse.ArgumentTypeError(f"{value!r} is no tag with its value, such as ring=canary")
    return value


def threshold(value: str) -> Threshold:
    """Reads how many devices may fail: a number, or a percentage."""
    try:
        return Threshold.parse(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r}: {error}") from None
