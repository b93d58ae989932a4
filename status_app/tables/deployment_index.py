"""The table DeploymentIndex: other ways to find a device than by its id.

A row only points to a device. It is written before the change that it belongs to and removed after it, so a crash
leaves a row too many and never one too few; whoever reads one looks at the device. Rows of a kind are spread over
shards by device, so that no partition takes the writes of the whole fleet.

    deadline:<shard>          <due>|<device>|<generation>              the device needs a look at that time
    stuck:<shard>             <since>|<device>|<generation>            something of the device is stuck
    state:<state>:<shard>     <device>|<generation>                    the device is in that state
    deployment:<id>:<shard>   <device>|<what is asked>|<generation>    the deployment is credited on the device
    unsent:<shard>            <device>|<first>-<last sequence>         these transitions are not published

A device's generation counts the changes of its rows here, so a key that was removed never comes again: a writer who is
late cannot remove the row of another.
"""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient

from status_app.tables.keys import key_part, unescape
from status_app.tables.rows import read_number, read_time
from status_app.tables.service import table_errors

TABLE: Final = "DeploymentIndex"
SHARDS: Final = 16
"""A partition takes 2,000 writes a second; a due read asks each shard once."""
WRITERS_END_AFTER: Final = timedelta(minutes=15)
"""No writer is longer between an index row and its change: a function runs for ten minutes at most (host.json)."""
PAGE: Final = 1000
"""Rows of one answer, and deadlines of a shard that one run takes on; the others are next."""

type IndexKey = tuple[str, str]
"""PartitionKey and RowKey."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """One row: look at this device.

    Attributes:
        written: When the row was written, by the clock of the app.
    """

    device_id: str
    key: IndexKey
    etag: str
    written: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A device on which a deployment is credited, as its index row tells.

    Attributes:
        portal: What IoT Hub's own counters say; empty for nothing.
        stuck_since: Since when something of it is stuck.
    """

    device_id: str
    state: str
    reason: str
    portal: str
    stuck_since: datetime | None


def index_keys(device_id: str, row: Mapping[str, Any]) -> frozenset[IndexKey]:
    """The index rows of a device, by the columns of its own row in DeploymentStatus."""
    device, shard = _place(device_id)
    generation = read_number(row.get("Generation")) or 0
    keys = {(f"state:{row['State']}:{shard}", f"{device}|{generation}")}
    if "LookAt" in row:
        keys.add((f"deadline:{shard}", f"{_text(row['LookAt'])}|{device}|{generation}"))
    stuck_since = _text(row["FirstStuckSince"]) if "FirstStuckSince" in row else ""
    if stuck_since:
        keys.add((f"stuck:{shard}", f"{stuck_since}|{device}|{generation}"))
    asked = "|".join((row["State"], row["Reason"], row.get("Portal", ""), stuck_since))
    for deployment in json.loads(row["Deployments"]):
        keys.add((f"deployment:{key_part(deployment)}:{shard}", f"{device}|{asked}|{generation}"))
    return frozenset(keys)


def deployments_of(keys: Iterable[IndexKey]) -> set[str]:
    """The deployments that rows speak of."""
    parts = (partition.split(":") for partition, _ in keys)
    return {unescape(part[1]) for part in parts if part[0] == "deployment"}


def unsent_key(device_id: str, first: int, last: int) -> IndexKey:
    """The index row of transitions that are not published, by their sequences."""
    device, shard = _place(device_id)
    return f"unsent:{shard}", f"{device}|{first:019d}-{last:019d}"


def unsent_sequences(pointer: Pointer) -> range:
    """The sequences that such a row speaks of."""
    first, _, last = pointer.key[1].rpartition("|")[2].partition("-")
    return range(int(first), int(last) + 1)


