"""The SDK, a proxy, and Azurite behind it: what passes, what is counted, and how failures look."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError, ServiceRequestError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient
from yarl import URL

from local.tables import Operation, TableProxy, table_proxy

ONCE: dict[str, Any] = {"retry_total": 0}
AT_ONCE: dict[str, Any] = {"retry_total": 3, "retry_backoff_factor": 0}
PATIENCE = 30
"""Seconds after which a test gives up waiting."""
ROW = {"PartitionKey": "a'b ü%2F", "RowKey": "1", "Value": "x"}


@pytest.fixture
async def name(tables: str) -> str:
    """A new table, of which the proxy does not know yet."""
    name = f"t{uuid.uuid4().hex}"
    async with TableServiceClient.from_connection_string(tables) as service:
        await service.create_table(name)
    return name


@pytest.fixture
async def table(proxy: TableProxy, name: str) -> AsyncIterator[TableClient]:
    """The table behind the proxy, by a client that tries everything once."""
    async with TableClient.from_connection_string(proxy.connection_string, name, **ONCE) as table:
        yield table


@pytest.fixture
async def behind(tables: str, name: str) -> AsyncIterator[TableClient]:
    """The table itself, past the proxy."""
    async with TableClient.from_connection_string(tables, name) as table:
        yield table


def transaction(count: int, partition: str = "p") -> list[Any]:
    return [
        ("upsert", {"PartitionKey": partition, "RowKey": str(number), "Value": "x" * 1000}) for number in range(count)
    ]


async def in_number_order(table: TableClient) -> list[Any]:
    return sorted([row async for row in table.list_entities()], key=lambda row: int(row["RowKey"]))


async def rows(table: TableClient) -> list[str]:
    return [row["RowKey"] async for row in table.list_entities()]


async def test_every_kind_of_request_comes_through_as_it_was_signed(table: TableClient, behind: TableClient) -> None:
    etag = (await table.create_entity(ROW))["etag"]
    assert (await behind.get_entity(ROW["PartitionKey"], "1")).metadata["etag"] == etag
    merged = {key: ROW[key] for key in ("PartitionKey", "RowKey")} | {"More": 1}
    options: Any = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    newer = (await table.update_entity(merged, UpdateMode.MERGE, **options))["etag"]
    with pytest.raises(ResourceModifiedError):
        await table.update_entity(ROW, UpdateMode.REPLACE, **options)
    found = await table.get_entity(ROW["PartitionKey"], "1")
    assert (found["Value"], found["More"], found.metadata["etag"]) == ("x", 1, newer)
    query = table.query_entities("PartitionKey eq @key", parameters={"key": ROW["PartitionKey"]})
    assert [row["RowKey"] async for row in query] == ["1"]
    await table.delete_entity(ROW)
    with pytest.raises(ResourceNotFoundError):
        await table.get_entity(ROW["PartitionKey"], "1")


async def test_a_transaction_is_done_as_a_whole_or_not_at_all(table: TableClient, behind: TableClient) -> None:
    result = await table.submit_transaction(transaction(100))
    assert [part["etag"] for part in result] == [row.metadata["etag"] for row in await in_number_order(behind)]
    wrong = [*transaction(2, "q"), ("delete", {"PartitionKey": "q", "RowKey": "missing"})]
    with pytest.raises(TableTransactionError):
        await table.submit_transaction(wrong)
    assert len(await rows(behind)) == 100


async def test_pages_are_followed_through_the_proxy(table: TableClient, proxy: TableProxy, name: str) -> None:
    await table.submit_transaction(transaction(7))
    pages = [len([row async for row in page]) async for page in table.list_entities(results_per_page=3).by_page()]
    assert pages == [3, 3, 1]
    assert proxy.requests_of[name] == {"write": 1, "read": 3}


async def test_requests_are_counted_by_operation_and_by_table(proxy: TableProxy) -> None:
    names = [f"t{uuid.uuid4().hex}" for _ in range(2)]
    async with TableServiceClient.from_connection_string(proxy.connection_string, **ONCE) as service:
        for name in names:
            await service.create_table(name)
        one, other = (service.get_table_client(name) for name in names)
        await one.submit_transaction(transaction(10))
        await one.upsert_entity(ROW)
        await one.delete_entity(ROW)
        await other.upsert_entity(ROW)
        await other.get_entity(ROW["PartitionKey"], ROW["RowKey"])
        assert [table.name async for table in service.query_tables(f"TableName eq '{names[0]}'")] == names[:1]
    assert proxy.requests_of == {
        "Tables": {"write": 2, "read": 1},
        names[0]: {"write": 3},
        names[1]: {"write": 1, "read": 1},
    }
    assert proxy.requests == {"write": 6, "read": 2}


async def test_headers_and_statuses_are_those_of_the_service_behind(proxy: TableProxy, tables: str) -> None:
    answers = []
    async with aiohttp.ClientSession() as session:
        for connection_string in (tables, proxy.connection_string):
            endpoint = connection_string.partition("TableEndpoint=")[2].rstrip(";")
            async with session.get(f"{endpoint}/Tables", headers={"x-ms-client-request-id": "mine"}) as answer:
                varying = {"Date", "x-ms-request-id", "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length"}
                headers = {key: value for key, value in answer.headers.items() if key not in varying}
                answers.append((answer.status, answer.reason, headers, "x-ms-request-id" in answer.headers))
    assert answers[0] == answers[1]
    assert answers[0][0] == 403


async def test_what_arrives_behind_the_proxy_is_what_was_sent() -> None:
    arrived: list[Any] = []

    async def look(request: web.BaseRequest) -> web.Response:
        headers = {key: value for key, value in request.raw_headers if key.startswith((b"x-", b"A", b"C"))}
        arrived.append((request.method, request.raw_path, headers, await request.read()))
        return web.Response(status=204, headers={"ETag": 'W/"1"'})

    runner = web.ServerRunner(web.Server(look, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    behind = f"http://127.0.0.1:{runner.addresses[0][1]}"
    url = URL("/a/t(PartitionKey='%7e%27%2F',RowKey='%c3%a4+')?$filter=a%20eq%20'b'&x=%2b", encoded=True)
    headers = {"x-Twice": "1", "Accept": "application/json;odata=minimalmetadata", "Content-Type": "text/plain"}
    async with table_proxy(f"TableEndpoint={behind}/a;") as proxy, aiohttp.ClientSession() as session:
        front = URL(proxy.connection_string.partition("=")[2].partition("/a")[0])
        for origin in (URL(behind), front):
            async with session.put(origin.join(url), headers=headers, data=b"\x00body") as answer:
                assert (answer.status, answer.headers["ETag"]) == (204, 'W/"1"')
    await runner.cleanup()
    assert arrived[0] == arrived[1]
    assert arrived[0][1] == url.raw_path_qs


async def test_one_connection_serves_many_requests(proxy: TableProxy, name: str) -> None:
    opened = 0

    async def count(*_: object) -> None:
        nonlocal opened
        opened += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(count)
    endpoint = proxy.connection_string.partition("TableEndpoint=")[2].rstrip(";")
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        for _ in range(5):
            async with session.get(f"{endpoint}/{name}()") as answer:
                await answer.read()
    assert opened == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (503, "ServerBusy"),
        (500, "InternalError"),
        (429, "TooManyRequests"),
        (403, "Forbidden"),
        (504, "GatewayTimeout"),
    ],
)
async def test_a_refusal_comes_out_with_its_status_and_its_code_and_nothing_is_done(
    proxy: TableProxy, table: TableClient, status: int, code: str
) -> None:
    proxy.faults.add("write", status)
    proxy.faults.add("read", status)
    errors: list[Any] = []
    for call in (table.upsert_entity(ROW), rows(table)):
        with pytest.raises(HttpResponseError) as raised:
            await call
        errors.append(raised.value)
    assert [(error.status_code, error.error_code) for error in errors] == [(status, code)] * 2
    assert proxy.requests == {"write": 1, "read": 1}
    assert await rows(table) == []


async def test_a_refused_transaction_comes_out_with_its_status(
    proxy: TableProxy, table: TableClient, behind: TableClient
) -> None:
    proxy.faults.add("write", 503)
    with pytest.raises(HttpResponseError, match="ServerBusy") as raised:
        await table.submit_transaction(transaction(3))
    assert raised.value.status_code == 503
    assert await rows(behind) == []
    assert len(await table.submit_transaction(transaction(3))) == 3


async def test_the_sdk_repeats_what_is_refused_and_each_attempt_counts(proxy: TableProxy, name: str) -> None:
    proxy.faults.add("write", 503, 2)
    proxy.faults.add("write", 429, retry_after=0)
    proxy.faults.add("read", 503, 3)
    async with TableClient.from_connection_string(proxy.connection_string, name, **AT_ONCE) as table:
        await table.upsert_entity(ROW)
        assert await rows(table) == ["1"]
    assert proxy.requests == {"write": 4, "read": 4}


async def test_the_sdk_repeats_a_transaction_that_is_refused_with_503_but_not_with_429(
    proxy: TableProxy, name: str
) -> None:
    async with TableClient.from_connection_string(proxy.connection_string, name, **AT_ONCE) as table:
        proxy.faults.add("write", 503)
        await table.submit_transaction(transaction(3))
        assert proxy.requests == {"write": 2}
        proxy.faults.add("write", 429)
        with pytest.raises(HttpResponseError, match="TooManyRequests"):
            await table.submit_transaction(transaction(3))
    assert proxy.requests == {"write": 3}


async def test_what_is_cut_off_is_not_done(proxy: TableProxy, table: TableClient, behind: TableClient) -> None:
    proxy.faults.cut("write")
    with pytest.raises(ServiceRequestError):
        await table.submit_transaction(transaction(3))
    assert await rows(behind) == []
    assert proxy.requests == {"write": 1}


async def test_what_loses_its_answer_is_done(proxy: TableProxy, table: TableClient, behind: TableClient) -> None:
    proxy.faults.cut_after("write")
    with pytest.raises(ServiceRequestError):
        await table.submit_transaction(transaction(3))
    assert await rows(behind) == ["0", "1", "2"]
    assert proxy.requests == {"write": 1}


async def test_a_kept_connection_that_breaks_is_opened_again_by_the_client_before_the_sdk_counts_an_attempt(
    proxy: TableProxy, table: TableClient
) -> None:
    assert await rows(table) == []
    proxy.faults.cut("read")
    assert await rows(table) == []
    assert proxy.requests == {"read": 3}
    proxy.faults.cut_after("write")
    await table.upsert_entity(ROW, UpdateMode.REPLACE)
    assert proxy.requests == {"read": 3, "write": 2}


async def test_an_answer_can_be_given_in_place_of_the_service_behind(
    proxy: TableProxy, table: TableClient, behind: TableClient
) -> None:
    await behind.create_entity(ROW)
    proxy.faults.answer("read", b'{"value": []}')
    assert (await rows(table), await rows(table)) == ([], ["1"])


async def test_a_late_answer_is_an_answer(proxy: TableProxy, table: TableClient) -> None:
    proxy.faults.delay("write", 0.01)
    await table.upsert_entity(ROW)
    assert await rows(table) == ["1"]


async def test_faults_are_used_up_in_their_order_and_can_be_taken_back(
    proxy: TableProxy, table: TableClient, behind: TableClient
) -> None:
    proxy.faults.add("write", 503)
    proxy.faults.cut("write", 5)
    with pytest.raises(HttpResponseError, match="ServerBusy"):
        await table.upsert_entity(ROW)
    with pytest.raises(ServiceRequestError):
        await table.upsert_entity(ROW)
    assert await rows(table) == []
    proxy.faults.clear()
    await table.upsert_entity(ROW)
    assert await rows(behind) == ["1"]


async def test_every_call_can_be_stopped_at(proxy: TableProxy, table: TableClient, behind: TableClient) -> None:
    seen: list[tuple[Operation, str, int]] = []

    async def look(op: Operation, path: str) -> None:
        seen.append((op, path.lstrip("/").partition("/")[2], len(await rows(behind))))  # behind the account

    proxy.before = look
    await table.upsert_entity(ROW)
    await table.submit_transaction(transaction(2))
    await rows(table)
    name = table.table_name
    assert [(op, path.partition("(")[0], count) for op, path, count in seen] == [
        ("write", name, 0),
        ("write", f"$batch/{name}", 1),
        ("read", name, 3),
    ]


async def test_a_call_that_is_stopped_by_an_error_is_not_done_nor_is_any_after_it(
    proxy: TableProxy, table: TableClient, behind: TableClient
) -> None:
    calls = 0

    async def die(_op: Operation, _path: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ConnectionResetError

    proxy.before = die
    await table.upsert_entity(ROW)
    for _ in range(2):
        with pytest.raises(ServiceRequestError):
            await table.submit_transaction(transaction(2))
    assert await rows(behind) == ["1"]
    proxy.before = None
    assert await rows(table) == ["1"]


async def test_a_call_of_an_app_that_was_killed_before_it_is_not_done_later_on(
    proxy: TableProxy, name: str, behind: TableClient
) -> None:
    reached, given_up = asyncio.Event(), asyncio.Event()

    async def wait(_op: Operation, _path: str) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    proxy.before = wait
    table = TableClient.from_connection_string(proxy.connection_string, name, **ONCE)
    call = asyncio.ensure_future(table.upsert_entity(ROW))
    await reached.wait()
    call.cancel()
    await asyncio.wait({call})
    await table.close()
    async with asyncio.timeout(PATIENCE):
        await given_up.wait()
    assert await rows(behind) == []


async def test_a_service_behind_that_is_gone_is_a_closed_connection() -> None:
    gone = "AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:1/a;"
    async with (
        table_proxy(gone) as proxy,
        TableClient.from_connection_string(proxy.connection_string, "any", **ONCE) as table,
    ):
        with pytest.raises(ServiceRequestError):
            await rows(table)


def test_a_connection_string_without_a_plain_endpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="no TableEndpoint over plain HTTP"):
        TableProxy("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net")
