"""One fleet for each module of tests."""

from collections.abc import AsyncIterator

import pytest_asyncio
from shown_fleet import Shown, shown_fleet


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Shown]:
    """A fleet without a device."""
    async with shown_fleet() as shown:
        yield shown
