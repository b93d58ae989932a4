"""Failures of the table service, as the real client meets them, in the app's own terms."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from azure.core.exceptions import HttpResponseError
from azure.data.tables.aio import TableClient

from local.listener import Listener
from status_app.errors import LostRaceError, UnavailableError
from status_app.storage import client as service
from status_app.storage.client import table_errors, table_service

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
        # The SDK waits as long as it is told to: no test waits for its back-off.
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
async def test_a_service_that_cannot_now_is_unavailable_whether_or_not_the_call_is_guarded(
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
async def test_a_call_that_the_service_does_not_take_is_a_bug(
    answers: Answers, table: TableClient, status: int, guarded: bool
) -> None:
    answers.status = status
    with pytest.raises(HttpResponseError) as raised, table_errors(guarded=guarded):
        await table.upsert_entity(ENTITY)
    assert raised.value.status_code == status


@pytest.mark.parametrize("guarded", [False, True])
async def test_a_connection_that_is_cut_is_a_service_that_does_not_answer(
    answers: Answers, table: TableClient, guarded: bool
) -> None:
    with pytest.raises(UnavailableError, match="ServiceRequestError"), table_errors(guarded=guarded):
        await table.upsert_entity(ENTITY)
    assert answers.requests == 1


async def test_a_service_that_is_not_there_does_not_answer(answers: Answers) -> None:
    closed = await answers.start()
    await answers.stop()
    async with table_service(closed) as client:
        with pytest.raises(UnavailableError, match="ServiceRequestError"), table_errors():
            await client.create_table_if_not_exists("T", retry_total=0)


@pytest.mark.parametrize("wait", ["3600", "Fri, 31 Dec 2999 23:59:59 GMT", "soon"])
@pytest.mark.parametrize("call", CALLS)
async def test_nobody_waits_longer_than_the_limit_whatever_the_service_says(
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


async def test_a_transaction_whose_row_another_writer_made_first_is_a_lost_race(tables: str) -> None:
    async with table_service(tables) as client:
        table = await client.create_table_if_not_exists("TableService")
        row = {"PartitionKey": uuid.uuid4().hex, "RowKey": "r"}
        await table.create_entity(row)
        with pytest.raises(LostRaceError), table_errors(guarded=True):
            await table.submit_transaction([("upsert", row | {"RowKey": "other"}), ("create", row)])
