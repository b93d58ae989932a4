"""Checks the parameters of a request. An error names the wrong one."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

import azure.functions as func

from status_app.errors import StatusAppError

MOST: Final = 200
"""Items of the longest page."""
DEFAULT: Final = 50
"""Items of a page if no limit is given."""

_KEY: Final = "code"
"""Holds a function key, which the host has checked."""
_LONGEST: Final = 1024
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})", re.ASCII)


class ParameterError(StatusAppError):
    """A parameter is wrong. The message has its name and what is valid; it quotes nothing of the request."""


class Parameters:
    """The query parameters of a request. The host joins repeated values with commas.

    Args:
        request: The request.
        known: The valid names.

    Raises:
        ParameterError: A name is unknown, or a value is empty. The host drops empty values: a script whose variable is
            empty would get the whole fleet.
    """

    def __init__(self, request: func.HttpRequest, known: Collection[str]) -> None:
        self._values: Mapping[str, str] = request.params
        # urlsplit would raise if the Host header is not a host.
        query = request.url.partition("?")[2]
        names = dict(parse_qsl(query, keep_blank_values=True)).keys() | self._values.keys()
        names -= {_KEY}
        if not names <= set(known):
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ParameterError(f"the request has an unknown parameter: {takes}")
        if not names <= self._values.keys():
            raise ParameterError(
                f"{', '.join(sorted(names - self._values.keys()))} is empty: leave it out, or give a value"
            )

    @property
    def question(self) -> Mapping[str, str]:
        """The query without access key and paging."""
        return {name: value for name, value in self._values.items() if name not in (_KEY, "limit", "next")}

    def text(self, name: str) -> str | None:
        """Return a text; None if it is not given."""
        value = self._values.get(name)
        if value is not None and len(value) > _LONGEST:
            raise ParameterError(f"{name} takes at most {_LONGEST} characters")
        return value

    def words(self, names: Collection[str]) -> Mapping[str, str]:
        """Return those of the names that are given, unchanged."""
        return {name: self._values[name] for name in names if name in self._values}

    def flag(self, name: str) -> bool:
        """Return whether a parameter is given whose only value is `true`."""
        value = self._values.get(name)
        if value not in (None, "true"):
            raise ParameterError(f"{name} takes true, or is left out")
        return value is not None

    def is_csv(self) -> bool:
        """Return whether CSV is requested."""
        value = self._values.get("format", "json")
        if value not in ("json", "csv"):
            raise ParameterError("format takes json or csv")
        return value == "csv"

    def limit(self) -> int:
        """Return the most items per page."""
        value = self._values.get("limit", str(DEFAULT))
        if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= MOST:
            raise ParameterError(f"limit takes a whole number from 1 to {MOST}")
        return int(value)

    def time(self, name: str) -> datetime | None:
        """Return a time in UTC; None if it is not given."""
        value = self._values.get(name)
        if value is None:
            return None
        takes = f"{name} takes a time such as 2026-01-31T12:00:00Z"
        if not _TIME.fullmatch(value):
            raise ParameterError(takes)
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ParameterError(takes) from None
