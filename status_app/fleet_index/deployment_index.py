"""The table DeploymentIndex: written beside each change of a device, asked by timers and of the whole fleet.

Its rows, and what they promise, are those of `index_rows`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError
from azure.data.tables import TableEntity, TransactionOperation
from azure.data.tables.aio import TableClient

from status_app.fleet_index.index_rows import SHARDS, IndexKey, IndexRows, Pointer, place, time_text
from status_app.fleet_index.index_writes import IndexWrites
from status_app.fleet_index.members import COLUMNS, Member, RowsOf, member_of, read_member
from status_app.status_table.rows import read_time
from status_app.storage.client import table_errors
from status_app.storage.keys import DEVICE, beginning, joined, key_part, unescape

TABLE: Final = "DeploymentIndex"
WRITERS_END_AFTER: Final = timedelta(minutes=15)
"""No writer is longer between an index row and its change: a function runs for ten minutes at most (host.json)."""
PAGE: Final = 1000
"""Rows of one answer, and deadlines of a shard that one run takes on; the others are next."""
_STUCK: Final = "StuckSince ge datetime'1970-01-01T00:00:00Z'"
"""What rows are that have the column at all."""


class DeploymentIndex:
    """Reads and writes the index."""

    def __init__(self, client: TableClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._writes = IndexWrites(client)

    async def add(self, rows: IndexRows) -> None:
        """Write rows, before the change that they belong to.

        Raises:
            UnavailableError: The table service does not answer.
        """
        written = self._clock()
        await self._submit(
            TransactionOperation.UPSERT,
            ({**_entity(key), **columns, "Written": written} for key, columns in rows.items()),
        )

    async def remove(self, keys: Iterable[IndexKey]) -> None:
        """Delete rows, after the change that they no longer belong to. A row that is not there is none too many.

        Raises:
            UnavailableError: The table service does not answer.
        """
        await self._submit(TransactionOperation.DELETE, map(_entity, keys))

    def look(self) -> AbstractContextManager[None]:
        """A look that may write: its rows are written together with those of the other looks."""
        return self._writes.look()

    async def discard(self, pointer: Pointer) -> None:
        """Delete a row that no device has, unless its writer may still be between the row and its change.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if self._clock() - pointer.written < WRITERS_END_AFTER:
            return
        partition, row = pointer.key
        with table_errors(), suppress(ResourceModifiedError):
            await self._client.delete_entity(
                partition, row, etag=pointer.etag, match_condition=MatchConditions.IfNotModified
            )

    async def due(self, now: datetime) -> list[Pointer]:
        """The deadlines that are due, the oldest first: of each shard at most a page, in one request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        return await self._first(f"RowKey ge 'deadline|' and RowKey le 'deadline|{time_text(now)}|~'", PAGE)

    async def page(
        self, prefix: str, after: str | None, limit: int, *, before: str | None = None, where: str = ""
    ) -> list[Pointer]:
        """The first rows of a kind, of the whole fleet, in the order of their keys. A request for each shard.

        Args:
            prefix: With what the keys begin: some parts of a key, each with the `|` behind it.
            after: The RowKey behind which to begin; None for the first.
            limit: How many, at most `PAGE`.
            before: The RowKey at which to end; None for the last.
            where: What the columns have to be beside, as a filter.

        Raises:
            UnavailableError: The table service does not answer.
        """
        end = f"RowKey lt '{before or behind(prefix)}'"
        begin = f"RowKey ge '{prefix}'" if after is None else f"RowKey gt '{after}'"
        query = f"{begin} and {end}" + (f" and {where}" if where else "")
        return (await self._first(query, limit))[:limit]

    async def stuck_members(self, deployment: str, rows_of: RowsOf) -> list[Member]:
        """The devices of a deployment of which something is stuck. A request for each thousand, at least one a shard.

        Args:
            deployment: The deployment.
            rows_of: Asks a device for its rows.

        Raises:
            UnavailableError: The table service does not answer.
        """
        begin = beginning("deployment", key_part(deployment))
        shards = await asyncio.gather(*(self.rows_by_device(shard, begin, behind(begin), _STUCK) for shard in SHARDS))
        found = [await member_of(rows, rows_of) for shard in shards for rows in shard.values()]
        return [member for member in found if member is not None]

    async def rows_by_device(self, shard: str, begin: str, end: str, where: str = "") -> dict[str, list[Member]]:
        """Rows by deployment of a shard, for each partition of a device, in their order. A request for each thousand.

        Args:
            shard: The shard.
            begin: The first key.
            end: The key behind the last.
            where: What the columns have to be beside, as a filter.

        Raises:
            UnavailableError: The table service does not answer.
        """
        found: dict[str, list[Member]] = {}
        query = f"PartitionKey eq '{shard}' and RowKey ge '{begin}' and RowKey lt '{end}'{where and f' and {where}'}"
        with table_errors():
            async for row in self._client.query_entities(query, select=COLUMNS):
                found.setdefault(row["Device"], []).append(read_member(row))
        return found

    async def changed(self, deployment: str | None = None) -> list[Pointer]:
        """The changes that may not be in the counts of deployments yet: of one, or of all. At least a request a shard.

        Raises:
            UnavailableError: The table service does not answer.
        """
        prefix = "changed|" if deployment is None else beginning("changed", key_part(deployment))

        async def every(shard: str) -> list[Pointer]:
            return [pointer async for pointer in self._all(shard, prefix)]

        return list(chain.from_iterable(await asyncio.gather(*map(every, SHARDS))))

    async def devices(self) -> AsyncIterator[Pointer]:
        """Every device that has a state, and some that have it no longer. One request for each thousand.

        Raises:
            UnavailableError: The table service does not answer.
        """
        for shard in SHARDS:
            async for pointer in self._all(shard, "state|"):
                yield pointer

    async def doubtful(self) -> AsyncIterator[Pointer]:
        """Rows that may be left behind, by a change or by a writer that never came to it.

        All rows of a device are of one generation, so of the devices by state, by deployment, and of what is stuck
        those rows are doubtful that are not of the only generation by state. One request for each thousand rows,
        those by state twice.

        Raises:
            UnavailableError: The table service does not answer.
        """
        for shard in SHARDS:
            generations = defaultdict[str, set[Any]](set)
            async for pointer in self._all(shard, "state|"):
                generations[pointer.device_id].add(pointer.columns["Generation"])
            for prefix in ("state|", "deployment|", "stuck|", "module|"):
                async for pointer in self._all(shard, prefix):
                    if generations.get(pointer.device_id) != {pointer.columns["Generation"]}:
                        yield pointer

    async def stuck(self) -> tuple[int, int]:
        """How many devices are stuck themselves, and how many modules are. Of each shard at most a page is counted.

        Raises:
            UnavailableError: The table service does not answer.
        """
        rows = [pointer.columns["Row"] for pointer in await self._first(_within("module|"), PAGE)]
        devices = rows.count(DEVICE)
        return devices, len(rows) - devices

    async def unsent(self, device_id: str | None = None) -> list[Pointer]:
        """What is not published, in the order of its sequences: of one device, or, at most a page a shard, of all.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if device_id is None:
            return await self._first(_within("unsent|"), PAGE)
        device, shard = place(device_id)
        with table_errors():
            return await self._rows(shard, _within(joined("unsent", device, "")), PAGE)

    async def _submit(self, operation: TransactionOperation, entities: Iterable[dict[str, Any]]) -> None:
        shards = defaultdict[str, list[dict[str, Any]]](list)
        for entity in entities:
            shards[entity["PartitionKey"]].append(entity)
        with table_errors():
            await asyncio.gather(*(self._writes.submit(operation, found) for found in shards.values()))

    async def _first(self, query: str, limit: int) -> list[Pointer]:
        """The first rows of each shard, in the order of their keys."""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, query, limit) for shard in SHARDS))
        return sorted((pointer for shard in shards for pointer in shard), key=lambda pointer: pointer.key[1])

    async def _rows(self, shard: str, query: str, limit: int) -> list[Pointer]:
        """The first rows of a shard; the service may give them in several answers, some of them empty."""
        found: list[Pointer] = []
        async for row in self._client.query_entities(f"PartitionKey eq '{shard}' and {query}", results_per_page=limit):
            found.append(_pointer(row))
            if len(found) == limit:
                break
        return found

    async def _all(self, shard: str, prefix: str) -> AsyncIterator[Pointer]:
        with table_errors():
            async for row in self._client.query_entities(f"PartitionKey eq '{shard}' and {_within(prefix)}"):
                yield _pointer(row)


def _entity(key: IndexKey) -> dict[str, Any]:
    partition, row = key
    return {"PartitionKey": partition, "RowKey": row}


def _pointer(row: TableEntity) -> Pointer:
    key = row["PartitionKey"], row["RowKey"]
    return Pointer(unescape(row["Device"]), key, row, str(row.metadata["etag"]), read_time(row["Written"]))


def _within(prefix: str) -> str:
    return f"RowKey ge '{prefix}' and RowKey lt '{behind(prefix)}'"


def behind(prefix: str) -> str:
    """The first key behind those that begin so: behind the `|` at its end comes `}`."""
    return prefix[:-1] + "}"
