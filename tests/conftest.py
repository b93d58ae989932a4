"""Azurite, the real table service of the tests: started once, on a free port, stopped at the end."""

from collections.abc import Iterator

import pytest

from local.azurite import azurite_tables


@pytest.fixture(scope="session")
def tables() -> Iterator[str]:
    """The connection string of a running table service."""
    with azurite_tables() as connection_string:
        yield connection_string
