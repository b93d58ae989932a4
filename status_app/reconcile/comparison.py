"""The daily comparison: what the hub says of configurations changes no time, and a deleted device is on no page.

It goes through the index, a thousand devices by one request, and asks the hub for the outlines of a hundred of their
twins by one query. A device whose row says the same costs no more. Of any other the own row is read: a change that
moves nothing of the index is said there alone, and from then on in the index too. Only where that differs the twin is
read, and where the answer lacks a device, has it twice, or no query can name it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import Any, Final, Protocol

from status_app.errors import ContinuationError, OutOfTimeError, QueryRefusedError, UnavailableError
from status_app.fleet_index.lookups import FleetIndex, IndexEntry
from status_app.fleet_index.rows import SHARDS
from status_app.iothub import queries
from status_app.iothub.twins import TwinPage
from status_app.reconcile.bulk_reads import by_device
from status_app.reconcile.decisions import is_as_known
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.resync_times import ComparisonPlace, ResyncTimes, ResyncTimesRow
from status_app.reconcile.run_report import RunReport
from status_app.reconcile.tasks import Compared, Unseen
from status_app.retry import Deadline
from status_app.storage.codecs import UNREADABLE
from status_app.telemetry.logs import log
from status_core import INDIVIDUAL, DeploymentStatus, evaluate

PAGES: Final = 4
"""Pages of one query that are asked for: a hub may give fewer than a hundred at once."""
KEPT_EVERY: Final = 10_000
"""After so many devices, and at the end of a run, it is kept where the comparison has come to."""
ENOUGH: Final = 8
"""Devices with deployments: where most of so many seem to have none, the hub does not give configurations so."""

AS_KNOWN: Final = "as known"
"""In the line of a run: devices whose outline is what the index says."""

_NONE: Final = ("[]", json.dumps([INDIVIDUAL]))

_log = log(__name__)


class Outlines(Protocol):
    """Where the outlines of twins are queried."""

    async def outlines(self, device_ids: Sequence[str], continuation: str | None = None) -> TwinPage:
        """A page of what tells whether the twins of some devices are as they were."""


class Comparison:
    """Compares each device of the index with the outline of its twin."""

    def __init__(
        self,
        index: FleetIndex,
        times: ResyncTimesRow,
        reconciler: Reconciler,
        twins: Outlines,
        clock: Callable[[], datetime],
    ) -> None:
        self._index = index
        self._times = times
        self._reconciler = reconciler
        self._twins = twins
        self._clock = clock

    async def run(self, times: ResyncTimes, report: RunReport, until: Deadline, end: Deadline) -> None:
        """Go on with the comparison, or begin one.

        Args:
            times: How far resync is. They say how far this has come, and are kept every few pages.
            report: Takes what became of devices.
            until: When no further query is made.
            end: When no further device is looked at.

        Raises:
            QueryRefusedError: The hub does not take the query, or does not answer it as it is meant.
            UnavailableError: The table service does not answer.
        """
        if times.place is None:
            times.comparison_began, times.place = self._clock(), ComparisonPlace()
        compared = unkept = 0
        while times.place is not None:
            place = times.place
            try:
                async with end.limits("tables"):
                    entries, after = await self._index.compared_by(SHARDS[place.shard], place.after)
            except OutOfTimeError:
                return
            for some in batched(entries, queries.PAGE_SIZE, strict=False):
                try:
                    is_done = await self._compare(some, report, until, end)
                except UnavailableError as error:
                    _log.info("resync: the next run goes on with the comparison: %s", error)
                    report.errors += [] if compared or isinstance(error, OutOfTimeError) else [error]
                    return
                if not is_done:
                    return
                compared, unkept = compared + len(some), unkept + len(some)
                times.place = ComparisonPlace(place.shard, some[-1].key)
            if after is not None:
                times.place = ComparisonPlace(place.shard, after)
            else:
                times.place = ComparisonPlace(place.shard + 1) if place.shard + 1 < len(SHARDS) else None
            if unkept >= KEPT_EVERY:
                unkept = 0
                await self._times.write(times)
        times.compared = times.comparison_began

    async def _compare(self, entries: Sequence[IndexEntry], report: RunReport, until: Deadline, end: Deadline) -> bool:
        """Compare some devices. False where the time was over, and they have to come again.

        Raises:
            UnavailableError: The hub does not answer.
            QueryRefusedError: As of `run`.
        """
        queried = self._clock()
        async with until.limits("iothub"):
            outlines = await self._outlines([entry.device_id for entry in entries])
        _check(entries, outlines)
        tasks: list[Compared | Unseen] = []
        for entry in entries:
            outline = outlines.get(entry.device_id)
            if outline is None:
                tasks.append(Unseen(entry.device_id))
            elif not _is_as_known(entry, status := evaluate(outline)):
                tasks.append(Compared(entry.device_id, status, queried))
        results = await self._reconciler.run(tasks, end)
        report.outcomes[AS_KNOWN] += len(entries) - len(tasks)
        report.add(results)
        return not any(isinstance(result.error, OutOfTimeError) for result in results)

    async def _outlines(self, device_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """What the hub gives of some devices, of each at most one outline."""
        found: list[Mapping[str, Any]] = []
        for portion in queries.portions(device_ids, queries.outlines_of):
            continuation, own = None, 0
            for _ in range(PAGES):
                try:
                    page = await self._twins.outlines(portion, continuation)
                except ContinuationError:
                    break
                found += page.twins
                continuation, own = page.continuation, own + len(page.twins)
                if continuation is None or own >= len(portion):
                    break
        return dict(by_device(found, device_ids))


def _check(entries: Sequence[IndexEntry], outlines: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse answers that name no configurations at all: each device would seem to differ.

    Raises:
        QueryRefusedError: The hub does not give them.
    """
    known = [(entry, outline) for entry in entries if (outline := outlines.get(entry.device_id)) is not None]
    applied = [outline for entry, outline in known if entry.columns.get("Deployments", "[]") not in _NONE]
    bare = sum("configurations" not in outline for outline in applied)
    if len(applied) >= ENOUGH and 2 * bare > len(applied):
        raise QueryRefusedError


def _is_as_known(entry: IndexEntry, outline: DeploymentStatus) -> bool:
    """Whether the index says the same of a device. A row that cannot be read says nothing."""
    try:
        return is_as_known(entry.columns, outline)
    except UNREADABLE as error:  # its text may quote the row
        _log.error("the summary of device %r cannot be read: %s", entry.device_id, type(error).__name__)
        return False
