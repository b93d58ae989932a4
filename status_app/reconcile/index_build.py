"""Builds DeploymentIndex from DeploymentStatus if it does not exist: at the first start, or after it was dropped.

A new format of its rows is built the same way over the old ones: a device's summary lists the rows and counters to
delete. No twin is read. One row holds the progress, so that a run continues the last one. Meanwhile a device that
changes is projected as usual, and the build finds nothing to do for it.

Afterwards each resync checks some devices the same way, all of them within a week. That repairs what no protocol
excludes: a row that someone deleted, a writer that was suspended for a day.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final

from azure.data.tables.aio import TableClient

from status_app.errors import UnavailableError
from status_app.fleet_index.former import FormerIndex
from status_app.fleet_index.projection import FleetProjection
from status_app.fleet_index.rows import FORMAT
from status_app.reconcile.batch import AT_ONCE
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Announced, Result
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.status_table.reader import DeviceReader
from status_app.storage.client import PAGE, find_row, table_errors

CHECKS: Final = 168
"""How many checks cover all devices: a week of hours."""
RUN_FOR: Final = timedelta(minutes=4)
"""How long one run of the timer builds. The next run continues."""
_PARTITION: Final = "build"
_BUILD: Final = f"format:{FORMAT}"
_CHECK: Final = "check"


class IndexBuild:
    """Projects every device that has a state.

    Attributes:
        is_done: Whether every device is in the index, as far as this process knows.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (each is a collaborator)
        self,
        client: TableClient,
        projection: FleetProjection,
        deployments: DeploymentRows,
        reader: DeviceReader,
        reconciler: Reconciler,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._projection = projection
        self._deployments = deployments
        self._reader = reader
        self._reconciler = reconciler
        self._clock = clock
        self._former = FormerIndex(client)
        self._has_former = True
        self.is_done = False

    async def due(self) -> list[str]:
        """Return what is due by the previous release's index; empty once a build of any format is done."""
        return await self._former.due(self._clock()) if self._has_former else []

    async def go_on(self, report: RunReport) -> None:
        """Continue the build until it is done, or for `RUN_FOR`. Once it is done: one request, then none.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if self.is_done:
            return
        builds = await self._builds()
        row = builds.get(_BUILD, {})
        self.is_done = bool(row.get("Done"))
        self._has_former = not any(build.get("Done") for build in builds.values())
        if not builds:  # otherwise a build of another format has adopted it
            await self._deployments.adopt(self._client)
            if not await self._build(await self._former.unsent(), report):  # including removed devices
                return
        if not row:
            await self._keep_place(None, is_done=False)
        place, began = json.loads(row.get("Place", "null")), self._clock()
        while not self.is_done and self._clock() - began < RUN_FOR:
            devices, place = await self._reader.devices(place)
            if not await self._build(devices, report):
                return  # this page again
            await self._keep_place(place, is_done=place is None)

    async def check(self, report: RunReport) -> None:
        """Project some devices as they are stored, the next ones in the next run: all of them in `CHECKS` runs.

        Raises:
            UnavailableError: The table service does not answer.
        """
        row: Mapping[str, Any] = await find_row(self._client, _key(_CHECK)) or {}
        place, fleet, passed = json.loads(row.get("Place", "null")), row.get("Fleet", 0), row.get("Passed", 0)
        some = min(PAGE, math.ceil(max(fleet, passed, 1) / CHECKS))
        devices, place = await self._reader.devices(place, some)
        if any(map(_is_unavailable, await self._project(devices, report))):
            return  # this page again
        passed += len(devices)
        progress = {"Fleet": passed, "Passed": 0} if place is None else {"Fleet": fleet, "Passed": passed}
        with table_errors():
            await self._client.upsert_entity({**_key(_CHECK), "Place": json.dumps(place), **progress})

    async def _keep_place(self, place: dict[str, str] | None, *, is_done: bool) -> None:
        with table_errors():
            await self._client.upsert_entity({**_key(_BUILD), "Place": json.dumps(place), "Done": is_done})
        self.is_done = is_done
        self._has_former = self._has_former and not is_done

    async def _build(self, devices: Iterable[str], report: RunReport) -> bool:
        """Project devices. An unreadable one is announced, so that the timer comes back to it.

        Returns:
            False if a service did not answer, and the devices must be projected again.
        """
        results = await self._project(devices, report)
        bad = [result.task.device_id for result in results if result.error is not None and not _is_unavailable(result)]
        announced = await self._projection.announce(bad)
        return not any(map(_is_unavailable, results)) and all(isinstance(key, str) for key in announced.values())

    async def _project(self, devices: Iterable[str], report: RunReport) -> list[Result]:
        results: list[Result] = []
        for some in batched(devices, AT_ONCE, strict=False):
            results += await self._reconciler.run(map(Announced, some))
        report.add(results)
        return results

    async def _builds(self) -> dict[str, Mapping[str, Any]]:
        """Read the progress of each format's build."""
        query = f"PartitionKey eq '{_PARTITION}' and RowKey ge 'format:' and RowKey lt 'format;'"
        with table_errors():
            return {row["RowKey"]: row async for row in self._client.query_entities(query)}


def _is_unavailable(result: Result) -> bool:
    """Whether a service did not answer."""
    return isinstance(result.error, UnavailableError)


def _key(row_key: str) -> dict[str, str]:
    return {"PartitionKey": _PARTITION, "RowKey": row_key}
