"""One set of cases for the table service in memory and for a real one with the SDK: both answer alike."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from http.client import BadStatusLine
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableServiceClient

from local.tables.memory import Tables, TableService

TIME = datetime(2026, 1, 1, 2, 3, 4, 567891, tzinfo=UTC)
GUARD = {"match_condition": MatchConditions.IfNotModified}
KEY = {"PartitionKey": "p", "RowKey": "r"}


class Word(StrEnum):
    READY = "ready"


@pytest.fixture(params=["azurite", "memory"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield TableService(Tables())
        return
    async with TableServiceClient.from_connection_string(request.getfixturevalue("tables")) as client:
        yield client
        async for table in client.list_tables():
            await client.delete_table(table.name)


@pytest.fixture
async def table(service: Any) -> Any:
    await service.create_table_if_not_exists("Status")
    return service.get_table_client("Status")


async def rows(table: Any, query: str = "", **options: Any) -> list[Any]:
    found = table.query_entities(query, **options) if query else table.list_entities(**options)
    return [row async for row in found]


async def fill(table: Any, *keys: str) -> None:
    for key in keys:
        partition, _, row = key.partition("/")
        await table.upsert_entity({"PartitionKey": partition, "RowKey": row, "Word": row * 2})


def status(error: pytest.ExceptionInfo[HttpResponseError]) -> int | None:
    return error.value.status_code


async def test_values_come_back_as_they_were_with_their_types(table: Any) -> None:
    sent = {
        "Text": "it's ü / \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "Word": Word.READY,
        "Small": -7,
        "Long": EntityProperty(2**62, EdmType.INT64),
        "Yes": True,
        "Half": 0.5,
        "Bytes": b"\x00\xff",
        "Time": TIME,
        "Local": TIME.astimezone(timezone(timedelta(hours=2))),
        "Nothing": None,
        "Empty": "",
    }
    await table.create_entity(KEY | sent)
    (row,) = await rows(table, "PartitionKey eq 'p'")
    del sent["Nothing"]
    assert dict(row) == KEY | sent
    assert {name: type(row[name]) for name in ("Small", "Long", "Yes", "Half", "Bytes")} == {
        "Small": int,
        "Long": EntityProperty,
        "Yes": bool,
        "Half": float,
        "Bytes": bytes,
    }
    assert row["Local"].utcoffset() == timedelta(0)
    assert row["Time"].microsecond == TIME.microsecond
    with pytest.raises(TypeError):
        await table.upsert_entity(KEY | {"Large": 2**31})
    with pytest.raises(TypeError):
        await table.upsert_entity(KEY | {"List": []})


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["a/1", "a/2", "a/A", "a/a", "a/|", "a/~", "b/1"]),
        ("PartitionKey eq 'a'", ["a/1", "a/2", "a/A", "a/a", "a/|", "a/~"]),
        ("PartitionKey eq 'a' and RowKey ge '2' and RowKey lt 'a'", ["a/2", "a/A"]),
        ("PartitionKey eq 'a' and RowKey gt 'A' and RowKey le '|~'", ["a/a", "a/|"]),
        ("PartitionKey ne 'a'", ["b/1"]),
        ("PartitionKey ge 'a' and PartitionKey lt 'b' and RowKey eq '1'", ["a/1"]),
        ("Word eq 'AA'", ["a/A"]),
        ("Other eq 'AA'", []),
        ("PartitionKey eq 'b' and not (Other eq 'AA')", ["b/1"]),
        ("PartitionKey eq 'a' and not (Word eq 'AA') and RowKey lt 'a'", ["a/1", "a/2"]),
        ("not (PartitionKey eq 'a')", ["b/1"]),
        ("PartitionKey eq 'it''s'", []),
    ],
)
async def test_a_query_gives_what_its_filter_selects_in_the_order_of_the_keys(
    table: Any, query: str, found: list[str]
) -> None:
    await fill(table, "b/1", "a/~", "a/|", "a/a", "a/A", "a/2", "a/1")
    assert [f"{row['PartitionKey']}/{row['RowKey']}" for row in await rows(table, query)] == found


async def test_a_parameter_is_quoted_and_a_selection_gives_no_other_column(table: Any) -> None:
    await table.upsert_entity(KEY | {"Reason": "it's", "Other": 1})
    found = await rows(table, "Reason eq @reason", parameters={"reason": "it's"}, select=["RowKey", "Reason", "No"])
    assert [{name: value for name, value in row.items() if value is not None} for row in found] == [
        {"RowKey": "r", "Reason": "it's"}
    ]
    assert found[0].metadata["etag"]


async def test_pages_hold_as_many_as_were_asked_for_and_follow_each_other(table: Any) -> None:
    await fill(table, *(f"{partition}/{number}" for partition in "ab" for number in range(4)))
    pages = [[row["RowKey"] async for row in page] async for page in table.list_entities(results_per_page=3).by_page()]
    assert [key for page in pages for key in page] == ["0", "1", "2", "3"] * 2
    assert max(map(len, pages)) == 3


async def test_a_write_of_another_kind_merges_replaces_or_is_refused(table: Any) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        await table.update_entity(KEY | {"A": 1})
    assert status(missing) == 404
    await table.create_entity(KEY | {"A": 1})
    with pytest.raises(ResourceExistsError) as exists:
        await table.create_entity(KEY | {"A": 2})
    assert status(exists) == 409
    await table.upsert_entity(KEY | {"B": 2})
    assert [dict(row) for row in await rows(table)] == [KEY | {"A": 1, "B": 2}]
    await table.update_entity(KEY | {"C": 3}, mode=UpdateMode.REPLACE)
    assert [dict(row) for row in await rows(table)] == [KEY | {"C": 3}]
    await table.upsert_entity(KEY | {"D": 4}, UpdateMode.REPLACE)
    assert [dict(row) for row in await rows(table)] == [KEY | {"D": 4}]


async def test_an_etag_holds_until_the_next_write(table: Any) -> None:
    first = (await table.upsert_entity(KEY | {"A": 1}))["etag"]
    second = (await table.update_entity(KEY | {"A": 2}, etag=first, **GUARD))["etag"]
    assert second != first
    (row,) = await rows(table)
    assert row.metadata["etag"] == second
    with pytest.raises(ResourceModifiedError) as modified:
        await table.update_entity(KEY | {"A": 3}, etag=first, **GUARD)
    assert status(modified) == 412
    with pytest.raises(ResourceModifiedError):
        await table.delete_entity("p", "r", etag=first, **GUARD)
    await table.delete_entity(row, **GUARD)
    assert await rows(table) == []


async def test_a_deletion_of_what_is_not_there_is_no_error(table: Any) -> None:
    await table.delete_entity("p", "r")
    await table.delete_entity(KEY)
    await table.delete_entity("p", "r", etag='W/"x"', **GUARD)


async def test_a_transaction_is_done_whole_and_gives_etags(table: Any) -> None:
    await fill(table, "p/a", "p/b", "p/c")
    etag = (await rows(table, "RowKey eq 'a'"))[0].metadata["etag"]
    answers = await table.submit_transaction(
        [
            ("create", KEY | {"A": 1}),
            ("upsert", KEY | {"RowKey": "b", "A": 1}, {"mode": UpdateMode.REPLACE}),
            ("delete", KEY | {"RowKey": "c"}),
            ("update", KEY | {"RowKey": "a", "A": 1}, {"mode": UpdateMode.MERGE, "etag": etag, **GUARD}),
        ]
    )
    found = {row["RowKey"]: dict(row) for row in await rows(table)}
    assert found.keys() == {"a", "b", "r"}
    assert found["b"] == KEY | {"RowKey": "b", "A": 1}
    assert found["a"]["Word"] == "aa"
    assert answers[-1]["etag"] == (await rows(table, "RowKey eq 'a'"))[0].metadata["etag"]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (("create", KEY | {"RowKey": "a"}), 409),
        (("update", KEY | {"RowKey": "x"}), 404),
        (("delete", KEY | {"RowKey": "x"}), 404),
        (("update", KEY | {"RowKey": "a"}, {"etag": "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\"", **GUARD}), 412),
        (("delete", KEY | {"RowKey": "a"}, {"etag": "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\"", **GUARD}), 412),
        (("upsert", KEY), 400),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
async def test_a_transaction_of_which_one_part_fails_is_not_done(table: Any, operation: Any, code: int) -> None:
    await fill(table, "p/a")
    before = await rows(table)
    with pytest.raises(TableTransactionError) as refused:
        await table.submit_transaction([("upsert", KEY), operation])
    assert status(refused) == code
    assert await rows(table) == before
    assert [row.metadata["etag"] for row in await rows(table)] == [row.metadata["etag"] for row in before]


@pytest.mark.parametrize("count", [100, 101])
async def test_a_transaction_holds_a_hundred_operations(table: Any, count: int) -> None:
    operations = [("upsert", KEY | {"RowKey": str(number)}) for number in range(count)]
    if count > 100:
        with pytest.raises((HttpResponseError, BadStatusLine)):  # the SDK cannot read how Azurite refuses it
            await table.submit_transaction(operations)
    else:
        await table.submit_transaction(operations)
    assert len(await rows(table)) == (count if count == 100 else 0)


async def test_a_call_to_a_missing_table_is_refused_with_404(service: Any) -> None:
    table = service.get_table_client("Nowhere")
    for call in (lambda: rows(table, "PartitionKey eq 'p'"), lambda: table.upsert_entity(KEY)):
        with pytest.raises(ResourceNotFoundError) as missing:
            await call()
        assert status(missing) == 404
    with pytest.raises(HttpResponseError) as refused:
        await table.submit_transaction([("upsert", KEY)])
    assert status(refused) == 404


async def test_a_table_is_created_once(service: Any) -> None:
    for _ in range(2):
        await service.create_table_if_not_exists("Twice")
    assert await rows(service.get_table_client("Twice")) == []
