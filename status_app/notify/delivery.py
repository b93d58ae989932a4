"""Delivers notices to targets: at once if they accept them, else later.

An unreachable target is left alone for a while, longer each time. A message that it refuses is retried by itself, for a
day. No target waits for another.
"""

import asyncio
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched
from typing import Final

from status_app.notify.formats import render
from status_app.notify.notice_rows import NoticeRows
from status_app.notify.notices import Notice, TargetState
from status_app.notify.targets import Target
from status_app.notify.webhook import DeliveryError, Webhooks
from status_app.retry import Deadline
from status_app.telemetry import meters
from status_app.telemetry.logs import log

LANES: Final = 8
"""Messages sent to one target at once. Those of one source are sent in order."""
_NOTED_AT_ONCE: Final = 4 * LANES
"""Messages that the timer sends before it records them as sent."""
SEND_FOR: Final = 60.0
"""Seconds for sending a batch of events at once. The timer sends the rest."""
GIVE_UP_AFTER: Final = timedelta(days=1)
FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(minutes=15)
LONGEST_WAIT: Final = timedelta(hours=1)
"""The longest wait that a target may ask for."""

_log = log(__name__)


class Delivery:
    """Sends notices to targets, and stores what they do not accept.

    Args:
        rows: Stores unsent notices.
        webhooks: Sends messages.
        fleet: The fleet's name for people.
        clock: Returns the time in UTC.
        ticks: Seconds that never run back.
    """

    def __init__(
        self,
        rows: NoticeRows,
        webhooks: Webhooks,
        fleet: str,
        clock: Callable[[], datetime],
        ticks: Callable[[], float],
    ) -> None:
        self._rows = rows
        self._webhooks = webhooks
        self._fleet = fleet
        self._clock = clock
        self._ticks = ticks

    async def send_now(self, target: Target, notices: Sequence[Notice]) -> None:
        """Send new notices, and store what the target does not accept.

        Notices that an interrupted run has stored already are not sent again.

        Raises:
            UnavailableError: The table service does not answer: some notices are neither sent nor stored.
        """
        times = [notice.queued_at for notice in notices]
        known = await self._rows.queued(target.name, min(times), max(times))
        fresh = [notice for notice in notices if notice.key not in known]
        state = await self._rows.state(target.name)
        if state.is_paused(self._clock()):
            await self._rows.keep(target.name, fresh)
            return
        batch = await self._send(target, fresh, Deadline(SEND_FOR, self._ticks), is_new=True)
        await self._rows.keep(target.name, [*batch.failed, *batch.skipped])
        await self._note(target, state, batch)

    async def send_due(self, target: Target, deadline: Deadline) -> None:
        """Send what is due, oldest first, and give up what was not accepted for a day.

        Raises:
            UnavailableError: The table service does not answer.
        """
        state, was_due = await self._rows.state(target.name), False
        while not deadline.is_over:
            now = self._clock()
            is_paused = state.is_paused(now)
            due = await self._rows.due(target.name, now, kept_before=now - GIVE_UP_AFTER if is_paused else None)
            was_due = was_due or bool(due)
            if is_paused:
                await self._give_up(target, due, state.error)
            elif due:
                state = await self._send_page(target, due, state, deadline)
            if not due:
                break
        if was_due or state.unsent or state.failures:
            state = replace(state, unsent=await self._rows.unsent(target.name))
            await self._rows.keep_state(target.name, state)

    async def _send_page(
        self, target: Target, due: Sequence[Notice], state: TargetState, deadline: Deadline
    ) -> TargetState:
        """Send messages, the first one alone as a test, until the target cannot be reached. Returns its new state."""
        for some in [due[:1], *batched(due[1:], _NOTED_AT_ONCE, strict=False)]:
            batch = await self._send(target, some, deadline, is_new=False)
            await self._rows.sent(target.name, batch.sent)
            old = [notice for notice in batch.failed if self._is_old(notice)]
            await self._rows.keep(target.name, [notice for notice in batch.failed if notice not in old])
            await self._give_up(target, old)
            state = await self._note(target, state, batch)
            if batch.skipped or batch.failure is not None:
                break
        return state

    async def _send(self, target: Target, notices: Iterable[Notice], deadline: Deadline, *, is_new: bool) -> "_Batch":
        lanes: dict[int, list[Notice]] = {}
        for notice in notices:
            lanes.setdefault(_lane(notice), []).append(notice)
        batch = _Batch(self, target, deadline)
        await asyncio.gather(*(batch.send_in_order(lane, is_new=is_new) for lane in lanes.values()))
        return batch

    def _is_old(self, notice: Notice) -> bool:
        return self._clock() - notice.kept_at >= GIVE_UP_AFTER

    async def _give_up(self, target: Target, notices: Sequence[Notice], error: str = "") -> None:
        if not notices:
            return
        given_up = [replace(notice, error=notice.error or error) for notice in notices]
        await self._rows.give_up(target.name, given_up, self._clock())
        meters.record(meters.DEAD_LETTERS, len(given_up), {"reason": "not_taken"})
        _log.error("target %s: %d messages are given up: %s", target.name, len(given_up), given_up[-1].error)

    async def _note(self, target: Target, state: TargetState, batch: "_Batch") -> TargetState:
        """Store the target's state if it changed."""
        if batch.failure is not None:
            now = self._clock()
            # Compare in seconds: a target may ask for a wait longer than any timedelta.
            asked = timedelta(seconds=min(batch.failure.retry_after, LONGEST_WAIT.total_seconds()))
            since = state.failing_since if state.failures else now
            state = replace(
                state,
                failures=state.failures + 1,
                error=batch.failure.detail,
                failing_since=since,
                paused_until=now + max(pause(state.failures), asked),
            )
            _log.warning("%s; its messages wait", batch.failure)
            await self._rows.keep_state(target.name, state)
        elif batch.sent and state.failures:
            state = replace(state, failures=0, error="")
            _log.warning("target %s accepts messages again", target.name)
            await self._rows.keep_state(target.name, state)
        return state

    async def attempt(self, target: Target, notice: Notice, *, is_new: bool) -> None:
        """Send one message: in a few attempts if it is new, else in one.

        Raises:
            DeliveryError: The target did not accept it.
        """
        try:
            message = render(target, notice.body, self._fleet)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # its text may quote the message
            detail = f"the message cannot be read, {type(error).__name__}"
            raise DeliveryError(target.name, detail, is_of_the_message=True) from None
        if is_new:
            await self._webhooks.send(target, message)
        else:
            await self._webhooks.send_once(target, message)

    def failed(self, notice: Notice, error: DeliveryError) -> Notice:
        """Update a message that was not accepted. If the target refused it, it waits, twice as long each time."""
        wait = pause(notice.attempts) if error.is_of_the_message else timedelta()
        return replace(notice, attempts=notice.attempts + 1, error=error.detail, due_at=self._clock() + wait)


