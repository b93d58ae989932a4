"""Moves the rows of devices in DeploymentIndex: what is said of a device changes in one guarded transaction.

The summary row guards it: whoever has read an older one changes nothing. Counters move with the rows that they count.
"""

import asyncio
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.errors import LostRaceError, UnavailableError
from status_app.fleet_index.rows import MORE, MOVED, PENDING, Summary, shard_of, summary_key
from status_app.storage import transaction
from status_app.storage.client import TRANSACTION_LIMIT, table_errors
from status_app.storage.codecs import read_number
from status_app.storage.keys import escape, joined, key_part
from status_app.telemetry.logs import log

TABLE: Final = "DeploymentIndex"
LOSSES: Final = 3
"""Lost races of one projection before it is left to the timer."""
_WAIT: Final = (0.05, 0.25)
"""Seconds that a loser waits, at random."""
_REPLACE: Final = {"mode": UpdateMode.REPLACE}

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class Projection:
    """What the shard says of a device, and what it should say.

    Attributes:
        before: As it was read.
        after: As it should be; None where nothing is left to say.
        pending: Keys of announcements that end with it.
    """

    before: Summary
    after: Summary | None
    pending: frozenset[str] = frozenset()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to write."""
        if self.pending or self.after is None:
            return bool(self.pending) or self.before.etag is not None
        return self.after != self.before

    @property
    def moves(self) -> dict[str, int]:
        """By how much each counter moves; those that stay are left out."""
        old = self.before.counters or {}
        new = (self.after.counters or {}) if self.after is not None else {}
        return dict.fromkeys(new.keys() - old.keys(), 1) | dict.fromkeys(old.keys() - new.keys(), -1)


type Again = Callable[[Projection], Awaitable[Projection]]
"""Reads the summary and then the device once more, and says what is to be projected now."""


class FleetProjection:
    """Announces changes of devices, and projects them."""

    def __init__(self, client: TableClient, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._client = client
        self._sleep = sleep
        self._counters: dict[str, dict[str, tuple[int, str]]] = {}

    async def read(self, device_id: str) -> Summary:
        """What the index says of a device. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        row = await self._row(shard_of(device_id), summary_key(device_id))
        return Summary(device_id) if row is None else Summary.read(row, str(row.metadata["etag"]))

    async def announce(self, device_ids: Sequence[str]) -> dict[str, str | Exception]:
        """Say that devices may change, before they do. A request for each shard.

        Returns:
            For each device the key of its announcement, or why it is not announced.
        """
        shards = defaultdict[str, dict[str, str]](dict)
        for device_id in device_ids:
            shards[shard_of(device_id)][device_id] = joined(PENDING, key_part(device_id), secrets.token_hex(8))
        found: dict[str, str | Exception] = {}
        for result in await asyncio.gather(*(self._announce(*item) for item in shards.items())):
            found |= result
        return found

    async def project(self, work: Sequence[Projection], again: Again) -> dict[str, Summary | Exception | None]:
        """Project devices, those of a shard together.

        Args:
            work: One for each device.
            again: Reads one that lost a race.

        Returns:
            What the index says of each device now: None where it says nothing, the error where it could not be
            projected. An announcement is left behind then, for the timer.
        """
        shards = defaultdict[str, list[Projection]](list)
        for item in work:
            if item.is_needed:
                shards[shard_of(item.before.device_id)].append(item)
        found: dict[str, Summary | Exception | None] = {item.before.device_id: item.after for item in work}
        for result in await asyncio.gather(*(self._project_shard(*item, again) for item in shards.items())):
            found |= result
        return found

    async def _announce(self, shard: str, keys: Mapping[str, str]) -> dict[str, str | Exception]:
        rows = [{"PartitionKey": shard, "RowKey": key, "Device": escape(device_id)} for device_id, key in keys.items()]
        try:
            with table_errors():
                for start in range(0, len(rows), TRANSACTION_LIMIT):
                    await self._upsert(rows[start : start + TRANSACTION_LIMIT])
        except (UnavailableError, HttpResponseError) as error:
            return dict.fromkeys(keys, error)
        return dict(keys)

    async def _upsert(self, rows: Sequence[dict[str, Any]]) -> None:
        if len(rows) == 1:  # cheaper alone
            await self._client.upsert_entity(rows[0], mode=UpdateMode.REPLACE)
        else:
            await transaction.submit(self._client, [(TransactionOperation.UPSERT, row, _REPLACE) for row in rows])

    async def _project_shard(
        self, shard: str, work: Sequence[Projection], again: Again
    ) -> dict[str, Summary | Exception | None]:
        found: dict[str, Summary | Exception | None] = {}
        for part in _parts(work):
            found |= await self._project_part(shard, part, again)
        return found

    async def _project_part(
        self, shard: str, part: Sequence[Projection], again: Again
    ) -> dict[str, Summary | Exception | None]:
        """Project devices in one transaction. What is refused for one of them is refused for it alone."""
        error: Exception = LostRaceError("others were first")
        found: dict[str, Summary | Exception | None] = {}
        for loss in range(LOSSES):
            try:
                return found | await self._transact(shard, part)
            except LostRaceError as lost:
                error = lost
                self._counters.pop(shard, None)
                if loss == LOSSES - 1:
                    break
                await self._sleep(random.uniform(*_WAIT))  # noqa: S311 (spreads those who lost)
                missing = getattr(lost.__cause__, "status_code", None) == HTTPStatus.NOT_FOUND
                waiting, part = part, []
                for item in waiting:
                    try:
                        part.append(await self._reread(shard, item, again, missing=missing))
                    except Exception as unread:  # noqa: BLE001 (it is in the result of the device, and the others go on)
                        found[item.before.device_id] = unread
            except UnavailableError as unavailable:
                self._counters.pop(shard, None)
                error = unavailable
                break
            except HttpResponseError as refused:
                self._counters.pop(shard, None)
                if len(part) > 1:
                    for item in part:
                        found |= await self._project_part(shard, [item], again)
                    return found
                error = refused
                break
        return found | {item.before.device_id: error for item in part}

    async def _reread(self, shard: str, item: Projection, again: Again, *, missing: bool) -> Projection:
        """A projection that lost, as it is now. Rows that somebody has deleted are not deleted again."""
        item = await again(item)
        if not missing:
            return item
        entries = item.before.entries or {}
        there = {key: said for key, said in entries.items() if await self._row(shard, key) is not None}
        pending = frozenset({key for key in item.pending if await self._row(shard, key) is not None})
        return replace(item, before=replace(item.before, entries=there), pending=pending)

    async def _transact(self, shard: str, part: Sequence[Projection]) -> dict[str, Summary | Exception | None]:
        moves = _moves(part)
        counters = await self._counters_of(shard, moves) if moves else {}
        operations: list[transaction.Operation] = []
        for item in part:
            operations += _operations(shard, item)
        places = len(operations)
        operations += _counter_operations(shard, moves, counters, part)
        if moves or any(operation[1]["RowKey"].startswith(MORE) for operation in operations):
            operations.append((TransactionOperation.UPSERT, {"PartitionKey": shard, "RowKey": MOVED}, _REPLACE))
        if not operations:
            return {item.before.device_id: item.after for item in part}
        with table_errors(guarded=True):
            etags = await transaction.submit(self._client, operations)
        for key, number in moves.items():  # else the summary was an old one, and the transaction was refused
            if counters.get(key, (0, ""))[0] + number < 0:
                _log.error("counter %r would have fallen below nothing: somebody has changed it by hand", key)
        self._keep_counters(shard, operations[places:], etags[places:])
        said = {
            operation[1]["RowKey"]: etag
            for operation, etag in zip(operations[:places], etags[:places], strict=True)
            if operation[0] is not TransactionOperation.DELETE
        }
        return {
            item.before.device_id: item.after
            and replace(item.after, etag=said.get(summary_key(item.before.device_id), item.after.etag))
            for item in part
        }

    async def _counters_of(self, shard: str, moves: Mapping[str, int]) -> dict[str, tuple[int, str]]:
        """The counters of a shard with their ETags: as this process has written them, or as they are read.

        They are read again where those that are known cannot be moved so: nothing guards a counter that is not there.
        """
        known = self._counters.get(shard)
        if known is None or any(known.get(key, (0, ""))[0] + number < 0 for key, number in moves.items()):
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
    _log.error("counter %r has no number: somebody has changed it by hand", row["RowKey"])
    return 0


