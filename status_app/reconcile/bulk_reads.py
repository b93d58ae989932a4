"""Twins of many devices by one query, and which of them are as good as a read.

The hub answers a query from an index that lags, by minutes at times. A notification says which version its change made,
and when: a queried twin that has this version, and was changed no earlier, is as new as the notification demands. It
counts where nothing of its identity is in doubt too: an identity that is created again begins its versions at 1, so a
version alone says little. Any other twin, and one that the answer lacks, is read by itself, so a query can cost time
and nothing else.

A device whose deadline is over has changed nothing: of it the query has to give the twin that is stored, or a later one
of the same identity. That holds up to ten minutes before the query was asked, so a deadline has to be over for so long:
those that flag_stuck does not get round to reading.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from status_app.errors import UnavailableError
from status_app.iothub import queries
from status_app.reconcile.decisions import QUERIES_LAG
from status_app.reconcile.tasks import Due, Notified, Task
from status_app.status_table.stored_device import StoredDevice
from status_app.telemetry.logs import log
from status_core import EDGE_AGENT, timestamp

ENOUGH: Final = 8
"""Devices for which a query is made. Fewer are read as fast as that, READERS at once."""
CLOCKS_OF_THE_HUB: Final = timedelta(seconds=2)
"""A twin and its notification take the time of a change from two clocks, which differ by less: an assumption."""
PAUSE: Final = timedelta(minutes=2)
"""No query is made for so long after one that failed, or of which less than half was new enough: the index lags."""

_log = log(__name__)


class ManyTwins(Protocol):
    """Where twins are queried."""

    async def several(self, device_ids: Sequence[str]) -> Sequence[Mapping[str, Any]] | None:
        """Twins of some devices by one query; None where it was not asked."""


@dataclass(frozen=True, slots=True)
class QueriedTwin:
    """A twin that a query gave, as good as a read at its last change.

    Attributes:
        asked: When the query was sent.
    """

    twin: Mapping[str, Any]
    asked: datetime


class BulkReads:
    """Queries twins, and pauses where that is of no use.

    Args:
        clock: The time, in UTC.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._paused_until: datetime | None = None

    async def read(self, twins: ManyTwins, wanted: Iterable[tuple[Task, StoredDevice]]) -> Mapping[str, QueriedTwin]:
        """Twins that count, by device id; whoever is missing has to be read.

        Args:
            twins: Where they are queried.
            wanted: Devices that need a read, each once.
        """
        now = self._clock()
        devices = {task.device_id: (task, stored) for task, stored in wanted if can_be_queried(task, stored, now)}
        found: dict[str, QueriedTwin] = {}
        for portion in queries.portions(devices):
            if len(portion) < ENOUGH or self._is_paused():
                break
            asked = self._clock()
            try:
                answer = await twins.several(portion)
            except UnavailableError as error:
                _log.info("a query for %d twins: %s", len(portion), error)
                self._pause()
                break
            if answer is None:
                break
            fresh = {
                device_id: QueriedTwin(twin, asked)
                for device_id, twin in by_device(answer, portion)
                if is_as_good_as_a_read(twin, *devices[device_id])
            }
            found |= fresh
            if 2 * len(fresh) < len(portion):
                _log.info(
                    "a query gave %d of %d twins as new as they must be: none for %s", len(fresh), len(portion), PAUSE
                )
                self._pause()
        return found

    def _is_paused(self) -> bool:
        return self._paused_until is not None and self._clock() < self._paused_until

    def _pause(self) -> None:
        self._paused_until = self._clock() + PAUSE


def can_be_queried(task: Task, stored: StoredDevice, now: datetime) -> bool:
    """Whether any queried twin could count: what is notified has a version and a time, and the identity is one.

    A creation is a new identity, whose first twin has no time of a change: a later twin of a device without a history
    counts for it. Without a notification a deadline has to be over for as long as a query lags.
    """
    if isinstance(task, Due):
        look_at, is_whole = stored.look_at, stored.twin_version is not None
        return is_whole and look_at is not None and max(look_at, stored.observed) <= now - QUERIES_LAG
    if not isinstance(task, Notified):
        return False
    notification = task.notification
    if notification.demands is None or notification.time is None:
        return False
    if stored.is_known:
        return not notification.lifecycle and stored.twin_version is not None
    return stored.last_sequence == 0


def is_as_good_as_a_read(twin: Mapping[str, Any], task: Task, stored: StoredDevice) -> bool:
    """Whether a queried twin is as new as what was notified, and a later one of the identity that is stored.

    Where nothing was notified, the one that is stored will do.

    Args:
        twin: As the hub sent it.
        task: Of a device that can be queried.
        stored: The device.
    """
    version, changed = twin.get("version"), changed_at(twin)
    if not isinstance(version, int) or isinstance(version, bool) or changed is None:
        return False
    known = stored.twin_version
    if isinstance(task, Notified):
        demands, time = task.notification.demands, task.notification.time
        if demands is None or version < demands or time is None or changed + CLOCKS_OF_THE_HUB < time:
            return False
    elif version == known:
        return stored.newest_since <= changed <= stored.at
    return known is None or (version > known and changed > max(stored.at, stored.observed))


def changed_at(twin: Mapping[str, Any]) -> datetime | None:
    """The newest hub time of both sections; None where it is no whole twin: one lacks, or does not say when it changed.

    A section that nobody has written says so of no time.
    """
    properties, times = twin.get("properties"), list[datetime]()
    for name in ("desired", "reported"):
        section = properties.get(name) if isinstance(properties, dict) else None
        if not isinstance(section, dict):
            return None
        metadata = section.get("$metadata")
        time = timestamp(metadata.get("$lastUpdated")) if isinstance(metadata, dict) else None
        if time is not None:
            times.append(time)
        elif not all(key.startswith("$") for key in section):
            return None
    return max(times, default=None)


def by_device(answer: Iterable[Mapping[str, Any]], asked: Sequence[str]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The twins of those that were asked for. Of one that comes twice, neither is believed."""
    wanted = set(asked)
    named = [
        (device_id, twin)
        for twin in answer
        if isinstance(device_id := twin.get("deviceId"), str)
        and device_id in wanted
        and twin.get("moduleId", EDGE_AGENT) == EDGE_AGENT
    ]
    times = Counter(device_id for device_id, _ in named)
    return [(device_id, twin) for device_id, twin in named if times[device_id] == 1]
