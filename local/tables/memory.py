"""Table Storage in memory: what the app calls of azure-data-tables, answered as the service answers it.

A history makes hundreds of calls; the SDK takes 0.25 ms for each before a service has done anything, and Azurite 1.5.
`tests/model/test_tables.py` holds the SDK over Azurite and this to the same cases.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, NoReturn

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import EdmType, EntityProperty, TableEntity, TableTransactionError, UpdateMode

from local.tables.filters import holds, terms_of
from local.tables.pages import Gate, Paged

type Entity = Mapping[str, Any]
type Partitions = dict[str, dict[str, Stored]]

PAGE = 1000
LIMIT = 100
_WIDE = 2**31


@dataclass(frozen=True, slots=True)
class Stored:
    """An entity as it stands: its columns, and the ETag and the time of its last write."""

    columns: Entity
    etag: str
    written: datetime


@dataclass
class Tables:
    """The tables of an account.

    Attributes:
        written: Each version of each entity, with its table, in the order of the writes: a deleted one too.
        limit: Operations that a transaction can hold in DeploymentStatus.
        now: The clock of the service.
        changes: How many operations were done.
    """

    tables: dict[str, Partitions] = field(default_factory=dict)
    written: list[tuple[str, Entity]] = field(default_factory=list)
    limit: int = LIMIT
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    changes: int = 0
    _etags: Iterator[int] = field(default_factory=lambda: count(1))

    def rows(self, table: str) -> list[TableEntity]:
        """All entities of a table, in the order of their keys."""
        return [_given(row) for _, row in _sorted(self.tables.get(table, {}))]

    def etags(self) -> dict[tuple[str, str, str], str]:
        """The ETag of each entity: they are equal as long as nothing is written."""
        return {
            (name, partition, key): row.etag
            for name, partitions in self.tables.items()
            for partition, rows in partitions.items()
            for key, row in rows.items()
        }

    def partitions(self, table: str) -> Partitions:
        """The entities of a table by their keys."""
        if table not in self.tables:
            _refuse(ResourceNotFoundError, 404, "TableNotFound")
        return self.tables[table]

    def put(self, table: str, rows: dict[str, Stored], columns: Entity) -> str:
        """Write an entity among those of its partition; its ETag."""
        etag = f'W/"{next(self._etags)}"'
        rows[columns["RowKey"]] = Stored(columns, etag, self.now())
        self.written.append((table, columns))
        return etag


async def straight(_name: str, do: Callable[[], Any]) -> Any:
    """The gate that is always open."""
    return do()


class TableService:
    """In the place of a TableServiceClient."""

    def __init__(self, tables: Tables, gate: Gate = straight) -> None:
        self._tables = tables
        self._gate = gate

    async def create_table_if_not_exists(self, name: str) -> None:
        """As of the SDK."""
        await self._gate("create_table", lambda: self._tables.tables.setdefault(name, {}))

    def get_table_client(self, name: str) -> "Table":
        """As of the SDK."""
        return Table(self._tables, name, self._gate)

    async def close(self) -> None:
        """Nothing is open."""


class Table:
    """In the place of a TableClient."""

    def __init__(self, tables: Tables, name: str, gate: Gate) -> None:
        self._tables = tables
        self._name = name
        self._gate = gate

    def list_entities(self, *, results_per_page: int = PAGE, select: Sequence[str] | None = None) -> "Paged":
        """As of the SDK."""
        return self.query_entities("", results_per_page=results_per_page, select=select)

    def query_entities(
        self,
        query_filter: str,
        *,
        parameters: Mapping[str, str] | None = None,
        results_per_page: int = PAGE,
        select: Sequence[str] | None = None,
    ) -> "Paged":
        """As of the SDK. Comparisons that are joined by `and` are understood."""
        for name, value in (parameters or {}).items():
            query_filter = query_filter.replace(f"@{name}", "'" + value.replace("'", "''") + "'")
        size = min(results_per_page, PAGE)
        return Paged(self._gate, lambda after: self._page(query_filter, after, size, select))

    async def create_entity(self, entity: Entity) -> Mapping[str, Any]:
        """As of the SDK."""
        return await self._one("create", entity)

    async def upsert_entity(self, entity: Entity, mode: UpdateMode = UpdateMode.MERGE) -> Mapping[str, Any]:
        """As of the SDK."""
        return await self._one("upsert", entity, mode=mode)

    async def update_entity(
        self,
        entity: Entity,
        mode: UpdateMode = UpdateMode.MERGE,
        *,
        etag: str | None = None,
        match_condition: Any = None,
    ) -> Mapping[str, Any]:
        """As of the SDK."""
        return await self._one("update", entity, mode=mode, etag=etag, match_condition=match_condition)

    async def delete_entity(
        self, entity: Any, row_key: str | None = None, *, etag: str | None = None, match_condition: Any = None
    ) -> None:
        """As of the SDK."""
        if row_key is not None:
            entity = {"PartitionKey": entity, "RowKey": row_key}
        try:
            await self._one("delete", entity, etag=etag, match_condition=match_condition)
        except ResourceNotFoundError:  # as the SDK does
            return

    async def submit_transaction(self, operations: Iterable[Sequence[Any]]) -> list[Mapping[str, Any]]:
        """As of the SDK."""
        every: list[Sequence[Any]] = [
            (str(getattr(kind, "value", kind)), _kept(row), *rest) for kind, row, *rest in operations
        ]
        answer: list[Mapping[str, Any]] = await self._gate("submit_transaction", lambda: self._transact(every))
        return answer

    def _page(
        self, query_filter: str, after: tuple[str, str], size: int, select: Sequence[str] | None
    ) -> tuple[list[TableEntity], tuple[str, str] | None]:
        terms = terms_of(query_filter)
        found: list[TableEntity] = []
        last = after
        partitions = self._tables.partitions(self._name)
        is_key = ("PartitionKey", operator.eq, True)
        key = next(
            (value for column, compare, value, is_wanted in terms if (column, compare, is_wanted) == is_key), None
        )
        for keys, row in _sorted(partitions if key is None else {key: partitions.get(key, {})}):
            if keys <= after or not holds(row.columns, terms):
                continue
            if len(found) == size:
                return found, last
            found.append(_given(row, select))
            last = keys
        return found, None

    async def _one(self, kind: str, entity: Entity, **options: Any) -> Mapping[str, Any]:
        row = _kept(entity)
        if options.get("match_condition") and not options.get("etag") and isinstance(entity, TableEntity):
            options["etag"] = entity.metadata["etag"]

        def do() -> Mapping[str, Any]:
            rows = self._tables.partitions(self._name).setdefault(row["PartitionKey"], {})
            return self._apply(rows, kind, row, **options)

        answer: Mapping[str, Any] = await self._gate(f"{kind}_entity", do)
        return answer

    def _transact(self, operations: Sequence[Sequence[Any]]) -> list[Mapping[str, Any]]:
        partitions = self._tables.partitions(self._name)
        keys = [row["RowKey"] for _, row, *_ in operations]
        (partition,) = {row["PartitionKey"] for _, row, *_ in operations}
        if len(operations) > (self._tables.limit if self._name == "DeploymentStatus" else LIMIT):
            _refuse(TableTransactionError, 400, "InvalidInput")
        if len(set(keys)) < len(keys):
            _refuse(TableTransactionError, 400, "InvalidDuplicateRow")
        rows, before = dict(partitions.get(partition, {})), len(self._tables.written)
        try:
            answers = [self._apply(rows, kind, row, **(rest[0] if rest else {})) for kind, row, *rest in operations]
        except HttpResponseError as error:
            del self._tables.written[before:]
            _refuse(TableTransactionError, error.status_code or 0, str(error))
        partitions[partition] = rows
        return answers

    def _apply(  # noqa: PLR0913 (what an operation can be told)
        self,
        rows: dict[str, Stored],
        kind: str,
        row: Entity,
        *,
        mode: UpdateMode = UpdateMode.MERGE,
        etag: str | None = None,
        match_condition: Any = None,
    ) -> Mapping[str, Any]:
        stored = rows.get(row["RowKey"])
        if kind == "create":
            if stored is not None:
                _refuse(ResourceExistsError, 409, "EntityAlreadyExists")
        elif kind != "upsert":
            if stored is None:
                _refuse(ResourceNotFoundError, 404, "ResourceNotFound")
            if match_condition is not None and stored.etag != etag:
                _refuse(ResourceModifiedError, 412, "UpdateConditionNotSatisfied")
        self._tables.changes += 1
        if kind == "delete":
            del rows[row["RowKey"]]
            return {}
        if kind != "create" and mode == UpdateMode.MERGE and stored is not None:
            row = {**stored.columns, **row}
        return {"etag": self._tables.put(self._name, rows, row)}


async def submit(table: Table, operations: Sequence[Sequence[Any]]) -> list[str]:
    """In the place of `status_app.storage.transaction.submit`."""
    return [str(answer.get("etag", "")) for answer in await table.submit_transaction(operations)]


def _sorted(partitions: Partitions) -> Iterable[tuple[tuple[str, str], Stored]]:
    for partition in sorted(partitions):
        rows = partitions[partition]
        for key in sorted(rows):
            yield (partition, key), rows[key]


def _kept(entity: Entity) -> dict[str, Any]:
    """The columns as the service keeps them."""
    return {name: _value(value) for name, value in entity.items() if value is not None}


def _value(value: Any) -> Any:
    kind = type(value)
    if kind in (str, bool, float, bytes):
        return value
    if kind is int:
        if not -_WIDE <= value < _WIDE:
            raise TypeError(f"{value} is too large to be cast to type Edm.Int32.")
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, EntityProperty) and value.edm_type is EdmType.INT64:
        return value
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"The entity's value type {kind} is not supported.")


def _given(row: Stored, select: Sequence[str] | None = None) -> TableEntity:
    columns = row.columns if select is None else {name: row.columns[name] for name in select if name in row.columns}
    entity = TableEntity(columns)
    entity._metadata = {"etag": row.etag, "timestamp": row.written}  # noqa: SLF001 (as the SDK fills it)
    return entity


def _refuse(error: type[HttpResponseError], status: int, code: str) -> NoReturn:
    refusal = error(message=f"0:{code}")
    refusal.status_code = status
    raise refusal