class _Batch:
    """Messages that are sent to one target at once.

    Attributes:
        sent: Accepted messages.
        failed: Messages that were not accepted, updated for storage.
        skipped: Messages not sent because the time was over, or the target could not be reached.
        failure: Why the target could not be reached.
    """

    def __init__(self, delivery: Delivery, target: Target, deadline: Deadline) -> None:
        self.sent: list[Notice] = []
        self.failed: list[Notice] = []
        self.skipped: list[Notice] = []
        self.failure: DeliveryError | None = None
        self._delivery = delivery
        self._target = target
        self._deadline = deadline

    async def send_in_order(self, notices: Iterable[Notice], *, is_new: bool) -> None:
        """Send messages in order, until the target cannot be reached."""
        for notice in notices:
            if self.failure is not None or self._deadline.is_over:
                self.skipped.append(notice)
                continue
            try:
                await self._delivery.attempt(self._target, notice, is_new=is_new)
            except DeliveryError as error:
                self.failed.append(self._delivery.failed(notice, error))
                if error.is_of_the_message:
                    _log.warning("%s; this message is retried later", error)
                else:
                    self.failure = error
            else:
                self.sent.append(notice)


def pause(failures: int) -> timedelta:
    """Return how long a target is left alone, or a message waits, after some failures in a row."""
    return min(FIRST_PAUSE * (1 << min(failures, 10)), LONGEST_PAUSE)


def _lane(notice: Notice) -> int:
    """Return the lane of a message: one lane per source, or per cause whose ids differ only at the end."""
    source = json.loads(notice.body).get("source") or notice.id.rpartition("/")[0]
    return zlib.crc32(str(source).encode("utf-8", "replace")) % LANES
