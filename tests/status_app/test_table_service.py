"""Failures of the table service, as the real client meets them, in the app's own terms."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from aiohttp import web
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TransactionOperation
from azure.data.tables.aio import TableClient

from local.listener import Listener
from local.tables import TableProxy
from status_app.errors import LostRaceError, UnavailableError
from status_app.storage import client as service
from status_app.storage.client import table_errors, table_service
from status_app.storage.transaction import submit

CREATE, UPDATE, UPSERT, DELETE = (
    TransactionOperation.CREATE,
    TransactionOperation.UPDATE,
    TransactionOperation.UPSERT,
    TransactionOperation.DELETE,
)
ENTITY = {"PartitionKey": "p", "RowKey": "r"}
ATTEMPTS = 4
"""One, and the three that the SDK adds for what may pass."""
CALLS: dict[str, Callable[[TableClient], Awaitable[object]]] = {
    "read": lambda table: table.get_entity("p", "r"),
    "write": lambda table: table.upsert_entity(ENTITY),
    "transaction": lambda table: table.submit_transaction([("upsert", ENTITY)]),
}


class Answers:
    """A table service that refuses everything with one status, or closes each connection where that is None."""

    def __init__(self) -> None:
        self.status: int | None = None
        # The SDK waits as long as an answer asks: no test waits for its back-off.
        self.wait = {"retry-after-ms": "1"}
        self.requests = 0
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._listener = Listener(web.AppRunner(application))

    async def start(self) -> str:
        """Its connection string."""
        await self._listener.start()
        return connection_string(self._listener.port)

    async def stop(self) -> None:
        await self._listener.stop()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.status is None:
            assert request.transport is not None
            request.transport.abort()
        error = {"odata.error": {"code": "Any", "message": {"lang": "en-US", "value": "Refused."}}}
        return web.json_response(error, status=self.status or 500, headers=self.wait)


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    answers = Answers()
    yield answers
    await answers.stop()


@pytest.fixture
async def table(answers: Answers) -> AsyncIterator[TableClient]:
    async with table_service(await answers.start()) as client:
        yield client.get_table_client("T")


def connection_string(port: int) -> str:
    return f"AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:{port}/a;DefaultEndpointsProtocol=http"


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
@pytest.mark.parametrize("call", CALLS)
async def test_a_service_that_fails_is_unavailable_whether_or_not_the_call_is_guarded(
    answers: Answers, table: TableClient, call: str, status: int, guarded: bool
) -> None:
    answers.status = status
    with (
        pytest.raises(UnavailableError, match=f"^tables is unavailable: answer {status}$"),
        table_errors(guarded=guarded),
    ):
        await CALLS[call](table)


@pytest.mark.parametrize("call", CALLS)
async def test_a_service_that_fails_is_asked_a_few_times(answers: Answers, table: TableClient, call: str) -> None:
    answers.status = 503
    with pytest.raises(UnavailableError), table_errors():
        await CALLS[call](table)
    assert answers.requests == ATTEMPTS


@pytest.mark.parametrize("status", [404, 409, 412])
@pytest.mark.parametrize("call", CALLS)
async def test_a_conflict_of_a_guarded_call_is_a_lost_race(
    answers: Answers, table: TableClient, call: str, status: int
) -> None:
    answers.status = status
    with pytest.raises(LostRaceError), table_errors(guarded=True):
        await CALLS[call](table)
    assert answers.requests == 1


@pytest.mark.parametrize("status", [404, 409, 412])
@pytest.mark.parametrize("call", CALLS)
async def test_a_conflict_of_a_call_without_a_guard_is_the_callers_own(
    answers: Answers, table: TableClient, call: str, status: int
) -> None:
    answers.status = status
    with pytest.raises(HttpResponseError) as raised, table_errors():
        await CALLS[call](table)
    assert raised.value.status_code == status


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("status", [400, 413])
async def test_a_request_that_the_service_refuses_as_wrong_is_a_bug(
    answers: Answers, table: TableClient, status: int, guarded: bool
) -> None:
    answers.status = status
    with pytest.raises(HttpResponseError) as raised, table_errors(guarded=guarded):
        await table.upsert_entity(ENTITY)
    assert raised.value.status_code == status


@pytest.mark.parametrize("guarded", [False, True])
async def test_a_connection_that_is_cut_twice_is_a_service_that_does_not_answer(
    answers: Answers, table: TableClient, guarded: bool
) -> None:
    with pytest.raises(UnavailableError, match="ServiceRequestError"), table_errors(guarded=guarded):
        await table.upsert_entity(ENTITY)
    assert answers.requests == 2


REPEATS: dict[str, tuple[Callable[[TableClient, Mapping[str, Any]], Awaitable[object]], bool]] = {
    "merge": (lambda table, row: table.upsert_entity(row), False),
    "insert": (lambda table, row: table.create_entity(row), True),
    "guarded merge": (lambda table, row: table.update_entity(row, **guard(row)), True),
    "transaction": (lambda table, row: submit(table, [(UPSERT, row)]), False),
    "transaction that inserts": (lambda table, row: submit(table, [(CREATE, row)]), True),
    "guarded transaction": (lambda table, row: submit(table, [(UPDATE, row, guard(row))]), True),
    "transaction that deletes": (lambda table, row: submit(table, [(DELETE, row)]), True),
}
"""What is sent once more after a broken connection, and whether it is a lost race where it was done already."""


def guard(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"etag": row["etag"], "match_condition": MatchConditions.IfNotModified}


@pytest.fixture
async def cut_off(proxy: TableProxy) -> AsyncIterator[TableClient]:
    """A table behind a proxy that can cut connections."""
    async with table_service(proxy.connection_string) as client:
        yield await client.create_table_if_not_exists("CutOff")


async def row_for(repeat: str, table: TableClient) -> dict[str, Any]:
    """A row of its own, stored already where the call changes one."""
    row = {"PartitionKey": uuid.uuid4().hex, "RowKey": "r", "N": 0}
    if "guarded" in repeat or "deletes" in repeat:
        row["etag"] = (await table.create_entity(row))["etag"]
    return row | {"N": 1}


@pytest.mark.parametrize("repeat", REPEATS)
async def test_what_the_service_did_not_do_before_the_connection_broke_is_done_by_the_second_sending(
    proxy: TableProxy, cut_off: TableClient, repeat: str
) -> None:
    row, (call, _) = await row_for(repeat, cut_off), REPEATS[repeat]
    before = proxy.requests_of["CutOff"]["write"]
    proxy.faults.cut("write")
    with table_errors(guarded=True):
        await call(cut_off, row)
    assert proxy.requests_of["CutOff"]["write"] == before + 2
    assert [found["N"] async for found in cut_off.query_entities(f"PartitionKey eq '{row['PartitionKey']}'")] == (
        [] if "deletes" in repeat else [1]
    )


@pytest.mark.parametrize("repeat", REPEATS)
async def test_what_the_service_did_before_the_connection_broke_is_done_once_and_a_condition_is_a_lost_race(
    proxy: TableProxy, cut_off: TableClient, repeat: str
) -> None:
    row, (call, is_lost) = await row_for(repeat, cut_off), REPEATS[repeat]
    proxy.faults.cut_after("write")
    with pytest.raises(LostRaceError) if is_lost else nullcontext(), table_errors(guarded=True):
        await call(cut_off, row)
    assert [found["N"] async for found in cut_off.query_entities(f"PartitionKey eq '{row['PartitionKey']}'")] == (
        [] if "deletes" in repeat else [1]
    )


async def test_a_connection_that_the_service_closes_between_two_requests_is_made_again() -> None:
    """As Azurite closes one after five idle seconds, at the moment when the app sends on it."""
    requests = list[bytes]()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            requests.append(head.partition(b" ")[0])
            if number == 0:
                writer.write(b'HTTP/1.1 204 No Content\r\nETag: W/"1"\r\nContent-Length: 0\r\n\r\n')
            else:
                writer.close()  # it was about to, and did not read the request

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    async with server, table_service(connection_string(server.sockets[0].getsockname()[1])) as client:
        table = client.get_table_client("T")
        for _ in range(3):
            await table.upsert_entity(ENTITY)
        server.abort_clients()
    assert requests == [b"PATCH"] * 5  # the second of each connection was in vain


async def test_a_service_that_is_not_there_does_not_answer(answers: Answers) -> None:
    closed = await answers.start()
    await answers.stop()
    async with table_service(closed) as client:
        with pytest.raises(UnavailableError, match="ServiceRequestError"), table_errors():
            await client.create_table_if_not_exists("T", retry_total=0)


@pytest.mark.parametrize("wait", ["3600", "Fri, 31 Dec 2999 23:59:59 GMT", "soon"])
@pytest.mark.parametrize("call", CALLS)
async def test_no_wait_is_longer_than_the_limit_whatever_the_service_asks_for(
    answers: Answers, table: TableClient, call: str, wait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LONGEST_WAIT", 0.001)
    answers.status, answers.wait = 503, {"Retry-After": wait}
    async with asyncio.timeout(60):
        with pytest.raises(UnavailableError), table_errors():
            await CALLS[call](table)
    assert answers.requests == ATTEMPTS


def test_what_is_no_failure_of_the_service_passes_as_it_is() -> None:
    with pytest.raises(KeyError), table_errors():
        raise KeyError
