"""The daily comparison of the index with the hub, for changes that have no time: configurations, and deletions.

One request reads a thousand devices from the index, one query the outlines of a hundred twins. A device whose summary
agrees costs no more. Otherwise its own row is read: a change that affects no row of the index is stored only there, and
from then on in the index too. The twin is read only if the row differs too, or if the answer lacks the device or has it
twice, or if no query can name it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import Any, Final, Protocol

from status_app.errors import ContinuationError, OutOfTimeError, QueryRefusedError, UnavailableError
from status_app.fleet_index.entries import IndexEntry
from status_app.fleet_index.lookups import FleetIndex
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
"""Pages of one query that are requested: a hub may return fewer than a hundred at once."""
KEPT_EVERY: Final = 10_000
"""The progress is stored after this many devices, and at the end of a run."""
ENOUGH: Final = 8
"""If most of this many devices with deployments seem to have none, the hub does not return configurations."""

AS_KNOWN: Final = "as known"
"""In the line of a run: devices whose outline agrees with the index."""

_NONE: Final = ("[]", json.dumps([INDIVIDUAL]))

_log = log(__name__)


class Outlines(Protocol):
    """The source of outlines."""

    async def outlines(self, device_ids: Sequence[str], continuation: str | None = None) -> TwinPage:
        """Read a page of outlines, which show whether the twins of some devices have changed."""


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
        """Continue the comparison, or begin one.

        Args:
            times: The progress of resync, updated and stored every few pages.
            report: Collects the results.
            until: No query is sent after it.
            end: No device is reconciled after it.

        Raises:
            QueryRefusedError: The hub refuses the query, or does not answer it as intended.
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
                    _log.info("resync: the next run continues the comparison: %s", error)
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
        """Compare some devices. Returns False if the time was over, so that they must come again.

        Raises:
            UnavailableError: The hub does not answer.
            QueryRefusedError: See `run`.
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
        """Read the outlines of some devices, at most one each."""
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
    """Refuse answers without any configurations: every device would seem to differ.

    Raises:
        QueryRefusedError: The hub does not return configurations.
    """
    known = [(entry, outline) for entry in entries if (outline := outlines.get(entry.device_id)) is not None]
    applied = [outline for entry, outline in known if entry.columns.get("Deployments", "[]") not in _NONE]
    bare = sum("configurations" not in outline for outline in applied)
    if len(applied) >= ENOUGH and 2 * bare > len(applied):
        raise QueryRefusedError


def _is_as_known(entry: IndexEntry, outline: DeploymentStatus) -> bool:
    """Whether a device's summary agrees with its outline. An unreadable row does not."""
    try:
        return is_as_known(entry.columns, outline)
    except UNREADABLE as error:  # its text may quote the row
        _log.error("the summary of device %r cannot be read: %s", entry.device_id, type(error).__name__)
        return False
