"""Reads the cohorts of all devices once a day, as a part of resync: a change of a tag is not notified."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final

from azure.data.tables.aio import TableClient

from status_app.errors import ContinuationError, UnavailableError
from status_app.fleet_index.lookups import FleetIndex
from status_app.iothub.cohorts import CohortReader, Cohorts
from status_app.iothub.twins import PAGE_SIZE
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Tagged
from status_app.retry import Deadline
from status_app.storage.client import table_errors
from status_app.storage.codecs import read_time
from status_app.telemetry.logs import log

EVERY: Final = timedelta(days=1)
_KEY: Final = {"PartitionKey": "cohorts", "RowKey": "refresh"}

_log = log(__name__)


class CohortRefresh:
    """Goes through the tags of all devices. One row says how far, so that a run goes on with the last one."""

    def __init__(
        self,
        client: TableClient,
        index: FleetIndex,
        cohorts: CohortReader | None,
        reconciler: Reconciler,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._index = index
        self._cohorts = cohorts
        self._reconciler = reconciler
        self._clock = clock
        self._has_none = False

    async def run(self, report: RunReport, end: Deadline) -> None:
        """Go on with the refresh that is under way, or begin one where the last one is a day old, or of other tags.

        Without tags any more, every device leaves its cohorts, and the hub is not asked. A hub that does not answer
        leaves the rest to the next run.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if self._has_none:
            return
        row = await self._row()
        if self._cohorts is None:
            self._has_none = not row or await self._leave_all(report, end)
            return
        now, tags = self._clock(), json.dumps([*self._cohorts.names])
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
                _log.info("cohorts: the next run goes on: %s", error)
                return
            changed = [Tagged(name, found) for name, found in page.items() if known.get(name, found) != found]
            report.add(await self._reconciler.run(changed, end))
            await self._keep({"Tags": tags, "BeganAt": began, **({} if place is None else {"Continuation": place})})
            if place is None:
                return

    async def _known(self) -> dict[str, Cohorts]:
        """The cohorts of each device, as the index has them."""
        entries = await self._index.all_profiles()
        return {entry.device_id: tuple(json.loads(entry.columns.get("Cohorts", "[]"))) for entry in entries}

    async def _leave_all(self, report: RunReport, end: Deadline) -> bool:
        """Take every device out of its cohorts; whether none was in any, and the tags are forgotten."""
        left = [Tagged(name, ()) for name, cohorts in (await self._known()).items() if cohorts]
        for some in batched(left, PAGE_SIZE, strict=False):
            if end.is_over:
                break
            report.add(await self._reconciler.run(some, end))
        if not left:
            with table_errors():
                await self._client.delete_entity(_KEY["PartitionKey"], _KEY["RowKey"])
        return not left

    async def _keep(self, columns: Mapping[str, Any]) -> None:
        with table_errors():
            await self._client.upsert_entity({**_KEY, **columns})

    async def _row(self) -> Mapping[str, Any]:
        query = " and ".join(f"{name} eq '{value}'" for name, value in _KEY.items())
        with table_errors():
            async for row in self._client.query_entities(query):
                return row
        return {}