def _moves(part: Sequence[Projection]) -> dict[str, int]:
    moved: Counter[str] = Counter()
    for item in part:
        for key, number in item.moves.items():
            moved[key] += number
    return {key: number for key, number in moved.items() if number}


def _operations(shard: str, item: Projection) -> Iterator[transaction.Operation]:
    """What changes of the rows of one device, its summary first: it guards them."""
    before, after = item.before, item.after
    key = {"PartitionKey": shard, "RowKey": summary_key(before.device_id)}
    guard = {"etag": before.etag, "match_condition": MatchConditions.IfNotModified}
    if after is None and before.etag is not None:
        yield TransactionOperation.DELETE, key, guard
    elif after is not None and before.etag is None:
        yield TransactionOperation.CREATE, {**key, **after.row()}
    elif after is not None and after != before:
        yield TransactionOperation.UPDATE, {**key, **after.row()}, {**_REPLACE, **guard}
    old, new = before.entries or {}, (after.entries or {}) if after is not None else {}
    for gone in (*(old.keys() - new.keys()), *item.pending):
        yield TransactionOperation.DELETE, {"PartitionKey": shard, "RowKey": gone}
    for added, columns in new.items():
        if old.get(added) != columns:
            row = {"PartitionKey": shard, "RowKey": added, "Device": escape(before.device_id), **columns}
            yield TransactionOperation.UPSERT, row, _REPLACE


def _counter_operations(
    shard: str, moves: Mapping[str, int], counters: Mapping[str, tuple[int, str]], part: Sequence[Projection]
) -> Iterator[transaction.Operation]:
    like: dict[str, Mapping[str, Any]] = {}
    for item in part:
        like |= (item.after.counters or {}) if item.after is not None else {}
    for key, number in moves.items():
        devices, etag = counters.get(key, (0, None))
        row = {"PartitionKey": shard, "RowKey": key}
        guard = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        left = devices + number
        if left <= 0:
            if etag is not None:
                yield TransactionOperation.DELETE, row, guard
        elif etag is None:
            yield TransactionOperation.CREATE, {**row, **like[key], "Devices": left}
        elif key in like:
            yield TransactionOperation.UPDATE, {**row, **like[key], "Devices": left}, {**_REPLACE, **guard}
        else:
            yield TransactionOperation.UPDATE, {**row, "Devices": left}, {"mode": UpdateMode.MERGE, **guard}


def _parts(work: Sequence[Projection]) -> Iterator[list[Projection]]:
    """Devices by the transactions that hold them; one alone always fits."""
    part: list[Projection] = []
    size, counters = 1, set[str]()
    for item in work:
        own, moved = sum(1 for _ in _operations("", item)), counters | set(item.moves)
        if part and size + own + len(moved) > TRANSACTION_LIMIT:
            yield part
            part, size, moved = [], 1, set(item.moves)
        part.append(item)
        size, counters = size + own, moved
    if part:
        yield part
