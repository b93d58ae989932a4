"""Asks DeploymentIndex: what is to be done by now, which devices are like this, and how many."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient

from status_app.fleet_index.profile import PROFILE
from status_app.fleet_index.rows import MORE, MOVED, PENDING, RECONCILE, SHARDS, time_text
from status_app.storage.client import PAGE, table_errors
from status_app.storage.codecs import read_number
from status_app.storage.keys import DEVICE, beginning, joined, key_part, unescape
from status_app.telemetry.logs import log

TABLE: Final = "DeploymentIndex"
PAGES: Final = 8
"""Pages of summaries that are looked through for one answer, of each shard: some 128,000 devices."""
FOUND_BY: Final = ("PartitionKey", "RowKey", "Device", *PROFILE)
COMPARED_BY: Final = ("PartitionKey", "RowKey", "Device", "TwinVersion", "At", "State", "Deployments", "Flags")
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
        deployment: The deployment; empty where devices of the whole fleet are counted.
        standing: How far they are in it; empty in a counter of format 1.
        version: When the hub created the deployment, by the list that they were judged by; empty where none says so.
        cause: The cause that they are counted under, in one line; empty where it is none.
        cohort: The cohort that they are in; empty where those of all cohorts are counted.
    """

    deployment: str
    state: str
    reason: str
    portal: str
    is_stuck: bool
    standing: str
    version: str
    devices: int
    cause: str = ""
    cohort: str = ""


@dataclass(frozen=True, slots=True)
class CauseRows:
    """Some of the devices that are counted under a cause.

    Attributes:
        first: Those that have it the longest, in that order.
        newest: The one that has it the shortest; None where a shard has more of them than are read.
    """

    first: Sequence[IndexEntry]
    newest: IndexEntry | None


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

    async def profiles(
        self, prefix: str, after: str | None, limit: int, where: str, matches: Callable[[IndexEntry], bool]
    ) -> tuple[list[IndexEntry], str | None]:
        """The first summaries that match, in the order of their keys. Of each shard at most `PAGES` pages.

        Args:
            prefix: With what the id of a device begins.
            after: The RowKey behind which to begin; None for the first.
            limit: How many.
            where: What the columns have to be, as a filter; empty: anything.
            matches: What else they have to be.

        Returns:
            The summaries, and the RowKey behind which there may be more; None where there is none.
        """
        first = joined("summary", key_part(prefix)) if prefix else "summary|"
        bounds = f"RowKey lt '{_next(first)}'" + (f" and {where}" if where else "")
        begin = f"RowKey ge '{_quoted(first)}'" if after is None else f"RowKey gt '{after}'"
        places, found = dict.fromkeys(SHARDS, begin), list[IndexEntry]()
        reached: dict[str, str] = {}
        for _ in range(PAGES):
            with table_errors():
                answers = await asyncio.gather(
                    *(self._rows(shard, f"{place} and {bounds}", PAGE, FOUND_BY) for shard, place in places.items())
                )
            for shard, rows in zip([*places], answers, strict=True):
                found += filter(matches, _entries(rows))
                if len(rows) < PAGE:
                    del places[shard]
                    reached.pop(shard, None)
                else:
                    reached[shard] = rows[-1]["RowKey"]
                    places[shard] = f"RowKey gt '{reached[shard]}'"
            end = min(reached.values(), default=None)
            known = sorted((entry for entry in found if end is None or entry.key <= end), key=lambda entry: entry.key)
            if len(known) > limit:
                return known[:limit], known[limit - 1].key
            if end is None:
                return known, None
        return known, end

    async def all_profiles(self) -> list[IndexEntry]:
        """Every summary, with its profile. A request for each thousand devices, and one for each shard at least."""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within("summary|"), None, FOUND_BY) for shard in SHARDS))
        return list(_entries(row for shard in shards for row in shard))

    async def compared_by(self, shard: str, after: str | None) -> tuple[list[IndexEntry], str | None]:
        """The next summaries of a shard with what says whether a twin is as it was: at most a page, in one request.

        Args:
            shard: The partition.
            after: The RowKey behind which to begin; None for the first.

        Returns:
            The summaries, and the RowKey behind which there may be more; None where there is none.
        """
        query = f"RowKey gt '{after or 'summary|'}' and RowKey lt '{_behind('summary|')}'"
        with table_errors():
            rows = await self._rows(shard, query, PAGE, COMPARED_BY)
        return list(_entries(rows)), rows[-1]["RowKey"] if len(rows) == PAGE else None

    async def devices(self) -> AsyncIterator[str]:
        """Every device of which the index says something, or will; some twice. A request for each thousand."""
        for kind in ("summary", PENDING):
            async for entry in self._all(f"{kind}|"):
                yield entry.device_id

    async def counters(self, deployment: str | None = None, cohort: str = "") -> list[Counted]:
        """Devices by what they are like. At least a request for each shard.

        Args:
            deployment: Those of one deployment; empty: those of the fleet that have a cause; None: those of each
                deployment.
            cohort: Those of one cohort, beside one deployment or the fleet; empty: those of all.
        """
        prefix, of_all = "count|", " and Deployment ne ''"
        if deployment is not None:
            prefix, of_all = beginning("count", key_part(deployment), key_part(cohort)), ""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within(prefix) + of_all) for shard in SHARDS))
        found = _counters(row for shard in shards for row in shard)
        return [item for item in found if deployment in (None, item.deployment) and item.cohort == cohort]

    async def causes(
        self, causes: Collection[str], count: int, matches: Callable[[IndexEntry], bool]
    ) -> dict[str, CauseRows]:
        """The first devices under some causes, and the newest. A request for each shard.

        One more for each cause of which a shard has more than a page: what is left of it is passed over.

        Args:
            causes: Their ids.
            count: How many first devices are wanted of each.
            matches: Which devices are meant.
        """
        with table_errors():
            shards = await asyncio.gather(*(self._causes_of_shard(shard, causes, count, matches) for shard in SHARDS))
        rows = defaultdict[str, list[IndexEntry]](list)
        cut = set[str]()
        for entries, passed in shards:
            cut |= passed
            for cause, found in entries.items():
                rows[cause] += found
        return {
            cause: CauseRows(
                sorted(found, key=lambda entry: entry.key)[:count],
                None if cause in cut else max(found, key=lambda entry: entry.key),
            )
            for cause, found in rows.items()
        }

    async def _causes_of_shard(
        self, shard: str, causes: Collection[str], count: int, matches: Callable[[IndexEntry], bool]
    ) -> tuple[dict[str, list[IndexEntry]], set[str]]:
        """What a shard has of some causes, in the order of its keys, and those of which something was passed over."""
        found, passed, begin = defaultdict[str, list[IndexEntry]](list), set[str](), "cause|"
        while True:
            rows = await self._rows(shard, f"RowKey gt '{begin}' and RowKey lt '{_behind('cause|')}'", PAGE)
            for entry in _entries(rows):
                cause = _cause_of(entry.key)
                if cause in causes and matches(entry):
                    found[cause].append(entry)
            if len(rows) < PAGE:
                return found, passed
            begin = rows[-1]["RowKey"]
            last = _cause_of(begin)
            if last not in causes or len(found[last]) >= count:
                passed.add(last)
                begin = _behind(f"cause|{last}|")

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

    async def _rows(
        self, shard: str, query: str, limit: int | None = None, columns: Sequence[str] | None = None
    ) -> list[TableEntity]:
        """Rows of a shard, or some of their columns; the service may give several answers, some of them empty."""
        found: list[TableEntity] = []
        rows = self._client.query_entities(
            f"PartitionKey eq '{shard}' and {query}",
            results_per_page=limit or PAGE,
            select=[*columns] if columns is not None else None,
        )
        async for row in rows:
            found.append(row)
            if len(found) == limit:
                break
        return found


