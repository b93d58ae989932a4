"""Azurite, the real table service of the tests, one for each module: a timer takes all that is due. And a proxy."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from local.azurite import azurite_tables
from local.tables import TableProxy, table_proxy

# A job in the background of a shell ignores Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def tables() -> Iterator[str]:
    """The connection string of a running table service."""
    with azurite_tables() as connection_string:
        yield connection_string


@pytest.fixture
async def proxy(tables: str) -> AsyncIterator[TableProxy]:
    """What stands before that table service: it counts, and fails where it is told to."""
    async with table_proxy(tables) as proxy:
        yield proxy
