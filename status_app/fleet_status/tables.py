"""The status of a fleet, read from the tables: for whoever may read them, and has no API."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Final

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity

from status_app.deployments import count
from status_app.errors import SettingError, UnavailableError
from status_app.fleet_status.answers import device_answer, device_summary, time_answer, transition_answer
from status_app.fleet_status.fleet_status import Answer, RefusedError
from status_app.tables import deployment_index, status_table
from status_app.tables.deployment_index import DeploymentIndex, Member
from status_app.tables.deployment_rows import DeploymentRows, StoredDeployment
from status_app.tables.keys import DEVICE
from status_app.tables.service import table_service
from status_app.tables.status_table import StatusTable
from status_app.tables.stored_device import StoredDevice
from status_core.states import Portal

_REFUSALS: Final = (401, 403)
_TOP_REASONS: Final = 10
_READERS: Final = 32
"""Devices that are read at once."""


class TableFleetStatus:
    """Reads the tables; it writes nothing, and creates none.

    Args:
        tables: Endpoint of the table service, or a connection string.
        clock: The time, in UTC.

    Raises:
        SettingError: It is neither.
    """

    def __init__(self, tables: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        try:
            self._service = table_service(tables)
        except ValueError:  # its text may quote a key
            raise SettingError("STATUS_TABLES is neither an https endpoint nor a connection string") from None
        self._clock = clock
        index_client = self._service.get_table_client(deployment_index.TABLE)
        self._index = DeploymentIndex(index_client, clock)
        self._deployments = DeploymentRows(index_client, clock)
        self._table = StatusTable(
            self._service.get_table_client(status_table.TABLE),
            self._index,
            self._deployments,
            hub="",
            stable_after=timedelta(0),
            history_limit=0,
            publishes=False,
        )

    async def deployment(self, deployment: str) -> Answer | None:
        """As FleetStatus says. A request for each thousand devices, and at least seventeen."""
        members = await self._members(deployment)
        counts = count(members)
        stored = [item for item in (await self._rows()) if item.deployment == deployment and item.rollout is not None]
        rollout = stored[0].rollout if stored else None
        if not members and rollout is None:
            return None
        stuck = {member.device_id: member.stuck_since for member in members if member.stuck_since is not None}
        longest = min(stuck, key=lambda device: (stuck[device], device), default=None)
        portal = Counter(member.portal for member in members)
        reasons = Counter((member.state, member.reason) for member in members)
        return {
            "deploymentId": deployment,
            "version": rollout.version if rollout else None,
            "devices": counts.devices,
            "successful": counts.successful,
            "failing": counts.failing,
            "stuck": len(stuck),
            "longestStuck": {"deviceId": longest, "since": time_answer(stuck[longest])} if longest else None,
            "states": dict(Counter(member.state for member in members).most_common()),
            "reasons": [
                {"state": state, "reason": reason, "devices": number}
                for (state, reason), number in reasons.most_common(_TOP_REASONS)
            ],
            "portal": {
                "applied": portal.total(),
                "successful": portal[Portal.SUCCESSFUL],
                "failed": portal[Portal.FAILED],
            },
            "milestones": {name: time_answer(at) for name, at in rollout.reached} if rollout else {},
            "countedAt": time_answer(self._clock()),
        }

    async def devices(self, deployment: str, *, state: str | None = None, stuck: bool = False) -> AsyncIterator[Answer]:
        """As FleetStatus says. A request for each device, beside those that count the deployment."""
        members = await self._members(deployment)
        members = [member for member in members if state is None or member.state == state]
        members = [member for member in members if not stuck or member.stuck_since is not None]
        members.sort(key=lambda member: (member.stuck_since, member.device_id) if stuck else member.device_id)
        for some in batched(members, _READERS, strict=False):
            for stored in await asyncio.gather(*(self._read(member.device_id) for member in some)):
                if stored is not None:
                    yield device_summary(stored.device_id, stored.rows[DEVICE])

    async def device(self, device_id: str) -> Answer | None:
        """As FleetStatus says."""
        stored = await self._read(device_id)
        if stored is None:
            return None
        rows = await self._history(device_id, range(1, stored.last_sequence + 1))
        return device_answer(device_id, stored.rows, rows)

    async def transitions(self, device_id: str, limit: int) -> Sequence[Answer]:
        """As FleetStatus says."""
        with _refusals(), suppress(ResourceNotFoundError):
            last = (await self._table.read(device_id)).last_sequence
            if last:
                rows = await self._history(device_id, range(max(1, last - limit + 1), last + 1))
                return [transition_answer(row) for row in rows]
        return []

    async def close(self) -> None:
        """As FleetStatus says."""
        await self._service.close()

    async def _members(self, deployment: str) -> list[Member]:
        with _refusals(), suppress(ResourceNotFoundError):
            return await self._index.members(deployment, self._table.index_rows)
        return []

    async def _rows(self) -> list[StoredDeployment]:
        with _refusals(), suppress(ResourceNotFoundError):
            deployments, _ = await self._deployments.read()
            return deployments
        return []

    async def _read(self, device_id: str) -> StoredDevice | None:
        """A device; None where it has no state, or not a whole one."""
        with _refusals(), suppress(ResourceNotFoundError):
            stored = await self._table.read(device_id)
            return stored if stored.is_known and stored.rows[DEVICE]["State"] else None
        return None

    async def _history(self, device_id: str, sequences: range) -> list[TableEntity]:
        with _refusals():
            return (await self._table.transitions(device_id, sequences))[::-1]


@contextmanager
def _refusals() -> Iterator[None]:
    """A table service that refuses is told at once: a command has no role that is about to hold."""
    try:
        yield
    except UnavailableError as error:
        status = getattr(error.__cause__, "status_code", None)
        if status in _REFUSALS:
            raise RefusedError(
                f"the table service refuses access (answer {status}): check STATUS_TABLES, and the role Storage Table "
                "Data Reader"
            ) from None
        raise
