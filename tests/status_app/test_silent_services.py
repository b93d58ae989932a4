"""Services that accept and never answer, and such whose answer drips: over real sockets, with short limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from azure.data.tables import TransactionOperation
from azure.data.tables.aio import TableClient
from silent_server import HEADERS, SilentServer, silent_server

from status_app.errors import UnavailableError
from status_app.storage import transaction
from status_app.storage.client import table_errors, table_service

PATIENCE = 60
"""Seconds after which a test gives up on what would last for ever."""
LIMIT = 0.3
ROW = {"PartitionKey": "p", "RowKey": "r"}
CALLS: dict[str, Callable[[TableClient], Awaitable[object]]] = {
    "read": lambda table: table.get_entity("p", "r"),
    "merge": lambda table: table.upsert_entity(ROW),
    "insert": lambda table: table.create_entity(ROW),
    "transaction": lambda table: transaction.submit(table, [(TransactionOperation.UPSERT, ROW)]),
}
ANSWERS = {
    "nothing": None,
    "headers that drip": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "a body that drips": HEADERS + b"Content-Length: 1000000\r\n\r\n",
}


@pytest.fixture(params=ANSWERS)
async def silent(request: pytest.FixtureRequest) -> AsyncIterator[SilentServer]:
    async with silent_server() as silent:
        silent.drips = ANSWERS[request.param]
        yield silent


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_to_tables_that_never_ends_is_given_up(silent: SilentServer, call: str) -> None:
    connection = f"AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:{silent.port}/a"
    async with (
        asyncio.timeout(PATIENCE),
        table_service(
            f"{connection};DefaultEndpointsProtocol=http", attempt_within=LIMIT, call_within=LIMIT / 2
        ) as service,
    ):
        with pytest.raises(UnavailableError, match="ServiceResponseTimeoutError"), table_errors(guarded=True):
            await CALLS[call](service.get_table_client("T"))
    assert silent.requests == 1
