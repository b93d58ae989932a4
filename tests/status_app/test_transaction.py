"""Transactions as the app writes and reads them, beside those of the SDK over the same Azurite."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from http.client import BadStatusLine
from typing import Any

import pytest
from aiohttp import web
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import EdmType, EntityProperty, TableTransactionError, TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from local.tables import TableProxy
from status_app.errors import LostRaceError, UnavailableError
from status_app.storage import transaction
from status_app.storage.client import table_errors, table_service
from status_app.storage.transaction import Operation, Part, UnreadableAnswerError, decode, encode, etags
from status_app.telemetry import meters

CREATE, UPDATE, UPSERT, DELETE = (
    TransactionOperation.CREATE,
    TransactionOperation.UPDATE,
    TransactionOperation.UPSERT,
    TransactionOperation.DELETE,
)
REPLACE = {"mode": UpdateMode.REPLACE}
STALE = {"etag": "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\"", "match_condition": MatchConditions.IfNotModified}
SECRET = "hunter2-correct-horse"
ROW = {"PartitionKey": "p", "RowKey": "r"}
TIME = datetime(2026, 1, 1, 2, 3, 4, 567891, tzinfo=UTC)
ODD_KEYS = [
    "it's",
    "a/b",
    "50%25 %",
    "\u00fc\U0001f600",
    "a b+c&d=e",
    "(x,y)='z'",
    'quote"',
    "{brace}",
    "HTTP/1.1",
    "--batch_",
]

type Submit = Callable[[TableClient, Sequence[Operation]], Awaitable[object]]


class Word(StrEnum):
    READY = "ready"


COLUMNS: dict[str, Any] = {
    "Text": "it's \u00fc \U0001f600 / \\ \" \r\n--changeset_\r\n\r\nHTTP/1.1 500 {}",
    "Word": Word.READY,
    "Small": -7,
    "Long": EntityProperty(2**62, EdmType.INT64),
    "Yes": True,
    "Half": 0.5,
    "Endless": float("inf"),
    "Bytes": b"\x00\xff",
    "Id": uuid.UUID(int=7),
    "Time": TIME,
    "Local": TIME.astimezone(timezone(timedelta(hours=2))),
    "Whole": TIME.replace(microsecond=0),
    "Nothing": None,
    "Empty": "",
}


async def by_the_sdk(table: TableClient, operations: Sequence[Operation]) -> object:
    return await table.submit_transaction(list(operations))


@pytest.fixture
async def service(tables: str) -> AsyncIterator[TableServiceClient]:
    async with table_service(tables) as service:
        yield service


@pytest.fixture
async def table(service: TableServiceClient) -> TableClient:
    return await service.create_table(f"t{uuid.uuid4().hex}")


async def rows(table: TableClient) -> list[Any]:
    """All rows with the types of their columns."""
    return [[(name, type(value), value) for name, value in row.items()] async for row in table.list_entities()]


def row(key: str, **columns: Any) -> dict[str, Any]:
    return {"PartitionKey": "p", "RowKey": key, **columns}


async def refused(submit: Submit, table: TableClient, operations: Sequence[Operation]) -> tuple[object, ...]:
    """What a caller can see of a refusal."""
    with pytest.raises(HttpResponseError) as raised:
        await submit(table, operations)
    error: Any = raised.value
    return type(error), error.status_code, str(error.error_code), getattr(error, "index", None)


async def test_rows_are_those_that_the_sdk_would_have_written(service: TableServiceClient) -> None:
    found = []
    for submit in (transaction.submit, by_the_sdk):
        table = await service.create_table(f"t{uuid.uuid4().hex}")
        for key in ("merged", "replaced", "upserted", "deleted", "guarded"):
            await table.create_entity(row(key, Old=1, Text="old"))
        etag = (await table.get_entity("p", "guarded")).metadata["etag"]
        guard = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        read = await table.get_entity("p", "merged")
        await submit(
            table,
            [
                (CREATE, row("created", **COLUMNS)),
                (UPDATE, dict(read) | COLUMNS),
                (UPDATE, row("replaced", **COLUMNS), REPLACE),
                (UPSERT, row("upserted", **COLUMNS)),
                (UPSERT, row("new", **COLUMNS), REPLACE),
                (DELETE, row("deleted")),
                (UPDATE, row("guarded", **COLUMNS), REPLACE | guard),
            ],
        )
        # What was read is written again as it was: the SDK keeps the digits of its times.
        again = await table.get_entity("p", "created")
        await submit(table, [(UPSERT, dict(again) | {"RowKey": "again"}), (DELETE, row("replaced"))])
        found.append(await rows(table))
    assert found[0] == found[1]
    assert len(found[0]) == 6


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_odd_keys_are_those_that_the_sdk_would_have_written(service: TableServiceClient, key: str) -> None:
    found = []
    for submit in (transaction.submit, by_the_sdk):
        table = await service.create_table(f"t{uuid.uuid4().hex}")
        try:
            await submit(table, [(CREATE, row(key)), (UPSERT, row(f"{key}2", A=1)), (UPSERT, row("z"))])
            await submit(table, [(UPDATE, row(key, B=2)), (DELETE, row(f"{key}2"))])
        except HttpResponseError as error:
            found.append([error.status_code])
        found.append(await rows(table))
    half = len(found) // 2
    assert found[:half] == found[half:]


@pytest.mark.parametrize(
    "last",
    [
        (CREATE, row("there")),
        (UPDATE, row("there"), REPLACE | STALE),
        (UPDATE, row("there"), STALE),
        (DELETE, row("there"), STALE),
        (UPDATE, row("missing")),
        (UPDATE, row("missing"), REPLACE),
        (DELETE, row("missing")),
        (UPSERT, row("new", Long="x" * 40_000)),
    ],
)
async def test_a_refused_operation_is_the_error_of_the_sdk_and_nothing_is_done(
    table: TableClient, last: Operation
) -> None:
    await table.create_entity(row("there"))
    before = await rows(table)
    operations: list[Operation] = [(UPSERT, row("first")), last]
    ours = await refused(transaction.submit, table, operations)
    assert ours == await refused(by_the_sdk, table, operations)
    assert issubclass(ours[0], TableTransactionError)  # type: ignore[arg-type]
    assert await rows(table) == before


async def test_a_row_that_comes_twice_is_the_error_of_the_sdk(table: TableClient) -> None:
    twice: list[Operation] = [(UPSERT, row("twice")), (UPSERT, row("twice"))]
    assert await refused(transaction.submit, table, twice) == await refused(by_the_sdk, table, twice)
    assert await rows(table) == []


async def test_more_than_a_hundred_operations_are_refused_by_an_answer_that_the_sdk_cannot_read(
    table: TableClient,
) -> None:
    operations: list[Operation] = [(UPSERT, row(f"{number}")) for number in range(101)]
    assert await refused(transaction.submit, table, operations) == (TableTransactionError, 400, "InvalidInput", 0)
    with pytest.raises(BadStatusLine):  # Azurite puts a line before the status
        await by_the_sdk(table, operations)
    assert await rows(table) == []


async def test_a_table_that_is_not_there_is_the_error_of_the_sdk(service: TableServiceClient) -> None:
    table = service.get_table_client("Nowhere")
    assert await refused(transaction.submit, table, [(UPSERT, ROW)]) == await refused(
        by_the_sdk, table, [(UPSERT, ROW)]
    )


async def test_a_hundred_rows_give_their_etags_in_order(table: TableClient) -> None:
    found = await transaction.submit(table, [(CREATE, row(f"{number:02}")) for number in range(100)])
    assert found == [entity.metadata["etag"] async for entity in table.list_entities()]
    assert await transaction.submit(table, [(DELETE, row("00")), (DELETE, row("01"))]) == ["", ""]


async def test_rows_are_replaced_and_deleted_though_another_process_deletes_some(table: TableClient) -> None:
    every = [row(f"{number:03}") for number in range(201)]
    await transaction.replace(table, [{**each, "Old": True} for each in every])
    await transaction.replace(table, every)
    assert [{**found} async for found in table.list_entities()] == every
    await table.delete_entity("p", "150")
    await transaction.delete(table, every[1:])
    assert [{**found} async for found in table.list_entities()] == every[:1]


async def test_a_deletion_that_is_refused_for_another_reason_is_an_error(table: TableClient) -> None:
    await transaction.replace(table, [row("a"), row("b")])
    with pytest.raises(TableTransactionError):
        await transaction.delete(table, [row("a"), row("b"), row("a")])


async def test_a_lost_race_is_reported_as_one_and_recorded(table: TableClient) -> None:
    await table.create_entity(ROW)
    recorded: list[Mapping[str, str]] = []
    meters.listen(lambda _metric, _value, attributes: recorded.append(attributes))
    try:
        with pytest.raises(LostRaceError), table_errors(guarded=True):
            await transaction.submit(table, [(UPSERT, row("new")), (UPDATE, ROW, STALE)])
    finally:
        meters.listen(None)
    assert recorded == [{"table": table.table_name, "op": "transaction", "outcome": "conflict"}]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b'{"a": 1}', id="another body"),
        pytest.param(b"", id="no body"),
        pytest.param(SECRET.encode(), id="text"),
    ],
)
async def test_an_answer_that_is_none_is_an_unavailable_service_and_quotes_nothing(
    proxy: TableProxy, table: TableClient, answer: bytes
) -> None:
    async with table_service(proxy.connection_string) as service:
        proxy.faults.answer("write", answer)
        with pytest.raises(UnavailableError) as raised, table_errors(guarded=True):
            await transaction.submit(service.get_table_client(table.table_name), [(UPSERT, ROW)])
        assert str(raised.value) == "tables is unavailable: UnreadableAnswerError"
        assert SECRET not in repr(raised.value.__cause__)
        assert await transaction.submit(service.get_table_client(table.table_name), [(UPSERT, ROW)])


async def test_a_busy_service_is_asked_again_and_after_a_cut_connection_once(
    proxy: TableProxy, table: TableClient
) -> None:
    async with table_service(proxy.connection_string) as service:
        client = service.get_table_client(table.table_name)
        proxy.faults.add("write", 503, retry_after=0)
        assert await transaction.submit(client, [(UPSERT, ROW)])
        proxy.faults.cut("write", 2)
        with pytest.raises(UnavailableError), table_errors():
            await transaction.submit(client, [(UPSERT, ROW)])
        assert proxy.requests_of[table.table_name]["write"] == 4


@pytest.mark.parametrize("status", [403, 404, 409, 412, 413, 500])
@pytest.mark.parametrize("body", [b"", b"<Error/>", b'{"odata.error": 1}'])
async def test_a_transaction_that_is_refused_without_a_reason_has_the_class_and_status_of_the_sdk(
    status: int, body: bytes
) -> None:
    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status, body=body, headers={"retry-after-ms": "1"})

    runner = web.ServerRunner(web.Server(refuse))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    connection = f"AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:{runner.addresses[0][1]}/a"
    async with table_service(f"{connection};DefaultEndpointsProtocol=http") as service:
        with pytest.raises(HttpResponseError) as raised:
            await transaction.submit(service.get_table_client("T"), [(UPSERT, ROW)])
    await runner.cleanup()
    assert raised.value.status_code == status
    assert isinstance(raised.value, TableTransactionError) == (status == 413)


def test_a_body_is_a_changeset_with_a_request_for_each_operation() -> None:
    partition, text = (
        '"PartitionKey": "p", "PartitionKey@odata.type": "Edm.String"',
        '"RowKey@odata.type": "Edm.String"',
    )
    guarded: Operation = (UPDATE, row("a'b"), REPLACE | {"etag": "W/1"})
    body = encode("http://h/T", [(CREATE, row("r", Long=EntityProperty(1, EdmType.INT64))), guarded], "batch_1")
    assert body.decode().split("\r\n") == [
        "--batch_1",
        "Content-Type: multipart/mixed; boundary=changeset_1",
        "",
        "--changeset_1",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "Content-ID: 0",
        "",
        "POST http://h/T HTTP/1.1",
        "DataServiceVersion: 3.0",
        "Accept: application/json;odata=minimalmetadata",
        "Prefer: return-no-content",
        "Content-Type: application/json",
        "Content-Length: 157",
        "",
        f'{{{partition}, "RowKey": "r", {text}, "Long": "1", "Long@odata.type": "Edm.Int64"}}',
        "--changeset_1",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "Content-ID: 1",
        "",
        "PUT http://h/T(PartitionKey='p',RowKey='a%27%27b') HTTP/1.1",
        "DataServiceVersion: 3.0",
        "Accept: application/json;odata=minimalmetadata",
        "If-Match: W/1",
        "Content-Type: application/json",
        "Content-Length: 114",
        "",
        f'{{{partition}, "RowKey": "a\'b", {text}}}',
        "--changeset_1--",
        "--batch_1--",
        "",
    ]


def answer(*parts: str) -> bytes:
    """An answer as the service documents it."""
    inner = "".join(
        f"--cs\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{part}\r\n"
        for part in parts
    )
    head = "--b\r\nContent-Type: multipart/mixed; boundary=cs\r\n\r\n"
    return f"{head}{inner}--cs--\r\n--b--\r\n".encode()


STORED = 'HTTP/1.1 204 No Content\r\nContent-ID: 0\r\nETag: W/"1"\r\n\r\n'
GONE = "HTTP/1.1 204 No Content\r\nContent-ID: 1\r\n\r\n"
REFUSAL = 'HTTP/1.1 409 Conflict\r\n\r\n{"odata.error":{"code":"C","message":{"value":"3:x"}}}'
MIXED = "multipart/mixed; boundary=b"


def test_an_answer_gives_the_etag_of_each_row() -> None:
    assert list(decode(MIXED, answer(STORED, GONE))) == [Part(204, 'W/"1"', b"\r\n"), Part(204, "", b"\r\n")]
    assert etags(decode(MIXED, answer(STORED, GONE)), [(UPSERT, ROW), (DELETE, ROW)]) == ['W/"1"', ""]


def test_a_refusal_names_the_operation_and_the_code() -> None:
    with pytest.raises(TableTransactionError) as raised:
        etags(decode('multipart/mixed; boundary="b"', answer(REFUSAL)), [(UPSERT, ROW), (DELETE, ROW)])
    error: Any = raised.value
    assert (error.status_code, error.error_code, error.index) == (409, "C", 3)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", answer(STORED)),
        ("multipart/mixed", answer(STORED)),
        ("multipart/mixed; boundary=other", answer(STORED)),
        (MIXED, b""),
        (MIXED, answer(STORED)[:-6]),
        (MIXED, answer(STORED).replace(b"--cs--", b"")),
        (MIXED, answer(STORED).replace(b"HTTP/1.1 204", b"204")),
        (MIXED, answer(STORED).replace(b"boundary=cs", b"")),
        (MIXED, answer(GONE)),
        (MIXED, answer()),
        (MIXED, answer(STORED, STORED)),
        (MIXED, b"--b--"),
    ],
)
def test_what_is_not_the_answer_to_a_transaction_is_an_error_that_does_not_quote_it(
    content_type: str, body: bytes
) -> None:
    with pytest.raises(UnreadableAnswerError, match=r"^(the|a part of the) answer to a transaction [a-z ]+$"):
        etags(decode(content_type, body), [(UPSERT, ROW)])
