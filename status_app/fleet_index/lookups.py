"""Queries DeploymentIndex: what is due by now, which devices match, and how many."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from typing import Final

from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient

from status_app.fleet_index.entries import CauseRows, DeviceGroup, IndexEntry, Work, counted_groups, device_entries
from status_app.fleet_index.profile import PROFILE
from status_app.fleet_index.rows import MORE, MOVED, PENDING, RECONCILE, SHARDS
from status_app.storage.client import PAGE, table_errors
from status_app.storage.keys import DEVICE, beginning, joined, key_part, time_text
from status_app.telemetry.logs import log

TABLE: Final = "DeploymentIndex"
PAGES: Final = 8
"""Pages of summaries read per shard for one answer: some 128,000 devices in total."""
FOUND_BY: Final = ("PartitionKey", "RowKey", "Device", *PROFILE)
COMPARED_BY: Final = ("PartitionKey", "RowKey", "Device", "TwinVersion", "At", "State", "Deployments", "Flags")
_log = log(__name__)


class FleetIndex:
    """Reads the index. Every method raises UnavailableError if the table service does not answer."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def work(self, now: datetime) -> Work:
        """Read what is to be done by now: at most a page per shard, in one request each."""
        bounds = f"RowKey ge '{PENDING}|' and RowKey le '{RECONCILE}|{time_text(now)}|~'"
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, bounds, PAGE) for shard in SHARDS))
        work = Work([], [], [], {})
        rows = [row for shard in shards for row in shard]
        work.counter_etags.update(
            (row["PartitionKey"], str(row.metadata["etag"])) for row in rows if row["RowKey"] == MOVED
        )
        for entry in device_entries(row for row in rows if row["RowKey"] != MOVED):
            if entry.key.startswith(MORE):
                work.overflowing.append(entry.device_id)
            elif entry.key.startswith(f"{RECONCILE}|"):
                work.due.append(entry)
            else:
                work.announced.append(entry)
        work.due.sort(key=lambda entry: entry.key)
        return work

    async def page(
        self, prefix: str, after: str | None, limit: int, *, before: str | None = None, where: str = ""
    ) -> list[IndexEntry]:
        """Read the first rows of a kind, over the whole fleet, in order of their keys. One request per shard.

        Args:
            prefix: Prefix of the keys: some parts of a key, each followed by `|`.
            after: The RowKey to start after; None for the beginning.
            limit: How many, at most `PAGE`.
            before: The RowKey to stop at; None for the end.
            where: A further filter on the columns.
        """
        end = f"RowKey lt '{before or _behind(prefix)}'"
        begin = f"RowKey ge '{prefix}'" if after is None else f"RowKey gt '{after}'"
        query = f"{begin} and {end}" + (f" and {where}" if where else "")
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, query, limit) for shard in SHARDS))
        found = device_entries(row for shard in shards for row in shard)
        return sorted(found, key=lambda entry: entry.key)[:limit]

    async def overflowing(self) -> list[str]:
        """Read the devices with more rows or counters than there is room for. At least one request per shard."""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within(MORE)) for shard in SHARDS))
        return [entry.device_id for entry in device_entries(row for shard in shards for row in shard)]

    async def profiles(
        self, prefix: str, after: str | None, limit: int, where: str, matches: Callable[[IndexEntry], bool]
    ) -> tuple[list[IndexEntry], str | None]:
        """Read the first summaries that match, in order of their keys. At most `PAGES` pages per shard.

        Args:
            prefix: Prefix of the device ids.
            after: The RowKey to start after; None for the beginning.
            limit: How many.
            where: A filter on the columns; may be empty.
            matches: A further filter.

        Returns:
            The summaries, and the RowKey after which there may be more; None if there are none.
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
                found += filter(matches, device_entries(rows))
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
        """Read every summary with its profile. One request per thousand devices, and at least one per shard."""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within("summary|"), None, FOUND_BY) for shard in SHARDS))
        return list(device_entries(row for shard in shards for row in shard))

    async def compared_by(self, shard: str, after: str | None) -> tuple[list[IndexEntry], str | None]:
        """Read the next summaries of a shard with the columns that resync compares: at most a page, in one request.

        Args:
            shard: The partition.
            after: The RowKey to start after; None for the beginning.

        Returns:
            The summaries, and the RowKey after which there may be more; None if there are none.
        """
        query = f"RowKey gt '{after or 'summary|'}' and RowKey lt '{_behind('summary|')}'"
        with table_errors():
            rows = await self._rows(shard, query, PAGE, COMPARED_BY)
        return list(device_entries(rows)), rows[-1]["RowKey"] if len(rows) == PAGE else None

    async def devices(self) -> AsyncIterator[str]:
        """Iterate over every device that the index has, or will have; some come twice. One request per thousand."""
        for kind in ("summary", PENDING):
            async for entry in self._all(f"{kind}|"):
                yield entry.device_id

    async def counters(self, deployment: str | None = None, cohort: str = "") -> list[DeviceGroup]:
        """Read the counts of devices, grouped by their properties. At least one request per shard.

        Args:
            deployment: Devices of one deployment; empty for those of the fleet with a cause; None for each deployment.
            cohort: Only devices of this cohort, of the deployment or the fleet; empty for all.
        """
        prefix, of_all = "count|", " and Deployment ne ''"
        if deployment is not None:
            prefix, of_all = beginning("count", key_part(deployment), key_part(cohort)), ""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within(prefix) + of_all) for shard in SHARDS))
        found = counted_groups(row for shard in shards for row in shard)
        return [item for item in found if deployment in (None, item.deployment) and item.cohort == cohort]

    async def causes(
        self, causes: Collection[str], count: int, matches: Callable[[IndexEntry], bool]
    ) -> dict[str, CauseRows]:
        """Read the first devices under some causes, and the newest. One request per shard.

        One more request for each cause of which a shard has more than a page: the rest of it is skipped.

        Args:
            causes: Their ids.
            count: How many first devices to return for each.
            matches: Which devices count.
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
        """Return a shard's devices of some causes, in order of keys, and the causes of which some were skipped."""
        found, passed, begin = defaultdict[str, list[IndexEntry]](list), set[str](), "cause|"
        while True:
            rows = await self._rows(shard, f"RowKey gt '{begin}' and RowKey lt '{_behind('cause|')}'", PAGE)
            for entry in device_entries(rows):
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
        """Count the stuck devices and the stuck modules: at most a page per shard, in one request each."""
        with table_errors():
            shards = await asyncio.gather(*(self._rows(shard, _within("module|"), PAGE) for shard in SHARDS))
        rows = [row.get("Row") for shard in shards for row in shard]
        devices = rows.count(DEVICE)
        return devices, len(rows) - devices

    async def _all(self, prefix: str) -> AsyncIterator[IndexEntry]:
        for shard in SHARDS:
            with table_errors():
                async for row in self._client.query_entities(f"PartitionKey eq '{shard}' and {_within(prefix)}"):
                    for entry in device_entries([row]):
                        yield entry

    async def _rows(
        self, shard: str, query: str, limit: int | None = None, columns: Sequence[str] | None = None
    ) -> list[TableEntity]:
        """Read rows of a shard, or some of their columns. The service may split the answer, with empty parts."""
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


def _cause_of(key: str) -> str:
    """Return the id of the cause in the key of a row by cause."""
    return key.split("|")[1]


def _within(prefix: str) -> str:
    return f"RowKey ge '{prefix}' and RowKey lt '{_behind(prefix)}'"


def _next(prefix: str) -> str:
    """Return the first key after those with a prefix, quoted for a filter."""
    return _quoted(prefix[:-1] + chr(ord(prefix[-1]) + 1))


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _behind(prefix: str) -> str:
    """Return the first key after those with a prefix that ends in `|`, which `}` follows."""
    return prefix[:-1] + "}"
