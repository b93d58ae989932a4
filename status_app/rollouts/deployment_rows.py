"""The table Deployments: one partition with as many rows as a hub has deployments.

deployments   deployment|<id>                     its last count and its milestones
deployments   event|<id>|<version>-<sequence>     an event that was not sent yet, as it will be sent
deployments   hub|<id>                            its entry in the hub's own list
deployments   list|                               when the hub gave that list
deployments   progress|<id>|<00 to 10>            a hundred points of its progress
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.rollouts.device_count import DeviceCount
from status_app.rollouts.kept_list import LIST, LISTED, KeptList, listing_key
from status_app.rollouts.progress_points import ProgressPoint, point_row, rows_with_points
from status_app.rollouts.stored_deployment import CountedDeployment, StoredDeployment, rollout_columns
from status_app.storage import transaction
from status_app.storage.client import table_errors
from status_app.storage.keys import key_part, unescape
from status_core import Rollout

TABLE: Final = "Deployments"
_PARTITION: Final = "deployments"
_BUT_PROGRESS: Final = f"PartitionKey eq '{_PARTITION}' and RowKey le '{LIST}'"


@dataclass(frozen=True, slots=True)
class UnsentEvent:
    """An event of a deployment that waits to be sent."""

    deployment: str
    row_key: str
    body: bytes


class DeploymentRows:
    """Reads and writes the rows of deployments."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def adopt(self, former: TableClient) -> None:
        """Copy what a previous release stored in DeploymentIndex. Existing rows stay.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            async for row in former.query_entities(f"PartitionKey eq '{_PARTITION}' and RowKey lt 'tally|'"):
                with suppress(ResourceExistsError):
                    await self._client.create_entity(dict(row))

    async def read(self) -> tuple[list[StoredDeployment], list[UnsentEvent], KeptList]:
        """Read every deployment, every unsent event in order per deployment, and the hub's list.

        Raises:
            UnavailableError: The table service does not answer.
        """
        deployments, events, listed = list[StoredDeployment](), list[UnsentEvent](), list[Mapping[str, Any]]()
        with table_errors():
            async for row in self._client.query_entities(_BUT_PROGRESS):
                kind, part, *_ = str(row["RowKey"]).split("|")
                if kind == "deployment":
                    deployments.append(StoredDeployment(unescape(part), row))
                elif kind == "event":
                    events.append(UnsentEvent(unescape(part), row["RowKey"], row["Body"].encode()))
                else:
                    listed.append(row)
        return deployments, events, KeptList.read(listed)

    async def kept_list(self) -> KeptList:
        """Read the stored list of the hub. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        query = f"PartitionKey eq '{_PARTITION}' and RowKey ge '{LISTED}' and RowKey le '{LIST}'"
        with table_errors():
            return KeptList.read([row async for row in self._client.query_entities(query)])

    async def keep_list(self, before: KeptList, after: KeptList) -> None:
        """Store a list: the rows that changed, and when the hub gave it.

        Raises:
            UnavailableError: The table service does not answer.
        """
        known, rows = before.rows(_PARTITION), after.rows(_PARTITION)
        changed = [row for key, row in rows.items() if row != known.get(key)]
        gone = [{"PartitionKey": _PARTITION, "RowKey": key} for key in known.keys() - rows.keys()]
        listed = {"PartitionKey": _PARTITION, "RowKey": LIST, "ListedAt": after.listed}
        with table_errors():
            await transaction.replace(self._client, changed)
            await transaction.delete(self._client, gone)
            await self._client.upsert_entity(listed, mode=UpdateMode.REPLACE)

    async def counted(self, after: str | None, limit: int) -> list[CountedDeployment]:
        """Read the first counted deployments after a key, in order of keys. One request.

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

    async def one(self, deployment: str) -> tuple[CountedDeployment | None, KeptList]:
        """Read a deployment as last counted, or None, and the hub's list. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        counted, kept, _ = await self._one(_of_one(deployment))
        return counted, kept

    async def with_progress(
        self, deployment: str
    ) -> tuple[CountedDeployment | None, KeptList, Sequence[Mapping[str, Any]]]:
        """Read the same, and the rows with its points. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        return await self._one(f"{_of_one(deployment)} or ({rows_with_points(deployment)})")

    async def _one(self, which: str) -> tuple[CountedDeployment | None, KeptList, Sequence[Mapping[str, Any]]]:
        with table_errors():
            found = self._client.query_entities(f"PartitionKey eq '{_PARTITION}' and ({which})")
            rows = [row async for row in found]
        counted = [CountedDeployment(row) for row in rows if str(row["RowKey"]).startswith("deployment|")]
        points = [row for row in rows if str(row["RowKey"]) > LIST]
        return next(iter(counted), None), KeptList.read(rows), points

    async def write(  # noqa: PLR0913 (two of them keyword-only)
        self,
        stored: StoredDeployment,
        rollout: Rollout,
        counted: datetime,
        count: DeviceCount,
        events: Sequence[bytes],
        *,
        threshold: str | None,
        point: ProgressPoint | None = None,
    ) -> None:
        """Store a count with the events of its new milestones and its point: all or nothing.

        Args:
            stored: The deployment as it was read.
            rollout: Its next rollout.
            counted: When the count began.
            count: The count.
            events: One for each new milestone, in order.
            threshold: How many devices may fail; None if not set.
            point: The point of its progress; None if it did not change.

        Raises:
            LostRaceError: Another run has counted it.
            UnavailableError: The table service does not answer.
        """
        part = key_part(stored.deployment)
        row = {
            "PartitionKey": _PARTITION,
            "RowKey": f"deployment|{part}",
            **rollout_columns(rollout, count, counted, threshold, stored.points + (point is not None)),
        }
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
        if point is not None:
            operations.append(point_row(_PARTITION, stored.deployment, stored.points, point))
        if stored.row is None:
            operations.append((TransactionOperation.CREATE, row))
        else:
            guard = {"etag": stored.row.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
            operations.append((TransactionOperation.UPDATE, row, {**transaction.REPLACE, **guard}))
        with table_errors(guarded=True):
            await transaction.submit(self._client, operations)

    async def forget(self, event: UnsentEvent) -> None:
        """Delete an event that was sent.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            await self._client.delete_entity(_PARTITION, event.row_key)

    async def delete(self, deployment: str) -> bool:
        """Delete all rows of a deployment. Returns False, and deletes nothing, if it has an unsent event.

        Raises:
            UnavailableError: The table service does not answer.
        """
        part = key_part(deployment)
        own = f"RowKey eq 'deployment|{part}' or RowKey eq '{listing_key(deployment)}'"
        parts = (f"(RowKey ge '{kind}|{part}|' and RowKey lt '{kind}|{part}}}')" for kind in ("event", "progress"))
        query = f"PartitionKey eq '{_PARTITION}' and ({' or '.join((own, *parts))})"
        with table_errors():
            keys = [str(row["RowKey"]) async for row in self._client.query_entities(query, select=["RowKey"])]
            if any(key.startswith("event|") for key in keys):
                return False
            gone = [{"PartitionKey": _PARTITION, "RowKey": key} for key in keys]
            await transaction.delete(self._client, gone)
        return True


def _of_one(deployment: str) -> str:
    """Return the filter for the row of a deployment and the hub's list."""
    return f"RowKey eq 'deployment|{key_part(deployment)}' or (RowKey ge '{LISTED}' and RowKey le '{LIST}')"
