"""The part of the minute's timer that creates notices about causes, and sends what waits."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from status_app.notify.causes import CauseNews
from status_app.notify.delivery import Delivery
from status_app.notify.targets import Target
from status_app.retry import Deadline

RUN_FOR: Final = 90.0
"""Seconds of a run, after the timer's other work."""


class NoticeRun:
    """Finds what to announce to people, and sends what is due.

    Args:
        causes: Compares causes with earlier notices.
        delivery: Sends notices.
        targets: Where notices go.
        is_counted: Whether the index covers the whole fleet. With half an index, causes would seem to be over.
        ticks: Seconds that never run back.
    """

    def __init__(
        self,
        causes: CauseNews,
        delivery: Delivery,
        targets: Sequence[Target],
        is_counted: Callable[[], bool],
        ticks: Callable[[], float],
    ) -> None:
        self._causes = causes
        self._delivery = delivery
        self._targets = targets
        self._is_counted = is_counted
        self._ticks = ticks

    async def run(self) -> None:
        """Create notices for people, then send what is due to all targets at once.

        Raises:
            ExceptionGroup: A part failed, and is left for the next run.
        """
        deadline = Deadline(RUN_FOR, self._ticks)
        errors: list[Exception] = []
        people = [target for target in self._targets if target.is_for_people]
        if people and self._is_counted():
            try:
                await self._causes.announce(people)
            except Exception as error:  # noqa: BLE001 (raised at the end, after sending what waits)
                errors.append(error)
        sent = await asyncio.gather(
            *(self._delivery.send_due(target, deadline) for target in self._targets), return_exceptions=True
        )
        for result in sent:
            if isinstance(result, Exception):
                errors.append(result)
            elif isinstance(result, BaseException):
                raise result
        if errors:
            raise ExceptionGroup(f"notify: {len(errors)} failed, left for the next run", errors)
