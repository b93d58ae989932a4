"""What the devices of a deployment add up to now: what was counted before, and what changed since."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from status_app.fleet_index.deployment_index import DeploymentIndex, behind
from status_app.fleet_index.index_rows import SHARDS, Pointer
from status_app.fleet_index.members import Member, member_of
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.tally import Tally
from status_app.rollouts.tally_row import CHUNKS, Chunk, Count, StoredTally, runs, split
from status_app.status_table.rows import read_number
from status_app.status_table.status_table import StatusTable
from status_app.storage.keys import beginning, key_part

COUNTED_ANEW_AFTER: Final = timedelta(days=1)
"""Then every row is read: whatever was changed here by hand is in the count a day later."""


class DeploymentCounts:
    """Counts the devices of deployments, from the index."""

    def __init__(self, index: DeploymentIndex, rows: DeploymentRows, table: StatusTable) -> None:
        self._index = index
        self._rows = rows
        self._table = table

    async def count(self, deployment: str, changed: Sequence[Pointer], now: datetime) -> Count:
        """Count a deployment.

        A request for what was counted, and one for each chunk in which a device changed; where nothing was counted, or
        not for a day, one for each thousand devices, and at least one a shard.

        Args:
            deployment: The deployment.
            changed: What changed of it, read before this call: a change that is not there is in what was counted.
            now: The time, in UTC.

        Raises:
            UnavailableError: The table service does not answer.
        """
        stored = await self._rows.tally(deployment)
        if stored is None or not timedelta(0) <= now - stored.began < COUNTED_ANEW_AFTER:
            stored = StoredTally(now, {})
        changes: dict[str, list[Pointer]] = {shard: [] for shard in SHARDS}
        for change in changed:
            changes[change.key[0]].append(change)
        name = key_part(deployment)
        parts = await asyncio.gather(
            *(self._shard(shard, name, stored.shards.get(shard), changes[shard]) for shard in SHARDS)
        )
        shards = {shard: chunks for shard, (chunks, _) in zip(SHARDS, parts, strict=True)}
        return Count(
            Tally.total(chunk.tally for chunks in shards.values() for chunk in chunks),
            StoredTally(stored.began, {key: new for key, new in shards.items() if new != stored.shards.get(key)}),
            len(changed),
            {change.key for _, over in parts for change in over},
        )

    async def _shard(
        self, shard: str, name: str, stored: Sequence[Chunk] | None, changed: Sequence[Pointer]
    ) -> tuple[Sequence[Chunk], list[Pointer]]:
        """The chunks of a shard as they are now, and the changes that are over."""
        prefix = beginning("deployment", name)
        old = stored or [Chunk(prefix, Tally({}))]
        stale = [_place(name, change.device_id) for change in changed]
        chunks, done, rows = list[Chunk](), 0, dict[str, list[Member]]()
        for run in runs(old, stale if stored else [prefix]):
            begin, end = old[run.first].begin, old[run.last].begin if run.last < len(old) else behind(prefix)
            found = await self._index.rows_by_device(shard, begin, end)
            rows |= found
            members = [await member_of(some, self._table.index_rows) for some in found.values()]
            tallies = [(_place(name, member.device_id), Tally.one(member)) for member in members if member is not None]
            most = CHUNKS - len(old) + run.last - run.first
            chunks += [*old[done : run.first], *split(begin, tallies, most)]
            done = run.last
        chunks += old[done:]
        return chunks, [change for change in changed if _is_over(change, rows.get(change.columns["Device"], []))]


def _place(name: str, device_id: str) -> str:
    """With what the keys of a device begin, among those of a deployment."""
    return beginning("deployment", name, key_part(device_id))


def _is_over(change: Pointer, rows: Sequence[Member]) -> bool:
    """Whether the rows of a device are as they are after a change, and none is left that its writer will remove."""
    if "Gone" not in change.columns:
        return len(rows) == 1
    gone = read_number(change.columns["Gone"])
    return len(rows) <= 1 and all(member.generation != gone for member in rows)
