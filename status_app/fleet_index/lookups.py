"""Asks DeploymentIndex: what is to be done by now, which devices are like this, and how many."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient

from status_app.fleet_index.rows import MORE, MOVED, PENDING, RECONCILE, SHARDS, time_text
from status_app.storage.client import PAGE, table_errors
from status_app.storage.codecs import read_number
from status_app.storage.keys import DEVICE, beginning, key_part, unescape
from status_app.telemetry.logs import log

TABLE: Final = "DeploymentIndex"
_LIKE: Final = frozenset({"Deployment", "State", "Reason", "Portal", "Stuck"})
"""Columns that every counter has, beside how many devices it counts."""

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One row that leads to a device.

    Attributes:
        shard: Its partition.
        key: Its RowKey.
        written: When it was written, by the clock of the table service; None where the service does not say.
    """

    device_id: str
    shard: str
    key: str
    columns: Mapping[str, Any]
    written: datetime | None


@dataclass(frozen=True, slots=True)
class Work:
    """What a timer has to do by now.

    Attributes:
        due: Devices that need a look, the longest overdue first.
        announced: Changes that were announced and are not projected, and devices of which events are not published.
        more: Devices with more rows or counters than the index has room for.
        moved: For each shard in which counters ever moved, what changes each time they do.
    """

    due: list[IndexEntry]
    announced: list[IndexEntry]
    more: list[str]
    moved: dict[str, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many devices of a deployment are alike.

    Attributes:
        standing: How far they are in it; empty in a counter of format 1.
        version: When the hub created the deployment, by the list that they were judged by; empty where none says so.
    """

    deployment: str
    state: str
    reason: str
    portal: str
    is_stuck: bool
    standing: str
    version: str
    devices: int


class FleetIndex:
    """Reads the index. Every method raises UnavailableError where the table service does not answer."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def work(self, now: datetime) -> Work:
        """What is to be done by now: of each shard at most a page, in one request."""
        bounds = f"RowKey ge '{PENDING}|' and RowKey le '{RECONCILE}|{time_text(now)}|~'"
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, bounds, PAGE) for shard in SHARDS))
        work = Work([], [], [], {})
        rows = [row for shard in shards for row in shard]
        work.moved.update((row["PartitionKey"], str(row.metadata["etag"])) for row in rows if row["RowKey"] == MOVED)
        for entry in _entries(row for row in rows if row["RowKey"] != MOVED):
            if entry.key.startswith(MORE):
                work.more.append(entry.device_id)
            elif entry.key.startswith(f"{RECONCILE}|"):
                work.due.append(entry)
            else:
                work.announced.append(entry)
        work.due.sort(key=lambda entry: entry.key)
        return work

    async def page(
        self, prefix: str, after: str | None, limit: int, *, before: str | None = None, where: str = ""
    ) -> list[IndexEntry]:
        """The first rows of a kind, of the whole fleet, in the order of their keys. A request for each shard.

        Args:
            prefix: With what the keys begin: some parts of a key, each with the `|` behind it.
            after: The RowKey behind which to begin; None for the first.
            limit: How many, at most `PAGE`.
            before: The RowKey at which to end; None for the last.
            where: What the columns have to be beside, as a filter.
        """
        end = f"RowKey lt '{before or _behind(prefix)}'"
        begin = f"RowKey ge '{prefix}'" if after is None else f"RowKey gt '{after}'"
        query = f"{begin} and {end}" + (f" and {where}" if where else "")
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, query, limit) for shard in SHARDS))
        found = _entries(row for shard in shards for row in shard)
        return sorted(found, key=lambda entry: entry.key)[:limit]

    async def more(self) -> list[str]:
        """Devices with more rows or counters than there is room for. At least a request for each shard."""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within(MORE)) for shard in SHARDS))
        return [entry.device_id for entry in _entries(row for shard in shards for row in shard)]

    async def devices(self) -> AsyncIterator[str]:
        """Every device of which the index says something, or will; some twice. A request for each thousand."""
        for kind in ("summary", PENDING):
            async for entry in self._all(f"{kind}|"):
                yield entry.device_id

    async def counters(self, deployment: str | None = None) -> list[Counted]:
        """Devices by what they are like: of one deployment, or of all. At least a request for each shard."""
        prefix = "count|" if deployment is None else beginning("count", key_part(deployment))
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within(prefix)) for shard in SHARDS))
        return list(_counters(row for shard in shards for row in shard))

    async def stuck(self) -> tuple[int, int]:
        """How many devices are stuck themselves, and how many modules: of each shard at most a page, in one request."""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within("module|"), PAGE) for shard in SHARDS))
        rows = [row.get("Row") for shard in shards for row in shard]
        devices = rows.count(DEVICE)
        return devices, len(rows) - devices

    async def _all(self, prefix: str) -> AsyncIterator[IndexEntry]:
        for shard in SHARDS:
            with table_errors():
                async for row in self._client.query_entities(f"PartitionKey eq '{shard}' and {_within(prefix)}"):
                    for entry in _entries([row]):
                        yield entry

    async def _rows(self, shard: str, query: str, limit: int | None = None) -> list[TableEntity]:
        """Rows of a shard; the service may give them in several answers, some of them empty."""
        found: list[TableEntity] = []
        rows = self._client.query_entities(f"PartitionKey eq '{shard}' and {query}", results_per_page=limit or PAGE)
        async for row in rows:
            found.append(row)
            if len(found) == limit:
                break
        return found


def counted(like: Mapping[str, Any], devices: int) -> Counted:
    """Devices that are like this, by the columns of a counter."""
    deployment, stuck = unescape(like["Deployment"]), bool(like["Stuck"])
    said = like["State"], like["Reason"], like["Portal"], stuck, like.get("Standing", ""), like.get("Version", "")
    return Counted(deployment, *said, devices)


def _entries(rows: Iterable[TableEntity]) -> Iterator[IndexEntry]:
    """The rows that name a device; another one costs itself."""
    for row in rows:
        device, written = row.get("Device"), row.metadata.get("timestamp")
        if isinstance(device, str):
            yield IndexEntry(unescape(device), row["PartitionKey"], row["RowKey"], row, written)
        else:
            _log.error("row %r of the index names no device", row["RowKey"])


def _counters(rows: Iterable[TableEntity]) -> Iterator[Counted]:
    """What the counters of deployments say; those of a cohort count the same devices again."""
    for row in rows:
        _, _, cohort, *_ = row["RowKey"].split("|")
        devices = read_number(row.get("Devices"))
        if cohort:
            continue
        if isinstance(devices, int) and row.keys() >= _LIKE:
            yield counted(row, devices)
        else:
            _log.error("counter %r cannot be read", row["RowKey"])


def _within(prefix: str) -> str:
    return f"RowKey ge '{prefix}' and RowKey lt '{_behind(prefix)}'"


def _behind(prefix: str) -> str:
    """The first key behind those that begin so: behind the `|` at its end comes `}`."""
    return prefix[:-1] + "}"