def counted(like: Mapping[str, Any], devices: int) -> Counted:
    """Devices that are like this, by the columns of a counter."""
    deployment, stuck = unescape(like["Deployment"]), bool(like["Stuck"])
    said = like["State"], like["Reason"], like["Portal"], stuck, like.get("Standing", ""), like.get("Version", "")
    return Counted(deployment, *said, devices, like.get("Cause", ""), like.get("Cohort", ""))


def _entries(rows: Iterable[TableEntity]) -> Iterator[IndexEntry]:
    """The rows that name a device; another one costs itself."""
    for row in rows:
        device, written = row.get("Device"), row.metadata.get("timestamp")
        if isinstance(device, str):
            yield IndexEntry(unescape(device), row["PartitionKey"], row["RowKey"], row, written)
        else:
            _log.error("row %r of the index names no device", row["RowKey"])


def _counters(rows: Iterable[TableEntity]) -> Iterator[Counted]:
    """What counters say; one that cannot be read costs itself."""
    for row in rows:
        devices = read_number(row.get("Devices"))
        if isinstance(devices, int) and row.keys() >= _LIKE:
            yield counted(row, devices)
        else:
            _log.error("counter %r cannot be read", row["RowKey"])


def _cause_of(key: str) -> str:
    """The id of the cause in the key of a row by cause."""
    return key.split("|")[1]


def _within(prefix: str) -> str:
    return f"RowKey ge '{prefix}' and RowKey lt '{_behind(prefix)}'"


def _next(prefix: str) -> str:
    """The first key behind those that begin so, as a text of a filter."""
    return _quoted(prefix[:-1] + chr(ord(prefix[-1]) + 1))


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _behind(prefix: str) -> str:
    """The first key behind those that begin so: behind the `|` at its end comes `}`."""
    return prefix[:-1] + "}"
