"""The table Notices: one partition per target, with what was announced to it and what is still unsent.

to:<target>   target                                              the target's state
to:<target>   cause|<deployment>|<version>|<cohort>|<cause>       what was announced of a cause
to:<target>   unsent|<arrival>|<id>                               a message that was not sent yet
to:<target>   given-up|<arrival>|<id>                             one that was given up, with the reason
"""

import asyncio
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity, TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.notify.notices import CAUSE_KEY, AboutCause, CauseRecord, Notice, TargetState, time_key
from status_app.storage import transaction
from status_app.storage.client import PAGE, TRANSACTION_LIMIT, table_errors
from status_app.storage.columns import CAUSE_COLUMNS, NOTICE_COLUMNS, TARGET_COLUMNS, Row, built, read, write
from status_app.telemetry.logs import log

TABLE: Final = "Notices"
_TARGET: Final = "target"
_UNSENT: Final = "unsent"
_GIVEN_UP: Final = "given-up"
_PART: Final = 60_000
"""Bytes of a part of a body: a column takes 64 KiB."""
_TRANSACTION_SIZE: Final = 1_000_000
"""Bytes of bodies in one transaction, which takes 4 MiB, and they grow by a third in JSON."""
_UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError, zlib.error)

_log = log(__name__)


class NoticeRows:
    """Reads and writes the table. Every method raises UnavailableError if the table service does not answer."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def state(self, target: str) -> TargetState:
        """Read the state of a target. A missing table counts as empty. One request."""
        rows = await self._query(target, f"RowKey eq '{_TARGET}'")
        return _state(rows[0]) if rows else TargetState()

    async def states(self, targets: Iterable[str]) -> dict[str, TargetState]:
        """Read the states of some targets. One request each."""
        names = list(targets)
        return dict(zip(names, await asyncio.gather(*map(self.state, names)), strict=True))

    async def keep_state(self, target: str, state: TargetState) -> None:
        """Store the state of a target, without the messages given up. Fields that are None keep their value."""
        row = {**_key(target, _TARGET), **write(TARGET_COLUMNS, replace(state, given_up_at=None))}
        del row["GivenUp"]
        with table_errors():
            await self._client.upsert_entity(row, mode=UpdateMode.MERGE)

    async def queued(self, target: str, first: datetime, last: datetime) -> set[str]:
        """Return the keys of stored messages that arrived between two times. One request per thousand."""
        bounds = f"RowKey ge '{_UNSENT}|{time_key(first)}' and RowKey lt '{_UNSENT}|{time_key(last)}}}'"
        return {row["RowKey"].partition("|")[2] for row in await self._query(target, bounds, select=("RowKey",))}

    async def due(self, target: str, now: datetime, *, kept_before: datetime | None = None) -> list[Notice]:
        """Read the first page of messages that are due, oldest first. An unreadable one is logged and skipped.

        Args:
            target: Its name.
            now: The time in UTC.
            kept_before: Only messages stored before this time.
        """
        bounds = f"RowKey gt '{_UNSENT}|' and RowKey lt '{_UNSENT}}}' and DueAt le {_filter_text(now)}"
        if kept_before is not None:
            bounds += f" and KeptAt le {_filter_text(kept_before)}"
        found = []
        for row in await self._query(target, bounds, limit=PAGE):
            try:
                found.append(_notice(row))
            except _UNREADABLE as error:
                _log.error("row %r of Notices cannot be read: %s", row["RowKey"], type(error).__name__)
        return found

    async def unsent(self, target: str) -> int:
        """Count the messages that wait, up to `PAGE`. One request."""
        bounds = f"RowKey gt '{_UNSENT}|' and RowKey lt '{_UNSENT}}}'"
        return len(await self._query(target, bounds, limit=PAGE, select=("RowKey",)))

    async def keep(self, target: str, notices: Iterable[Notice]) -> None:
        """Store messages that are still to be sent, or replace them."""
        for some in _batches(notices):
            await self._submit([_upsert(target, notice) for notice in some])

    async def sent(self, target: str, notices: Sequence[Notice]) -> None:
        """Delete messages that were sent."""
        for some in _batches(notices):
            await self._submit([_delete(target, notice) for notice in some])

    async def give_up(self, target: str, notices: Sequence[Notice], now: datetime) -> None:
        """Store messages as dead letters, each with its reason, and count them."""
        for some in _batches(notices, limit=(TRANSACTION_LIMIT - 1) // 2):
            known = await self.state(target)
            counted = {**_key(target, _TARGET), "GivenUp": known.given_up + len(some), "LastGivenUpAt": now}
            operations: list[transaction.Operation] = [
                (TransactionOperation.UPSERT, counted, {"mode": UpdateMode.MERGE})
            ]
            for notice in some:
                operations += (
                    _delete(target, notice),
                    _upsert(target, replace(notice, given_up_at=now), kind=_GIVEN_UP),
                )
            await self._submit(operations)

    async def causes(self, target: str) -> dict[str, CauseRecord]:
        """Read what was announced to a target, by the keys of the causes."""
        found = {}
        for row in await self._query(target, f"RowKey ge '{CAUSE_KEY}|' and RowKey lt '{CAUSE_KEY}}}'"):
            try:
                known = _cause_record(row)
            except _UNREADABLE as error:
                _log.error("row %r of Notices cannot be read: %s", row["RowKey"], type(error).__name__)
            else:
                found[known.about.key] = known
        return found

    async def keep_cause(
        self, target: str, record: CauseRecord, notice: Notice | None, *, is_over: bool = False
    ) -> None:
        """Store what was announced of a cause together with the notice: both or none.

        Args:
            target: Its name.
            record: The new record.
            notice: The notice; None if there is none yet.
            is_over: Nothing is left to announce, so delete the record.

        Raises:
            LostRaceError: Another run was first.
        """
        row = {**_key(target, record.about.key), **write(CAUSE_COLUMNS, record)}
        guard = {"etag": record.etag, "match_condition": MatchConditions.IfNotModified}
        operations: list[transaction.Operation] = []
        if record.etag is None:
            operations.append((TransactionOperation.CREATE, row))
        elif is_over:
            operations.append((TransactionOperation.DELETE, row, guard))
        else:
            operations.append((TransactionOperation.UPDATE, row, {**transaction.REPLACE, **guard}))
        if notice is not None:
            operations.append(_upsert(target, notice))
        with table_errors(guarded=True):
            await transaction.submit(self._client, operations)

    async def _submit(self, operations: Sequence[transaction.Operation]) -> None:
        with table_errors():
            await transaction.submit(self._client, operations)

    async def _query(
        self, target: str, bounds: str, *, limit: int | None = None, select: Sequence[str] | None = None
    ) -> list[TableEntity]:
        found: list[TableEntity] = []
        query = f"PartitionKey eq '{_partition(target)}' and {bounds}"
        rows = self._client.query_entities(
            query, results_per_page=limit or PAGE, select=[*select] if select is not None else None
        )
        try:
            with table_errors():
                async for row in rows:
                    found.append(row)
                    if len(found) == limit:
                        break
        except ResourceNotFoundError:
            return []
        return found


def _partition(target: str) -> str:
    return f"to:{target}"


def _key(target: str, row_key: str) -> dict[str, str]:
    return {"PartitionKey": _partition(target), "RowKey": row_key}


def _upsert(target: str, notice: Notice, *, kind: str = _UNSENT) -> transaction.Operation:
    packed = zlib.compress(notice.body, level=9)
    parts = [packed[start : start + _PART] for start in range(0, len(packed), _PART)]
    row: Row = {
        **_key(target, f"{kind}|{notice.key}"),
        **write(NOTICE_COLUMNS, notice, Body=parts[0]),
        **{f"Body{number:02d}": part for number, part in enumerate(parts[1:], 1)},
    }
    return TransactionOperation.UPSERT, row, transaction.REPLACE


def _delete(target: str, notice: Notice) -> transaction.Operation:
    return TransactionOperation.DELETE, _key(target, f"{_UNSENT}|{notice.key}")


def _batches(notices: Iterable[Notice], limit: int = TRANSACTION_LIMIT) -> Iterator[list[Notice]]:
    """Split messages into batches that fit into a transaction, without duplicates."""
    batch, size = list[Notice](), 0
    for notice in {notice.key: notice for notice in notices}.values():
        if batch and (len(batch) == limit or size + len(notice.body) > _TRANSACTION_SIZE):
            yield batch
            batch, size = [], 0
        batch.append(notice)
        size += len(notice.body)
    if batch:
        yield batch


def _notice(row: Mapping[str, Any]) -> Notice:
    parts = [row["Body"]]
    while (name := f"Body{len(parts):02d}") in row:
        parts.append(row[name])
    return built(Notice, read(NOTICE_COLUMNS, row), body=zlib.decompress(b"".join(parts)))


def _cause_record(row: TableEntity) -> CauseRecord:
    values = read(CAUSE_COLUMNS, row)
    return built(CauseRecord, values, about=built(AboutCause, values, "about."), etag=row.metadata["etag"])


def _state(row: Mapping[str, Any]) -> TargetState:
    values = {name: value for name, value in read(TARGET_COLUMNS, row).items() if value is not None}
    return built(TargetState, values)


def _filter_text(time: datetime) -> str:
    return f"datetime'{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"
