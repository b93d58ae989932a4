"""The transactions that project devices: which operations, and which devices fit into one."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TransactionOperation, UpdateMode

from status_app.fleet_index.rows import Summary, summary_key
from status_app.storage import transaction
from status_app.storage.client import TRANSACTION_LIMIT
from status_app.storage.keys import escape
from status_app.storage.transaction import REPLACE


@dataclass(frozen=True, slots=True)
class Projection:
    """What the shard holds of a device, and what it should hold.

    Attributes:
        before: The summary as read.
        after: The summary as it should be; None if the device is to be removed.
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
    def counter_changes(self) -> dict[str, int]:
        """By how much each counter changes; unchanged ones are left out."""
        old = self.before.counters or {}
        new = (self.after.counters or {}) if self.after is not None else {}
        return dict.fromkeys(new.keys() - old.keys(), 1) | dict.fromkeys(old.keys() - new.keys(), -1)


def total_changes(part: Sequence[Projection]) -> dict[str, int]:
    """Return by how much each counter changes in all; unchanged ones are left out."""
    total: Counter[str] = Counter()
    for item in part:
        for key, number in item.counter_changes.items():
            total[key] += number
    return {key: number for key, number in total.items() if number}


def device_operations(shard: str, item: Projection) -> Iterator[transaction.Operation]:
    """Yield the changes to the rows of one device, first to its summary, which guards them."""
    before, after = item.before, item.after
    key = {"PartitionKey": shard, "RowKey": summary_key(before.device_id)}
    guard = {"etag": before.etag, "match_condition": MatchConditions.IfNotModified}
    if after is None and before.etag is not None:
        yield TransactionOperation.DELETE, key, guard
    elif after is not None and before.etag is None:
        yield TransactionOperation.CREATE, {**key, **after.row()}
    elif after is not None and after != before:
        yield TransactionOperation.UPDATE, {**key, **after.row()}, {**REPLACE, **guard}
    old, new = before.entries or {}, (after.entries or {}) if after is not None else {}
    for gone in (*(old.keys() - new.keys()), *item.pending):
        yield TransactionOperation.DELETE, {"PartitionKey": shard, "RowKey": gone}
    for added, columns in new.items():
        if old.get(added) != columns:
            row = {"PartitionKey": shard, "RowKey": added, "Device": escape(before.device_id), **columns}
            yield TransactionOperation.UPSERT, row, REPLACE


def counter_operations(
    shard: str, changes: Mapping[str, int], counters: Mapping[str, tuple[int, str]], part: Sequence[Projection]
) -> Iterator[transaction.Operation]:
    """Yield the changes to the counters of a shard.

    Args:
        shard: The partition.
        changes: By how much each counter changes.
        counters: The number of devices of each existing counter, and its ETag.
        part: The projections behind the changes; they have the columns of new counters.
    """
    columns: dict[str, Mapping[str, Any]] = {}
    for item in part:
        columns |= (item.after.counters or {}) if item.after is not None else {}
    for key, number in changes.items():
        devices, etag = counters.get(key, (0, None))
        row = {"PartitionKey": shard, "RowKey": key}
        guard = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        left = devices + number
        if left <= 0:
            if etag is not None:
                yield TransactionOperation.DELETE, row, guard
        elif etag is None:
            yield TransactionOperation.CREATE, {**row, **columns[key], "Devices": left}
        elif key in columns:
            yield TransactionOperation.UPDATE, {**row, **columns[key], "Devices": left}, {**REPLACE, **guard}
        else:
            yield TransactionOperation.UPDATE, {**row, "Devices": left}, {"mode": UpdateMode.MERGE, **guard}


def parts(work: Sequence[Projection]) -> Iterator[list[Projection]]:
    """Split devices into transactions. A single device always fits."""
    part: list[Projection] = []
    size, counters = 1, set[str]()
    for item in work:
        own, changed = sum(1 for _ in device_operations("", item)), counters | set(item.counter_changes)
        if part and size + own + len(changed) > TRANSACTION_LIMIT:
            yield part
            part, size, changed = [], 1, set(item.counter_changes)
        part.append(item)
        size, counters = size + own, changed
    if part:
        yield part
