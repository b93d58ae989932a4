"""Log lines that end with their fields as JSON: which device, which deployments, which invocation.

The functions host sends on the text of a line and nothing else of it, so the fields are in the text; and they are
attributes of the record for any handler that takes these. JSON keeps a line one line, whatever a device is called.
"""

import json
import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

_known: Final[ContextVar[dict[str, str]]] = ContextVar("fields of log lines")


LIBRARIES: Final = ("azure", "uamqp", "msrest")
"""Loggers of the SDKs: at INFO they write two records for each request, more than the app's own lines by far."""


def quiet_libraries() -> None:
    """Let the SDKs log warnings and errors alone.

    The functions worker sets the root logger to INFO, and host.json cannot help: within an invocation the host takes
    every record for the function's own.
    """
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records have the fields that are known where they are made, and those in `extra`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """The text and the attributes of a record."""
        fields = _known.get({}) | (kwargs.get("extra") or {})
        kwargs["extra"] = fields
        # No per cent sign may come into what is still a format.
        text = json.dumps(fields).replace("%", "\\u0025")
        return f"{msg} {text}" if fields else str(msg), kwargs


def log(name: str) -> Log:
    """The logger of a module."""
    return Log(logging.getLogger(name))


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """What the lines that are logged meanwhile are about: `device`, `invocation`."""
    token = _known.set(_known.get({}) | fields)
    try:
        yield
    finally:
        _known.reset(token)
