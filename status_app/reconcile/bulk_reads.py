"""Reads the twins of many devices by one query, and decides which are as good as a direct read.

The hub answers a query from an index that lags, sometimes by minutes. A notification gives the version and the time of
its change: a queried twin that has this version, and was not changed earlier, is as new as the notification requires.
It counts only if its identity is certain too: a recreated identity starts its versions at 1, so a version alone proves
little. Any other twin, and any missing one, is read directly, so a query can cost time but nothing else.

A device whose deadline is over has not changed: the query must return the stored twin, or a later one of the same
identity. Such a twin holds until ten minutes before the query, so the deadline must be over for that long. These are
the devices that flag_stuck has no time to read.
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
"""From this many devices on a query is worthwhile. Fewer are read as fast directly, READERS at once."""
CLOCKS_OF_THE_HUB: Final = timedelta(seconds=2)
"""A twin and its notification take a change's time from two clocks. They are assumed to differ by less."""
PAUSE: Final = timedelta(minutes=2)
"""No query is made this long after one that failed, or returned less than half new enough: the index lags."""

_log = log(__name__)


class ManyTwins(Protocol):
    """The source of queried twins."""

    async def several(self, device_ids: Sequence[str]) -> Sequence[Mapping[str, Any]] | None:
        """Read the twins of some devices by one query; None if no query was sent."""


@dataclass(frozen=True, slots=True)
class QueriedTwin:
    """A queried twin that was as good as a direct read at its last change.

    Attributes:
        asked: When the query was sent.
    """

    twin: Mapping[str, Any]
    asked: datetime


class BulkReads:
    """Queries twins, and pauses when that is of no use.

    Args:
        clock: Returns the time in UTC.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._paused_until: datetime | None = None

    async def read(self, twins: ManyTwins, wanted: Iterable[tuple[Task, StoredDevice]]) -> Mapping[str, QueriedTwin]:
        """Return the twins that count, by device id. Missing devices must be read directly.

        Args:
            twins: The source.
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
    """Whether a queried twin could count: the notification has a version and a time, and the identity is certain.

    A creation is a new identity, whose first twin has no time of a change: for a device without history, a later twin
    counts. Without a notification the deadline must be over for as long as a query may lag.
    """
    if isinstance(task, Due):
        due_at, is_whole = stored.due_at, stored.twin_version is not None
        return is_whole and due_at is not None and max(due_at, stored.observed) <= now - QUERIES_LAG
    if not isinstance(task, Notified):
        return False
    notification = task.notification
    if notification.demands is None or notification.time is None:
        return False
    if stored.is_known:
        return not notification.lifecycle and stored.twin_version is not None
    return stored.last_sequence == 0


def is_as_good_as_a_read(twin: Mapping[str, Any], task: Task, stored: StoredDevice) -> bool:
    """Whether a queried twin is as new as the notification, and a later one of the stored identity.

    Without a notification, the stored twin itself is new enough.

    Args:
        twin: The twin as the hub sent it.
        task: The task of a device that can be queried.
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
    """Return the newest hub time of both sections; None if the twin is incomplete.

    It is incomplete if a section is missing, or has content but no time of its last change.
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
    """Return the twins of the requested devices. If one occurs twice, neither counts."""
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
