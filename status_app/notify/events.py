"""The trigger of the event hub `transitions`: every event goes to each target that wants it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from status_app.ingest.event_batch import IncomingEvent
from status_app.notify.delivery import Delivery
from status_app.notify.notice_rows import Notice
from status_app.notify.targets import Target
from status_app.telemetry.logs import log

CONSUMER_GROUP: Final = "notify"
"""Of the event hub `transitions`: no subscriber has it."""

_log = log(__name__)


class EventNews:
    """Sends the events of a batch. People get milestones alone: of causes they are told by the timer."""

    def __init__(self, delivery: Delivery, targets: Sequence[Target], clock: Callable[[], datetime]) -> None:
        self._delivery = delivery
        self._targets = targets
        self._clock = clock

    async def handle(self, events: Sequence[IncomingEvent]) -> None:
        """Send events to all targets at once. An event that cannot be read costs itself.

        Raises:
            ExceptionGroup: Some are neither sent nor kept, since the table service does not answer: the host runs the
                batch again.
        """
        read = [(event, news) for event in events if (news := _news(event)) is not None]
        async with asyncio.TaskGroup() as tasks:
            for target in self._targets:
                if wanted := [self._notice(event, news["id"]) for event, news in read if target.wants(news)]:
                    tasks.create_task(self._delivery.send_now(target, wanted))

    def _notice(self, event: IncomingEvent, news_id: str) -> Notice:
        now = self._clock()
        return Notice(news_id, event.body, event.enqueued_time or now, now, now)


def _news(event: IncomingEvent) -> Any:
    """The CloudEvent; None where it is none of the app's."""
    try:
        news = json.loads(event.body)
        if isinstance(news["id"], str) and isinstance(news["type"], str) and isinstance(news["data"], dict):
            return news
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    _log.error("partition %s, event %d is no event of the app", event.partition_id, event.sequence_number)
    return None
