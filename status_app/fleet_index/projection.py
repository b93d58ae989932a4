"""Projects devices into DeploymentIndex: all rows of a device change in one guarded transaction.

The summary row is the guard: a writer that read an older one changes nothing. Counters change together with the rows
that they count.
"""

import asyncio
import random
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from azure.core.exceptions import HttpResponseError
from azure.data.tables import TransactionOperation
from azure.data.tables.aio import TableClient

from status_app.errors import LostRaceError, UnavailableError
from status_app.fleet_index.index_transaction import (
    Projection,
    counter_operations,
    device_operations,
    parts,
    total_changes,
)
from status_app.fleet_index.rows import MORE, MOVED, PENDING, Summary, shard_of, summary_key
from status_app.storage import transaction
from status_app.storage.client import table_errors
from status_app.storage.codecs import read_number
from status_app.storage.keys import escape, joined, key_part
from status_app.storage.transaction import REPLACE
from status_app.telemetry.logs import log

TABLE: Final = "DeploymentIndex"
LOSSES: Final = 3
"""Lost races of one projection before it is left to the timer."""
_WAIT: Final = (0.05, 0.25)
"""Seconds that the loser of a race waits, at random."""

_log = log(__name__)


type Reread = Callable[[Projection], Awaitable[Projection]]
"""Reads the summary and the device again, and returns the new projection."""


