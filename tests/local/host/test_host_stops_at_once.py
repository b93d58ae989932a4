"""A host that stops while it connects leaves no connection open: the SDK does, of a partition cancelled so early."""

import asyncio
import gc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.stack import running_stack

NO_TABLES = "AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:1/a;DefaultEndpointsProtocol=http"
"""No function runs, so nobody asks for a table."""


@pytest.mark.parametrize("turns", range(7))
def test_each_connection_is_closed_however_far_it_is(tmp_path: Path, turns: int) -> None:
    async def run() -> None:
        async with running_stack(tmp_path, NO_TABLES, lambda: datetime.now(UTC)):
            for _ in range(turns):
                await asyncio.sleep(0)

    asyncio.run(run())
    gc.collect()  # a connection that is left open is reported as an error
