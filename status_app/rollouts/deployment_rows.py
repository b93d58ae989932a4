"""Deployments as wholes: one partition of DeploymentIndex, of as many rows as a hub has deployments.

deployments   deployment|<id>          its last count and its milestones
deployments   tally|<id>               that count by the keys of its devices, for the next one to begin with
deployments   mark|<id>                when a device changed lately on which it is, or was, credited
deployments   event|<id>|<sequence>    an event that is not sent yet, as it will be sent
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from azure.core import MatchConditions
from azure.data.tables import TableEntity, TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.fleet_index.deployment_index import WRITERS_END_AFTER
from status_app.rollouts.tally_row import Count, StoredTally, read_tally, tally_columns
from status_app.status_table.rows import read_time
from status_app.storage import transaction
from status_app.storage.client import table_errors
from status_app.storage.keys import key_part, unescape
from status_core import Counts, Rollout

_PARTITION: Final = "deployments"
_MARK_AGAIN_AFTER: Final = timedelta(seconds=30)
"""A process marks a deployment no more often: all devices of a rollout share its row."""


@dataclass(frozen=True, slots=True)
class StoredDeployment:
    """A deployment as it is stored.

    Attributes:
        row: Its row; None before the first count.
        marked_at: When a device of it changed last, give or take the time that a writer needs.
    """

    deployment: str
    row: TableEntity | None
    marked_at: datetime

    @property
    def rollout(self) -> Rollout | None:
        """What the core keeps of it."""
        return None if self.row is None else _read(self.row)

    @property
    def is_counted(self) -> bool:
        """Whether every change of a device was in a count, and there was none left to take in for the last one."""
        if self.row is None or self.row.get("Changes"):
            return False
        return self.marked_at + WRITERS_END_AFTER < read_time(self.row["CountedAt"])


@dataclass(frozen=True, slots=True)
class CountedDeployment:
    """A deployment as it was counted last."""

    row: TableEntity

    @property
    def key(self) -> str:
        """Its place among all of them."""
        return str(self.row["RowKey"]).partition("|")[2]

    @property
    def deployment(self) -> str:
        """Its id."""
        return unescape(self.key)

    @property
    def rollout(self) -> Rollout:
        """What the core keeps of it."""
        return _read(self.row)


@dataclass(frozen=True, slots=True)
class UnsentEvent:
    """An event of a deployment that waits to be sent."""

    deployment: str
    row_key: str
    body: bytes


class DeploymentRows:
    """Reads and writes what is kept of deployments."""

    def __init__(self, client: TableClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._marked: dict[str, datetime] = {}
        self._marking = asyncio.Lock()

    async def mark(self, deployments: Iterable[str]) -> None:
        """Say that devices change on which deployments are credited, before they do.

        Raises:
            UnavailableError: The table service does not answer.
        """
        now = self._clock()
        for deployment in deployments:
            async with self._marking:  # the looks of a batch come here at once, and one mark is for all of them
                known = self._marked.get(deployment)
                if known is not None and timedelta(0) <= now - known < _MARK_AGAIN_AFTER:
                    continue
                with table_errors():
                    await self._client.upsert_entity(
                        {"PartitionKey": _PARTITION, "RowKey": f"mark|{key_part(deployment)}", "MarkedAt": now}
                    )
                self._marked[deployment] = now

    async def read(self) -> tuple[list[StoredDeployment], list[UnsentEvent]]:
        """Every deployment, and every event that is not sent, those of a deployment in their order.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            found = self._client.query_entities(f"PartitionKey eq '{_PARTITION}' and RowKey lt 'tally|'")
            rows = {row["RowKey"]: row async for row in found}
        deployments, events = [], []
        for key, row in rows.items():
            kind, part, *_ = key.split("|")
            if kind == "mark":
                stored = rows.get(f"deployment|{part}")
                deployments.append(StoredDeployment(unescape(part), stored, read_time(row["MarkedAt"])))
            elif kind == "event":
                events.append(UnsentEvent(unescape(part), key, row["Body"].encode()))
        return deployments, events

    async def counted(self, after: str | None, limit: int) -> list[CountedDeployment]:
        """The first deployments that have been counted, in the order of their keys, behind one of these. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        begin = "RowKey ge 'deployment|'" if after is None else f"RowKey gt 'deployment|{after}'"
        query = f"PartitionKey eq '{_PARTITION}' and {begin} and RowKey lt 'deployment}}'"
        found: list[CountedDeployment] = []
        with table_errors():
            async for row in self._client.query_entities(query, results_per_page=limit):
                found.append(CountedDeployment(row))
                if len(found) == limit:
                    break
        return found

    async def one(self, deployment: str) -> CountedDeployment | None:
        """A deployment as it was counted last; None before that. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        row = await self._row(f"deployment|{key_part(deployment)}")
        return None if row is None else CountedDeployment(row)

    async def tally(self, deployment: str) -> StoredTally | None:
        """What was counted of a deployment; None before that. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        row = await self._row(f"tally|{key_part(deployment)}")
        return None if row is None else read_tally(row)

    async def write(
        self,
        stored: StoredDeployment,
        rollout: Rollout,
        counted: datetime,
        count: Count,
        events: Sequence[bytes],
    ) -> None:
        """Keep a count, with the events of the milestones that it adds: together or not at all.

        Args:
            stored: The deployment as it was read.
            rollout: Its next record.
            counted: When the count began.
            count: The count.
            events: One for each milestone that is new, in their order.

        Raises:
            LostRaceError: Another run has counted it.
            UnavailableError: The table service does not answer.
        """
        part = key_part(stored.deployment)
        row = {"PartitionKey": _PARTITION, "RowKey": f"deployment|{part}", **_columns(rollout)}
        row |= {"CountedAt": counted, "Changes": count.changes}
        row |= {"Stuck": count.total.stuck, "States": json.dumps(count.total.states)}
        first = len(rollout.reached) - len(events)
        operations: list[transaction.Operation] = [
            (
                TransactionOperation.CREATE,
                {
                    "PartitionKey": _PARTITION,
                    "RowKey": f"event|{part}|{rollout.version:09d}-{number:02d}",
                    "Body": body.decode(),
                },
            )
            for number, body in enumerate(events, first + 1)
        ]
        if count.read.shards:
            kept = {"PartitionKey": _PARTITION, "RowKey": f"tally|{part}", **tally_columns(count.read)}
            operations.append((TransactionOperation.UPSERT, kept, {"mode": UpdateMode.MERGE}))
        if stored.row is None:
            operations.append((TransactionOperation.CREATE, row))
        else:
            guard = {"etag": stored.row.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
            operations.append((TransactionOperation.UPDATE, row, {"mode": UpdateMode.REPLACE, **guard}))
        with table_errors(guarded=True):
            await transaction.submit(self._client, operations)

    async def forget(self, event: UnsentEvent) -> None:
        """Delete an event that was sent.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            await self._client.delete_entity(_PARTITION, event.row_key)

    async def _row(self, key: str) -> TableEntity | None:
        query = f"PartitionKey eq '{_PARTITION}' and RowKey eq '{key}'"
        with table_errors():
            rows = [row async for row in self._client.query_entities(query)]
        return rows[0] if rows else None


def _columns(rollout: Rollout) -> dict[str, Any]:
    since = {} if rollout.settled_since is None else {"SettledSince": rollout.settled_since}
    return {
        **since,
        "Version": rollout.version,
        "Devices": rollout.counts.devices,
        "Successful": rollout.counts.successful,
        "Failing": rollout.counts.failing,
        "Best": rollout.best,
        "ProgressedAt": rollout.progressed_at,
        "Reached": json.dumps({milestone: at.isoformat() for milestone, at in rollout.reached}),
    }


def _read(row: Mapping[str, Any]) -> Rollout:
    return Rollout(
        version=row["Version"],
        counts=Counts(row["Devices"], row["Successful"], row["Failing"]),
        best=row["Best"],
        settled_since=read_time(row["SettledSince"]) if "SettledSince" in row else None,
        progressed_at=read_time(row["ProgressedAt"]),
        reached=tuple((name, datetime.fromisoformat(at)) for name, at in json.loads(row["Reached"]).items()),
    )
