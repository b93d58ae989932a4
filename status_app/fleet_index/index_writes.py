"""Writes of the index that are made together: those of the looks that are under way, in one transaction a shard.

A look waits twice, for the rows before its change and for those after it. When each look waits, or the first has for
`LINGER` seconds, all that wait are written: a batch of a hundred devices writes each of the sixteen shards once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from azure.core.exceptions import HttpResponseError
from azure.data.tables import TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.storage import transaction
from status_app.storage.client import TRANSACTION_LIMIT, is_unavailable

LINGER: Final = 0.25
"""Seconds that a write waits for the others: one look may wait for an answer of the hub for much longer."""

type Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Write:
    """What a look writes into a shard, or deletes from it: at most a transaction."""

    operation: TransactionOperation
    entities: Sequence[Entity]
    done: asyncio.Future[None]

    @property
    def place(self) -> tuple[TransactionOperation, str]:
        """What can be in one transaction with it. Rows to write are never in one with rows to delete."""
        return self.operation, self.entities[0]["PartitionKey"]


class IndexWrites:
    """Joins the writes of looks that are under way."""

    def __init__(self, client: TableClient) -> None:
        self._client = client
        self._looks = 0
        self._waiting: list[_Write] = []
        self._linger: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()

    @contextmanager
    def look(self) -> Iterator[None]:
        """A look that may write: the others wait for it, for a moment."""
        self._looks += 1
        try:
            yield
        finally:
            self._looks -= 1
            self._flush_when_all_wait()

    async def submit(self, operation: TransactionOperation, entities: Sequence[Entity]) -> None:
        """Write rows of one shard, or delete them; a row to delete that is not there is none too many.

        Raises:
            AzureError: They are not written, or not all.
        """
        loop, writes = asyncio.get_running_loop(), []
        for start in range(0, len(entities), TRANSACTION_LIMIT):
            part = entities[start : start + TRANSACTION_LIMIT]
            writes.append(_Write(operation, part, loop.create_future()))
        self._waiting += writes
        self._flush_when_all_wait()
        if self._waiting and self._linger is None:
            self._linger = loop.call_later(LINGER, self._flush)
        await asyncio.gather(*(write.done for write in writes))

    def _flush_when_all_wait(self) -> None:
        if len(self._waiting) >= self._looks:
            self._flush()

    def _flush(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        waiting, self._waiting = self._waiting, []
        for writes in _transactions(waiting):
            flush = asyncio.create_task(self._write(writes))
            self._flushes.add(flush)
            flush.add_done_callback(self._flushes.discard)

    async def _write(self, writes: Sequence[_Write]) -> None:
        """Make one transaction of several writes. What the service will never take fails alone."""
        try:
            await self._transact(writes)
        except HttpResponseError as error:
            if len(writes) == 1 or is_unavailable(error):
                _end(writes, error)
            else:
                await asyncio.gather(*(self._write([write]) for write in writes))
        except BaseException as error:  # noqa: BLE001 (it is raised where the write waits)
            _end(writes, error)
        else:
            _end(writes)

    async def _transact(self, writes: Sequence[_Write]) -> None:
        # Two looks at one device write the same row: it has one key because it says one thing.
        rows = {entity["RowKey"]: entity for write in writes for entity in write.entities}
        operation, entities = writes[0].operation, list(rows.values())
        if operation is TransactionOperation.UPSERT:
            if len(entities) == 1:  # cheaper alone
                await self._client.upsert_entity(entities[0], mode=UpdateMode.REPLACE)
                return
            replace = {"mode": UpdateMode.REPLACE}
            await transaction.submit(self._client, [(operation, entity, replace) for entity in entities])
            return
        if len(entities) > 1:
            try:
                await transaction.submit(self._client, [(operation, entity) for entity in entities])
            except HttpResponseError as error:
                if error.status_code != HTTPStatus.NOT_FOUND:  # of one row, and then none is deleted
                    raise
            else:
                return
        for entity in entities:
            await self._client.delete_entity(entity)


def _transactions(writes: Sequence[_Write]) -> Iterator[list[_Write]]:
    """Writes that can be made together, as many as a transaction can hold."""
    places = defaultdict[tuple[TransactionOperation, str], list[_Write]](list)
    for write in writes:
        found = places[write.place]
        if sum(len(other.entities) for other in (*found, write)) > TRANSACTION_LIMIT:
            yield found.copy()
            found.clear()
        found.append(write)
    yield from places.values()


def _end(writes: Sequence[_Write], error: BaseException | None = None) -> None:
    for write in writes:
        if write.done.done():  # its look was cancelled
            continue
        if error is None:
            write.done.set_result(None)
        else:
            write.done.set_exception(error)
