"""The table Deployments: one partition, of as many rows as a hub has deployments.

deployments   deployment|<id>                     its last count and its milestones
deployments   event|<id>|<version>-<sequence>     an event that is not sent yet, as it will be sent
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableEntity, TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.rollouts.device_count import DeviceCount
from status_app.storage import transaction
from status_app.storage.client import table_errors
from status_app.storage.columns import DEPLOYMENT_COLUMNS, Row, built, read, write
from status_app.storage.keys import key_part, unescape
from status_core import Counts, Rollout

TABLE: Final = "Deployments"
_PARTITION: Final = "deployments"


@dataclass(frozen=True, slots=True)
class StoredDeployment:
    """A deployment as it is stored.

    Attributes:
        row: Its row; None before the first count.
    """

    deployment: str
    row: TableEntity | None

    @property
    def rollout(self) -> Rollout | None:
        """What the core keeps of it."""
        return None if self.row is None else _read(self.row)

    def has(self, count: DeviceCount) -> bool:
        """Whether it was counted so last."""
        if self.row is None:
            return False
        return _counted(count) == {name: self.row.get(name) for name in _counted(count)}


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

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def adopt(self, former: TableClient) -> None:
        """Take over what a release before has kept in DeploymentIndex. What is here already stays.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            async for row in former.query_entities(f"PartitionKey eq '{_PARTITION}' and RowKey lt 'tally|'"):
                with suppress(ResourceExistsError):
                    await self._client.create_entity(dict(row))

    async def read(self) -> tuple[list[StoredDeployment], list[UnsentEvent]]:
        """Every deployment, and every event that is not sent, those of a deployment in their order.

        Raises:
            UnavailableError: The table service does not answer.
        """
        deployments, events = list[StoredDeployment](), list[UnsentEvent]()
        with table_errors():
            async for row in self._client.query_entities(f"PartitionKey eq '{_PARTITION}'"):
                kind, part, *_ = str(row["RowKey"]).split("|")
                if kind == "deployment":
                    deployments.append(StoredDeployment(unescape(part), row))
                elif kind == "event":
                    events.append(UnsentEvent(unescape(part), row["RowKey"], row["Body"].encode()))
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

    async def write(
        self,
        stored: StoredDeployment,
        rollout: Rollout,
        counted: datetime,
        count: DeviceCount,
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
        row = {"PartitionKey": _PARTITION, "RowKey": f"deployment|{part}", **_columns(rollout, count, counted)}
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


def _counted(count: DeviceCount) -> dict[str, Any]:
    return {
        "Devices": count.devices,
        "Successful": count.counts.successful,
        "Failing": count.counts.failing,
        "Stuck": count.stuck,
        "States": json.dumps(count.states),
    }


def _columns(rollout: Rollout, count: DeviceCount, counted: datetime) -> Row:
    return write(
        DEPLOYMENT_COLUMNS,
        rollout,
        Stuck=count.stuck,
        States=json.dumps(count.states),
        CountedAt=counted,
        Reached=json.dumps({milestone: at.isoformat() for milestone, at in rollout.reached}),
    )


def _read(row: Mapping[str, Any]) -> Rollout:
    values = read(DEPLOYMENT_COLUMNS, row)
    reached = tuple((name, datetime.fromisoformat(at)) for name, at in json.loads(row["Reached"]).items())
    return built(Rollout, values, counts=built(Counts, values, "counts."), reached=reached)