class DeploymentIndex:
    """Reads and writes the index."""

    def __init__(self, client: TableClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def add(self, keys: Iterable[IndexKey]) -> None:
        """Write rows, before the change that they belong to.

        Raises:
            UnavailableError: The table service does not answer.
        """
        written = self._clock()
        with table_errors():
            await asyncio.gather(
                *(
                    self._client.upsert_entity({"PartitionKey": partition, "RowKey": row, "Written": written})
                    for partition, row in keys
                )
            )

    async def remove(self, keys: Iterable[IndexKey]) -> None:
        """Delete rows, after the change that they no longer belong to. A row that is not there is none too many.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            await asyncio.gather(*(self._client.delete_entity(partition, row) for partition, row in keys))

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
        shards = await asyncio.gather(*(self._due(f"deadline:{shard:x}", now) for shard in range(SHARDS)))
        return sorted((pointer for shard in shards for pointer in shard), key=lambda pointer: pointer.key[1])

    async def members(self, deployment: str, rows_of: Callable[[str], Awaitable[frozenset[IndexKey]]]) -> list[Member]:
        """The devices on which a deployment is credited, each once. A request for each thousand, at least one a shard.

        Args:
            deployment: The deployment.
            rows_of: Asks a device for its rows: one that has two here, of which a change under way or a crash left one.

        Raises:
            UnavailableError: The table service does not answer.
        """
        shards = await asyncio.gather(*(self._members(deployment, shard) for shard in range(SHARDS)))
        found: list[Member] = []
        for members in (members for shard in shards for members in shard.values()):
            if len(members) == 1:
                found += members.values()
            else:
                keys = await rows_of(next(iter(members.values())).device_id)
                found += [member for key, member in members.items() if key in keys]
        return found

    async def devices(self) -> AsyncIterator[Pointer]:
        """Every device that has a state, and some that have it no longer. One request for each thousand.

        Raises:
            UnavailableError: The table service does not answer.
        """
        async for pointer in self._all("state"):
            yield pointer

    async def doubtful(self) -> AsyncIterator[Pointer]:
        """Rows that may be left behind, by a change or by a writer that never came to it.

        All rows of a device are of one generation, so of the devices by state, by deployment, and of what is stuck
        those rows are doubtful that are not of the only generation by state. One request for each thousand rows,
        those by state twice.

        Raises:
            UnavailableError: The table service does not answer.
        """
        generations: dict[int, str] = {}  # by a hash: whole names of a large fleet take too much
        async for pointer in self._all("state"):
            device, generation = hash(pointer.device_id), _generation(pointer)
            generations[device] = generation if generations.get(device, generation) == generation else ""
        for kind in ("state", "deployment", "stuck"):
            async for pointer in self._all(kind):
                if generations.get(hash(pointer.device_id)) != _generation(pointer):
                    yield pointer

    async def unsent(self, device_id: str | None = None) -> list[Pointer]:
        """What is not published, in the order of its sequences: of one device, or, at most a page, of all.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if device_id is None:
            query = "PartitionKey ge 'unsent:' and PartitionKey lt 'unsent;'"
        else:
            device, shard = _place(device_id)
            query = f"PartitionKey eq 'unsent:{shard}' and RowKey ge '{device}|' and RowKey lt '{device}}}'"
        return [_pointer(row, row["RowKey"].partition("|")[0]) for row in await self._page(query)]

    async def _all(self, kind: str) -> AsyncIterator[Pointer]:
        with table_errors():
            async for row in self._client.query_entities(f"PartitionKey ge '{kind}:' and PartitionKey lt '{kind};'"):
                yield _pointer(row, row["RowKey"].split("|")[kind == "stuck"])

    async def _due(self, partition: str, now: datetime) -> list[Pointer]:
        query = f"PartitionKey eq '{partition}' and RowKey le '{_text(now)}|~'"
        return [_pointer(row, row["RowKey"].split("|")[1]) for row in await self._page(query)]

    async def _page(self, query: str) -> list[TableEntity]:
        """The first rows of a query; the service may give them in several answers, some of them empty."""
        found: list[TableEntity] = []
        with table_errors():
            async for row in self._client.query_entities(query, results_per_page=PAGE):
                found.append(row)
                if len(found) == PAGE:
                    break
        return found

    async def _members(self, deployment: str, shard: int) -> dict[str, dict[IndexKey, Member]]:
        """The rows of a shard, by device."""
        found: dict[str, dict[IndexKey, Member]] = {}
        partition = f"deployment:{key_part(deployment)}:{shard:x}"
        with table_errors():
            async for row in self._client.query_entities(f"PartitionKey eq '{partition}'", select=["RowKey"]):
                device, state, reason, portal, since, _ = row["RowKey"].split("|")
                stuck_since = datetime.fromisoformat(since) if since else None
                member = Member(unescape(device), state, reason, portal, stuck_since)
                found.setdefault(device, {})[partition, row["RowKey"]] = member
        return found


def _place(device_id: str) -> tuple[str, str]:
    """A device as a part of a key, and its shard."""
    device = key_part(device_id)
    return device, f"{zlib.crc32(device.encode('utf-8', 'surrogatepass')) % SHARDS:x}"


def _pointer(row: TableEntity, device: str) -> Pointer:
    key = row["PartitionKey"], row["RowKey"]
    return Pointer(unescape(device), key, str(row.metadata["etag"]), read_time(row["Written"]))


def _generation(pointer: Pointer) -> str:
    return pointer.key[1].rpartition("|")[2]


def _text(time: datetime) -> str:
    """A time whose order is that of its text."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