class FleetProjection:
    """Announces changes of devices, and projects them."""

    def __init__(self, client: TableClient, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._client = client
        self._sleep = sleep
        self._counters: dict[str, dict[str, tuple[int, str]]] = {}

    async def read(self, device_id: str) -> Summary:
        """Read the summary of a device. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        row = await self._row(shard_of(device_id), summary_key(device_id))
        return Summary(device_id) if row is None else Summary.read(row, str(row.metadata["etag"]))

    async def announce(self, device_ids: Sequence[str]) -> dict[str, str | Exception]:
        """Announce that devices may change, before they do. One request per shard.

        Returns:
            For each device the key of its announcement, or the error.
        """
        shards = defaultdict[str, dict[str, str]](dict)
        for device_id in device_ids:
            shards[shard_of(device_id)][device_id] = joined(PENDING, key_part(device_id), secrets.token_hex(8))
        found: dict[str, str | Exception] = {}
        for result in await asyncio.gather(*(self._announce(*item) for item in shards.items())):
            found |= result
        return found

    async def project(self, work: Sequence[Projection], reread: Reread) -> dict[str, Summary | Exception | None]:
        """Project devices, those of a shard together.

        Args:
            work: One projection per device.
            reread: Reads again what lost a race.

        Returns:
            For each device its new summary, None if it is removed, or the error if it could not be projected. Its
            announcement then stays for the timer.
        """
        shards = defaultdict[str, list[Projection]](list)
        for item in work:
            if item.is_needed:
                shards[shard_of(item.before.device_id)].append(item)
        found: dict[str, Summary | Exception | None] = {item.before.device_id: item.after for item in work}
        for result in await asyncio.gather(*(self._project_shard(*item, reread) for item in shards.items())):
            found |= result
        return found

    async def _announce(self, shard: str, keys: Mapping[str, str]) -> dict[str, str | Exception]:
        rows = [{"PartitionKey": shard, "RowKey": key, "Device": escape(device_id)} for device_id, key in keys.items()]
        try:
            with table_errors():
                await transaction.replace(self._client, rows)
        except (UnavailableError, HttpResponseError) as error:
            return dict.fromkeys(keys, error)
        return dict(keys)

    async def _project_shard(
        self, shard: str, work: Sequence[Projection], reread: Reread
    ) -> dict[str, Summary | Exception | None]:
        found: dict[str, Summary | Exception | None] = {}
        for part in parts(work):
            found |= await self._project_part(shard, part, reread)
        return found

    async def _project_part(
        self, shard: str, part: Sequence[Projection], reread: Reread
    ) -> dict[str, Summary | Exception | None]:
        """Project devices in one transaction. If it is refused, each device is projected by itself."""
        error: Exception = UnavailableError("tables", f"{LOSSES} other writers were first")
        found: dict[str, Summary | Exception | None] = {}
        for loss in range(LOSSES):
            try:
                return found | await self._transact(shard, part)
            except LostRaceError as lost:
                self._counters.pop(shard, None)
                if loss == LOSSES - 1:
                    break
                await self._sleep(random.uniform(*_WAIT))  # noqa: S311 (spreads the losers)
                missing = getattr(lost.__cause__, "status_code", None) == HTTPStatus.NOT_FOUND
                waiting, part = part, []
                for item in waiting:
                    try:
                        part.append(await self._reread(shard, item, reread, missing=missing))
                    except Exception as unread:  # noqa: BLE001 (it becomes the device's result, and the others go on)
                        found[item.before.device_id] = unread
            except UnavailableError as unavailable:
                self._counters.pop(shard, None)
                error = unavailable
                break
            except HttpResponseError as refused:
                self._counters.pop(shard, None)
                if len(part) > 1:
                    for item in part:
                        found |= await self._project_part(shard, [item], reread)
                    return found
                error = refused
                break
        return found | {item.before.device_id: error for item in part}

    async def _reread(self, shard: str, item: Projection, reread: Reread, *, missing: bool) -> Projection:
        """Read again a projection that lost a race. Rows deleted meanwhile are not deleted again."""
        item = await reread(item)
        if not missing:
            return item
        entries = item.before.entries or {}
        there = {key: columns for key, columns in entries.items() if await self._row(shard, key) is not None}
        pending = frozenset({key for key in item.pending if await self._row(shard, key) is not None})
        return replace(item, before=replace(item.before, entries=there), pending=pending)

    async def _transact(self, shard: str, part: Sequence[Projection]) -> dict[str, Summary | Exception | None]:
        changes = total_changes(part)
        counters = await self._counters_of(shard, changes) if changes else {}
        operations: list[transaction.Operation] = []
        for item in part:
            operations += device_operations(shard, item)
        row_count = len(operations)
        operations += counter_operations(shard, changes, counters, part)
        if changes or any(operation[1]["RowKey"].startswith(MORE) for operation in operations):
            operations.append((TransactionOperation.UPSERT, {"PartitionKey": shard, "RowKey": MOVED}, REPLACE))
        if not operations:
            return {item.before.device_id: item.after for item in part}
        with table_errors(guarded=True):
            etags = await transaction.submit(self._client, operations)
        for key, number in changes.items():  # below zero the summary was old, and the transaction was refused
            if counters.get(key, (0, ""))[0] + number < 0:
                _log.error("counter %r would have become negative: it was changed by hand", key)
        self._keep_counters(shard, operations[row_count:], etags[row_count:])
        new_etags = {
            operation[1]["RowKey"]: etag
            for operation, etag in zip(operations[:row_count], etags[:row_count], strict=True)
            if operation[0] is not TransactionOperation.DELETE
        }
        return {
            item.before.device_id: item.after
            and replace(item.after, etag=new_etags.get(summary_key(item.before.device_id), item.after.etag))
            for item in part
        }

    async def _counters_of(self, shard: str, changes: Mapping[str, int]) -> dict[str, tuple[int, str]]:
        """Return the counters of a shard with their ETags, from this process's last write or from the table.

        They are read again if a known counter would become negative: nothing guards a counter that does not exist.
        """
        known = self._counters.get(shard)
        if known is None or any(known.get(key, (0, ""))[0] + number < 0 for key, number in changes.items()):
            with table_errors():
                rows = self._client.query_entities(
                    f"PartitionKey eq '{shard}' and RowKey ge 'count|' and RowKey lt 'count}}'",
                    select=["RowKey", "Devices"],
                )
                self._counters[shard] = {
                    row["RowKey"]: (_devices(row), str(row.metadata["etag"])) async for row in rows
                }
        return self._counters[shard]

    def _keep_counters(self, shard: str, operations: Sequence[transaction.Operation], etags: Sequence[str]) -> None:
        known = self._counters.get(shard)
        if known is None:
            return
        for operation, etag in zip(operations, etags, strict=True):
            key = operation[1]["RowKey"]
            if key == MOVED:
                continue
            if operation[0] is TransactionOperation.DELETE:
                known.pop(key, None)
            else:
                known[key] = operation[1]["Devices"], etag

    async def _row(self, shard: str, key: str) -> Any:
        query = f"PartitionKey eq '{shard}' and RowKey eq '{key}'"
        with table_errors():
            rows = [row async for row in self._client.query_entities(query)]
        return rows[0] if rows else None


def _devices(row: Mapping[str, Any]) -> int:
    devices = read_number(row.get("Devices"))
    if isinstance(devices, int):
        return devices
    _log.error("counter %r has no number: it was changed by hand", row["RowKey"])
    return 0
