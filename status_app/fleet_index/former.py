"""Reads what the previous release left in DeploymentIndex, partitions `shard:<0 to f>`, until the index is built.

Only two kinds of its rows are needed: unpublished events, and what becomes due meanwhile.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from azure.data.tables.aio import TableClient

from status_app.fleet_index.rows import SHARDS, shard_of
from status_app.storage.client import PAGE, table_errors
from status_app.storage.keys import joined, key_part, time_text, unescape

_PARTITIONS: Final = {shard: shard.replace("index:", "shard:") for shard in SHARDS}


class FormerIndex:
    """Reads the index of the previous release. Every method raises UnavailableError if the service does not answer."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def first_unsent(self, device_id: str) -> int | None:
        """Return the first unpublished sequence of a device; None if there is none. One request."""
        begin = joined("unsent", key_part(device_id), "")
        partition = _PARTITIONS[shard_of(device_id)]
        query = f"PartitionKey eq '{partition}' and RowKey ge '{begin}' and RowKey lt '{begin[:-1]}}}'"
        with table_errors():
            async for row in self._client.query_entities(query, results_per_page=1, select=["RowKey"]):
                return int(str(row["RowKey"]).rpartition("|")[2].partition("-")[0])
        return None

    async def unsent(self) -> list[str]:
        """Return the devices with unpublished events. At least one request per partition."""
        found = dict[str, None]()
        with table_errors():
            for partition in _PARTITIONS.values():
                bounds = "RowKey ge 'unsent|' and RowKey lt 'unsent}'"
                query = f"PartitionKey eq '{partition}' and {bounds}"
                async for row in self._client.query_entities(query, select=["Device"]):
                    found[unescape(row["Device"])] = None
        return list(found)

    async def due(self, now: datetime) -> list[str]:
        """Return the devices that are due, at most a page per partition. One request each."""
        shards = await asyncio.gather(*(self._due(partition, now) for partition in _PARTITIONS.values()))
        return [device_id for shard in shards for device_id in shard]

    async def _due(self, partition: str, now: datetime) -> Sequence[str]:
        bounds = f"RowKey ge 'deadline|' and RowKey le 'deadline|{time_text(now)}|~'"
        query = f"PartitionKey eq '{partition}' and {bounds}"
        found: list[str] = []
        with table_errors():
            async for row in self._client.query_entities(query, results_per_page=PAGE, select=["Device"]):
                found.append(unescape(row["Device"]))
                if len(found) == PAGE:
                    break
        return found
