"""Reads the cohorts of all devices once a day, as a part of resync: changes of tags send no notification."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from status_app.errors import ContinuationError, UnavailableError
from status_app.fleet_index.lookups import FleetIndex
from status_app.iothub.cohorts import CohortReader, Cohorts
from status_app.iothub.queries import PAGE_SIZE
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Tagged
from status_app.retry import Deadline
from status_app.storage import transaction
from status_app.storage.client import PAGE, find_row, table_errors
from status_app.storage.codecs import read_time
from status_app.storage.keys import escape, joined, key_part, unescape
from status_app.telemetry.logs import log

EVERY: Final = timedelta(days=1)
_LEFT: Final = "left"
_KEY: Final = {"PartitionKey": "cohorts", "RowKey": "refresh"}

_log = log(__name__)


class RefreshRows:
    """One row holds the progress of a refresh, others the devices that could not be queried and wait for one.

    Every method raises UnavailableError if the table service does not answer.
    """

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def read(self) -> Mapping[str, Any]:
        """Read the row of the refresh; empty if there is none."""
        return await find_row(self._client, _KEY) or {}

    async def keep(self, columns: Mapping[str, Any]) -> None:
        """Write the row of the refresh."""
        with table_errors():
            await self._client.upsert_entity({**_KEY, **columns}, UpdateMode.REPLACE)

    async def end(self) -> None:
        """Delete the row of the refresh."""
        with table_errors():
            await self._client.delete_entity(_KEY["PartitionKey"], _KEY["RowKey"])

    async def leave(self, device_ids: Sequence[str]) -> None:
        """Add devices that wait for the next refresh."""
        with table_errors():
            await transaction.replace(self._client, map(_left_row, device_ids))

    async def left(self) -> list[str]:
        """Read a page of the devices that wait."""
        found: list[str] = []
        with table_errors():
            async for row in self._client.query_entities(
                f"PartitionKey eq '{_KEY['PartitionKey']}' and RowKey ge '{_LEFT}|' and RowKey lt '{_LEFT}}}'",
                results_per_page=PAGE,
            ):
                found.append(unescape(row["Device"]))
                if len(found) == PAGE:
                    break
        return found

    async def forget(self, device_ids: Sequence[str]) -> None:
        """Remove devices that no longer wait."""
        with table_errors():
            await transaction.delete(self._client, map(_left_row, device_ids))


def _left_row(device_id: str) -> Mapping[str, Any]:
    """Return the row of a device that waits for the next refresh."""
    key = joined(_LEFT, key_part(device_id))
    return {"PartitionKey": _KEY["PartitionKey"], "RowKey": key, "Device": escape(device_id)}


class CohortRefresh:
    """Reads the tags of all devices. One row holds the progress, so that a run continues the last one."""

    def __init__(
        self,
        rows: RefreshRows,
        index: FleetIndex,
        cohorts: CohortReader | None,
        reconciler: Reconciler,
        clock: Callable[[], datetime],
    ) -> None:
        self._rows = rows
        self._index = index
        self._cohorts = cohorts
        self._reconciler = reconciler
        self._clock = clock
        self._has_none = False

    async def run(self, report: RunReport, end: Deadline) -> None:
        """Read the devices that wait, then continue the present refresh or begin one.

        One begins if the last one is a day old, or was of other tags. If no tags are set any more, every device leaves
        its cohorts, without the hub. If the hub does not answer, the next run does the rest.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if self._has_none:
            return
        if self._cohorts is None:
            self._has_none = not await self._rows.read() or await self._leave_all(report, end)
            return
        if not await self._take_left(self._cohorts, report, end):
            return
        now, tags, row = self._clock(), json.dumps([*self._cohorts.names]), await self._rows.read()
        place, began = row.get("Continuation"), row.get("BeganAt")
        if row.get("Tags") != tags or began is None or (place is None and read_time(began) + EVERY <= now):
            place, began = None, now
        elif place is None:
            return
        known = await self._known()
        while not end.is_over:
            try:
                async with end.limits("iothub"):
                    page, place = await self._cohorts.page(place)
            except ContinuationError:
                place, began = None, now
                continue
            except UnavailableError as error:
                _log.info("cohorts: the next run continues: %s", error)
                return
            changed = [Tagged(name, found) for name, found in page.items() if known.get(name, found) != found]
            report.add(await self._reconciler.run(changed, end))
            await self._rows.keep(
                {"Tags": tags, "BeganAt": began, **({} if place is None else {"Continuation": place})}
            )
            if place is None:
                return

    async def _known(self) -> dict[str, Cohorts]:
        """Return the cohorts of each device in the index."""
        entries = await self._index.all_profiles()
        return {entry.device_id: tuple(json.loads(entry.columns.get("Cohorts", "[]"))) for entry in entries}

    async def _leave_all(self, report: RunReport, end: Deadline) -> bool:
        """Take every device out of its cohorts. Returns whether none was left in any, so that the row was deleted."""
        left = [Tagged(name, ()) for name, cohorts in (await self._known()).items() if cohorts]
        for some in batched(left, PAGE_SIZE, strict=False):
            if end.is_over:
                break
            report.add(await self._reconciler.run(some, end))
        if not left:
            await self._rows.end()
        return not left

    async def _take_left(self, cohorts: CohortReader, report: RunReport, end: Deadline) -> bool:
        """Read the devices that wait. If the hub does not know one yet, the daily refresh will read it.

        Returns:
            Whether the hub has answered.
        """
        left = await self._rows.left()
        for some in batched(left, PAGE_SIZE, strict=False):
            try:
                async with end.limits("iothub"):
                    found = await cohorts.left(some)
            except UnavailableError as error:
                _log.info("cohorts: the next run reads %d new devices: %s", len(left), error)
                return False
            report.add(await self._reconciler.run([Tagged(name, now) for name, now in found.items()], end))
            await self._rows.forget(some)
        return True
