"""The arguments of the commands: how they are read, and what is said of wrong ones."""

import argparse
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from status_app.commands.exit_codes import ExitCode
from status_core import parse_duration


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


def duration(*, least: timedelta = timedelta(0), longest: timedelta | None = None) -> Callable[[str], timedelta]:
    """Reads an ISO 8601 duration within bounds."""

    def read(value: str) -> timedelta:
        try:
            found = parse_duration(value)
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
