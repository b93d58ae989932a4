"""Log lines that end with their fields as JSON: the device, the deployments, the invocation.

The functions host forwards only the text of a line, so the fields are in the text. They are also attributes of the
record, for handlers that use them. JSON keeps a line on one line, whatever the name of a device.
"""

import json
import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

_known: Final[ContextVar[dict[str, str]]] = ContextVar("fields of log lines")


LIBRARIES: Final = ("azure", "uamqp", "msrest")
"""Loggers of the SDKs: at INFO they write two records per request, far more than the app's own lines."""


def quiet_libraries() -> None:
    """Limit the SDKs to warnings and errors.

    The functions worker sets the root logger to INFO, and host.json cannot help: within an invocation the host treats
    every record as the function's own.
    """
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger that adds the fields of `about`, and those in `extra`, to its records."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Return the text and the attributes of a record."""
        fields = _known.get({}) | (kwargs.get("extra") or {})
        kwargs["extra"] = fields
        # Escape percent signs: the text is still a format string.
        text = json.dumps(fields).replace("%", "\\u0025")
        return f"{msg} {text}" if fields else str(msg), kwargs


def log(name: str) -> Log:
    """Return the logger of a module."""
    return Log(logging.getLogger(name))


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Add fields to the lines that are logged meanwhile: `device`, `invocation`."""
    token = _known.set(_known.get({}) | fields)
    try:
        yield
    finally:
        _known.reset(token)
