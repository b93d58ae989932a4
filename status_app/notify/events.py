"""The trigger of the event hub `transitions`: sends each event to the targets that want it."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from status_app.ingest.event_batch import IncomingEvent
from status_app.notify.delivery import Delivery
from status_app.notify.notices import Notice
from status_app.notify.targets import Target
from status_app.telemetry.logs import log

CONSUMER_GROUP: Final = "notify"
"""The app's own consumer group of the event hub `transitions`."""

_log = log(__name__)


class EventNews:
    """Sends the events of a batch. People only get milestones; messages about causes come from the timer."""

    def __init__(self, delivery: Delivery, targets: Sequence[Target], clock: Callable[[], datetime]) -> None:
        self._delivery = delivery
        self._targets = targets
        self._clock = clock

    async def handle(self, events: Sequence[IncomingEvent]) -> None:
        """Send events to all targets at once. An unreadable event is logged and skipped.

        Raises:
            ExceptionGroup: Some are neither sent nor stored because the table service does not answer. The host runs
                the batch again.
        """
        wanted = defaultdict[str, list[Notice]](list)
        for event in events:
            for name, notice in self._notices(event):
                wanted[name].append(notice)
        async with asyncio.TaskGroup() as tasks:
            for target in self._targets:
                if notices := wanted[target.name]:
                    tasks.create_task(self._delivery.send_now(target, notices))

    def _notices(self, event: IncomingEvent) -> list[tuple[str, Notice]]:
        """Return the targets that want an event, with their notices; none if the app did not send it."""
        now = self._clock()
        try:
            news = json.loads(event.body)
            notice = Notice(f"{news['id']}", event.body, event.enqueued_time or now, now, now)
            return [(target.name, notice) for target in self._targets if target.wants(news)]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # its text may quote the event
            _log.error("partition %s, event %d is not an event of the app", event.partition_id, event.sequence_number)
            return []
