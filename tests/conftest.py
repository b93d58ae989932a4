"""Azurite, the real table service of the tests: one for each module, since a timer takes all that is due."""

import signal
from collections.abc import Iterator

import pytest

from local.azurite import azurite_tables

# A job in the background of a shell ignores Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def tables() -> Iterator[str]:
    """The connection string of a running table service."""
    with azurite_tables() as connection_string:
        yield connection_string
