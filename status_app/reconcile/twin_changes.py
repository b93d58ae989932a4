"""Handles a batch of the hub `twin-changes`: decodes events, joins them per device, reconciles each device once."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from status_app.errors import BadEventError, StatusAppError, UnavailableError
from status_app.ingest.dead_letters import DeadLetters
from status_app.ingest.event_batch import IncomingEvent
from status_app.ingest.notifications import Notification, OtherEvent, read_notification
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.tasks import Notified, Result
from status_app.retry import Deadline
from status_app.telemetry.logs import about, log
from status_app.telemetry.meters import DEAD_LETTERS, record, record_lag

MAX_RETRIES: Final = 5
"""Retries of a batch by the host. The first attempt has no retry context, so the app needs the number itself."""
RUN_FOR: Final = 120.0
"""Seconds in which one attempt reconciles devices. Six attempts with their waits take a quarter of an hour."""
GIVE_UP_FOR: Final = 60.0
"""Further seconds in which events can be dead-lettered."""

_log = log(__name__)


class BatchError(StatusAppError):
    """Some devices of a batch failed for now. The host runs the batch again."""


class TwinChanges:
    """Handles batches of twin-change and lifecycle events.

    Args:
        reconciler_of: Returns the reconciler for a partition.
        dead_letters: Stores events that are given up.
        clock: Returns the time in UTC.
        ticks: Seconds that never run back.
    """

    def __init__(
        self,
        reconciler_of: Callable[[str], Reconciler],
        dead_letters: DeadLetters,
        clock: Callable[[], datetime],
        ticks: Callable[[], float],
    ) -> None:
        self._reconciler_of = reconciler_of
        self._dead_letters = dead_letters
        self._clock = clock
        self._ticks = ticks

    async def handle(self, events: Sequence[IncomingEvent], *, attempt: int) -> None:
        """Reconcile every device that the events name.

        What can never succeed is dead-lettered at once. What failed for now is raised after the rest is done, and
        dead-lettered on the last attempt.

        Args:
            events: One batch of one partition, in order.
            attempt: 0 for the first, `MAX_RETRIES` for the last.

        Raises:
            BatchError: Some devices, or events that could not even be dead-lettered, are left; run the batch again.
        """
        enqueued = [event.enqueued_time for event in events if event.enqueued_time is not None]
        lag = f"{record_lag(min(enqueued), self._clock()):.0f} s" if enqueued else "unknown"
        counts: Counter[str] = Counter()
        run, end = Deadline(RUN_FOR, self._ticks), Deadline(RUN_FOR + GIVE_UP_FOR, self._ticks)
        devices: dict[str, list[tuple[IncomingEvent, Notification]]] = {}
        for event in events:
            try:
                notification = read_notification(event)
            except BadEventError as error:
                counts[await self._give_up([event], error.reason, str(error), end)] += 1
                continue
            if isinstance(notification, OtherEvent):
                counts[notification.value] += 1
            else:
                devices.setdefault(notification.device_id, []).append((event, notification))
        tasks = [Notified(_joined([notification for _, notification in joined])) for joined in devices.values()]
        reconciler = self._reconciler_of(events[0].partition_id if events else "")
        for result in await reconciler.run(tasks, run):
            arrived = [event for event, _ in devices[result.task.device_id]]
            counts[await self._outcome(result, arrived, end, last=attempt >= MAX_RETRIES)] += 1
        # Place and lag show an operator how far a backlog has been processed.
        place = f"{events[-1].partition_id}/{events[-1].sequence_number}" if events else "nothing"
        _log.info(
            "batch of %d events, %d devices, up to %s, lag %s: %s", len(events), len(devices), place, lag, dict(counts)
        )
        if counts["failed"]:
            raise BatchError(f"{counts['failed']} devices or bad events are left for the next attempt")

    async def _outcome(self, result: Result, events: Sequence[IncomingEvent], end: Deadline, *, last: bool) -> str:
        """Return the outcome of one device in a word, for all its events."""
        error, device_id = result.error, result.task.device_id
        with about(device=device_id):
            match error:
                case None:
                    return str(result.outcome)
                case BadEventError():
                    return await self._give_up(events, error.reason, str(error), end)
                case UnavailableError():
                    reason, detail = f"{error.service}_unavailable", str(error)
                    _log.warning("device %r: %s", device_id, detail)
                case _:  # a bug: its neighbors went on, the host retries, and it is logged loudly
                    reason, detail = "internal_error", type(error).__name__
                    _log.error("device %r: %s", device_id, detail, exc_info=error)
            return await self._give_up(events, reason, detail, end) if last else "failed"

    async def _give_up(self, events: Sequence[IncomingEvent], reason: str, detail: str, end: Deadline) -> str:
        """Dead-letter events. Returns the outcome in a word: an event that cannot be stored is not given up."""
        for event in events:
            try:
                async with end.limits("tables"):
                    await self._dead_letters.keep(event, reason, detail)
            except Exception:  # noqa: BLE001 (logged loudly; the batch is run again, and the others go on)
                _log.exception("event %s/%d cannot be kept", event.partition_id, event.sequence_number)
                return "failed"
            _log.error("event %s/%d dead-lettered: %s", event.partition_id, event.sequence_number, detail)
            record(DEAD_LETTERS, 1, {"reason": reason})
        return "dead-lettered"


def _joined(notifications: Sequence[Notification]) -> Notification:
    """Join the notifications of one device into one, with the newest version and time."""
    versions = [notification.version for notification in notifications]
    times = [notification.time for notification in notifications if notification.time is not None]
    demands = [notification.demands for notification in notifications if notification.demands is not None]
    is_said = len(demands) == len(times) == len(notifications)
    known = [version for version in versions if version is not None]
    return Notification(
        device_id=notifications[0].device_id,
        version=max(known) if len(known) == len(versions) else None,
        time=max(times, default=None),
        lifecycle=any(notification.lifecycle for notification in notifications),
        demands=max(demands) if is_said else None,
    )
