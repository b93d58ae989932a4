"""The table Notices: a partition for each target, of what it was told, and of what it is still to be sent.

to:<target>   target                                              how the target is
to:<target>   cause|<deployment>|<version>|<cohort>|<cause>       what people were told of a cause
to:<target>   unsent|<when it came>|<id>                          a message that is not sent yet
to:<target>   given-up|<when it came>|<id>                        one that is not sent any more, with the reason
"""

import asyncio
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity, TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.fleet_index.leading_cause import cause_id
from status_app.storage import transaction
from status_app.storage.client import PAGE, TRANSACTION_LIMIT, table_errors
from status_app.storage.columns import NOTICE_COLUMNS, TARGET_COLUMNS, TOLD_COLUMNS, Row, built, read, write
from status_app.storage.keys import joined, key_part
from status_app.telemetry.logs import log

TABLE: Final = "Notices"
_TARGET: Final = "target"
_UNSENT: Final = "unsent"
_GIVEN_UP: Final = "given-up"
_CAUSE: Final = "cause"
_PART: Final = 60_000
"""Bytes of a part of a body: a column takes 64 KiB."""
_TRANSACTION_SIZE: Final = 1_000_000
"""Bytes of bodies in one transaction, which takes 4 MiB, and they grow by a third in JSON."""
_UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError, zlib.error)

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target is.

    Attributes:
        failures: Times in a row that it could not be asked; 0 where it took the last message.
        error: Why it could not be asked the last time; empty where it could.
        failing_since: When the first of these times was. It says nothing where there is none.
        paused_until: It is not asked before.
        unsent: How many messages waited for it at the end of the last run: `PAGE` stands for as many, or more.
        given_up: Messages that were given up, ever.
        given_up_at: When the last of them was.
    """

    failures: int = 0
    error: str = ""
    failing_since: datetime | None = None
    paused_until: datetime | None = None
    unsent: int = 0
    given_up: int = 0
    given_up_at: datetime | None = None

    def is_paused(self, now: datetime) -> bool:
        """Whether the target is left alone."""
        return self.paused_until is not None and now < self.paused_until


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that is not sent yet.

    Attributes:
        id: Of the news.
        body: The news as JSON in UTF-8: the event of the event hub, or a message about a cause.
        queued_at: When it came. With the id it is the key of the row, so whoever comes again finds the row there.
        kept_at: When it was kept first: the day in which it is sent again begins then.
        due_at: Not before then.
        attempts: How often it was sent, and not taken.
        error: Why it was not taken the last time.
        given_up_at: When it was given up.
    """

    id: str
    body: bytes
    queued_at: datetime
    kept_at: datetime
    due_at: datetime
    attempts: int = 0
    error: str = ""
    given_up_at: datetime | None = None

    @property
    def key(self) -> str:
        """What the RowKey says beside the kind."""
        digest = hashlib.sha256(self.id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return f"{_time_text(self.queued_at)}|{digest}"


@dataclass(frozen=True, slots=True)
class AboutCause:
    """What a message is about: devices of one version of a deployment that fail alike.

    Attributes:
        cohort: Those of one cohort; empty: all of them.
        cause: The cause in one line.
    """

    deployment: str
    version: int
    cohort: str
    cause: str

    @property
    def key(self) -> str:
        """Its RowKey."""
        parts = key_part(self.deployment), f"{self.version:09d}", key_part(self.cohort), cause_id(self.cause)
        return joined(_CAUSE, *parts)


@dataclass(frozen=True, slots=True)
class ToldCause:
    """What a target was told of a cause.

    Attributes:
        seen_at: When the first device was found.
        gone_at: When no device was found any more.
        told: How many messages there were.
        told_devices: How many devices the last of them named.
        etag: Of its row; None where it has none yet.
    """

    about: AboutCause
    seen_at: datetime
    gone_at: datetime | None = None
    told: int = 0
    told_devices: int = 0
    etag: str | None = None


class NoticeRows:
    """Reads and writes the table. Every method raises UnavailableError where the table service does not answer."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def state(self, target: str) -> TargetState:
        """How a target is. One request; no table is as an empty one."""
        rows = await self._query(target, f"RowKey eq '{_TARGET}'")
        return _state(rows[0]) if rows else TargetState()

    async def states(self, targets: Iterable[str]) -> dict[str, TargetState]:
        """How some targets are. A request for each."""
        names = list(targets)
        return dict(zip(names, await asyncio.gather(*map(self.state, names)), strict=True))

    async def keep_state(self, target: str, state: TargetState) -> None:
        """Keep how a target is, but for the messages that were given up. What is None stays as it was."""
        row = {**_key(target, _TARGET), **write(TARGET_COLUMNS, replace(state, given_up_at=None))}
        del row["GivenUp"]
        with table_errors():
            await self._client.upsert_entity(row, mode=UpdateMode.MERGE)

    async def queued(self, target: str, first: datetime, last: datetime) -> set[str]:
        """The keys of kept messages that came within some time. One request for a thousand."""
        bounds = f"RowKey ge '{_UNSENT}|{_time_text(first)}' and RowKey lt '{_UNSENT}|{_time_text(last)}}}'"
        return {row["RowKey"].partition("|")[2] for row in await self._query(target, bounds, select=("RowKey",))}

    async def due(self, target: str, now: datetime, *, kept_before: datetime | None = None) -> list[Notice]:
        """The first page of messages that are due, the oldest first. One that cannot be read costs itself.

        Args:
            target: Its name.
            now: The time, in UTC.
            kept_before: Only those that are kept since then, or for longer.
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
        """How many messages wait: at most `PAGE`. One request."""
        bounds = f"RowKey gt '{_UNSENT}|' and RowKey lt '{_UNSENT}}}'"
        return len(await self._query(target, bounds, limit=PAGE, select=("RowKey",)))

    async def keep(self, target: str, notices: Iterable[Notice]) -> None:
        """Keep messages that are still to be sent; one that is kept already is replaced."""
        for some in _batches(notices):
            await self._submit([_upsert(target, notice) for notice in some])

    async def sent(self, target: str, notices: Sequence[Notice]) -> None:
        """Forget messages that were sent."""
        for some in _batches(notices):
            await self._submit([_delete(target, notice) for notice in some])

    async def give_up(self, target: str, notices: Sequence[Notice], now: datetime) -> None:
        """Keep messages as dead letters, each with its reason, and count them."""
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

    async def told(self, target: str) -> dict[str, ToldCause]:
        """What a target was told of causes, by the keys of these."""
        found = {}
        for row in await self._query(target, f"RowKey ge '{_CAUSE}|' and RowKey lt '{_CAUSE}}}'"):
            try:
                known = _told(row)
            except _UNREADABLE as error:
                _log.error("row %r of Notices cannot be read: %s", row["RowKey"], type(error).__name__)
            else:
                found[known.about.key] = known
        return found

    async def tell(self, target: str, told: ToldCause, notice: Notice | None, *, is_over: bool = False) -> None:
        """Keep what a target knows of a cause, with the message that says so: both or none.

        Args:
            target: Its name.
            told: What it knows from now on.
            notice: The message; None where there is none yet.
            is_over: Nothing is left to be told, and what it was told is forgotten.

        Raises:
            LostRaceError: Another run was first.
        """
        row = {**_key(target, told.about.key), **write(TOLD_COLUMNS, told)}
        guard = {"etag": told.etag, "match_condition": MatchConditions.IfNotModified}
        operations: list[transaction.Operation] = []
        if told.etag is None:
            operations.append((TransactionOperation.CREATE, row))
        elif is_over:
            operations.append((TransactionOperation.DELETE, row, guard))
        else:
            operations.append((TransactionOperation.UPDATE, row, {"mode": UpdateMode.REPLACE, **guard}))
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
    return TransactionOperation.UPSERT, row, {"mode": UpdateMode.REPLACE}


def _delete(target: str, notice: Notice) -> transaction.Operation:
    return TransactionOperation.DELETE, _key(target, f"{_UNSENT}|{notice.key}")


def _batches(notices: Iterable[Notice], limit: int = TRANSACTION_LIMIT) -> Iterator[list[Notice]]:
    """Messages, by as many as one transaction takes. One that comes twice is taken once."""
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


def _told(row: TableEntity) -> ToldCause:
    values = read(TOLD_COLUMNS, row)
    return built(ToldCause, values, about=built(AboutCause, values, "about."), etag=row.metadata["etag"])


def _state(row: Mapping[str, Any]) -> TargetState:
    values = {name: value for name, value in read(TARGET_COLUMNS, row).items() if value is not None}
    return built(TargetState, values)


def _time_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _filter_text(time: datetime) -> str:
    return f"datetime'{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"
