"""The timer trigger: fires a function on its schedule, or by hand."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from local.host.invocation import Function, HostStoppedError, InvocationOutcome, Invoker
from local.host.messages import TypedData
from local.host.worker import AppLoadError
from status_app.schedule import Schedule, parse_schedule

_NEVER = "0001-01-01T00:00:00"
_SHORTEST_MONITORED = timedelta(minutes=1)


class TimerTrigger:
    """Fire one function, one invocation at a time.

    Occurrences during an invocation are skipped. The status of a schedule is only kept in memory: occurrences while
    the host was down are not detected.
    """

    def __init__(
        self,
        function: Function,
        invoker: Invoker,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._function = function
        self._invoker = invoker
        self._clock = clock
        self._sleep = sleep
        now = clock()
        self._schedule = _schedule(function, now)
        due = self._schedule.next(now)
        # The extension keeps no status for a schedule that fires more than once a minute.
        self._monitored = (
            function.trigger.get("useMonitor") is not False and self._schedule.next(due) - due >= _SHORTEST_MONITORED
        )
        self._status = self._status_after(now, _NEVER)
        self._one_at_a_time = asyncio.Lock()

    async def fire(self) -> InvocationOutcome:
        """Run the function now, to the end of its retry policy; return the last outcome.

        Raises:
            HostStoppedError: The host has stopped.
        """
        async with self._one_at_a_time:
            now = self._clock()
            # The input as the Timer extension sends it: TimerInfo as JSON.
            info = {
                "Schedule": {"AdjustForDST": self._schedule.adjusts_for_dst},
                "ScheduleStatus": self._status if self._monitored else None,
                "IsPastDue": False,
            }
            outcome = await self._invoker.run(self._function, TypedData(json=json.dumps(info)))
            self._status = self._status_after(now, now.isoformat())
            return outcome

    async def follow_schedule(self) -> None:
        """Fire at every occurrence until the host stops."""
        try:
            if self._function.trigger.get("runOnStartup"):
                await self.fire()
            while True:
                due = self._schedule.next(self._clock())
                # A sleep can end slightly early by the clock.
                while (left := (due - self._clock()).total_seconds()) > 0:
                    await self._sleep(left)
                await self.fire()
        except HostStoppedError:
            return

    def _status_after(self, now: datetime, last: str) -> dict[str, str]:
        return {"Last": last, "Next": self._schedule.next(now).isoformat(), "LastUpdated": last}


def _schedule(function: Function, now: datetime) -> Schedule:
    try:
        schedule = parse_schedule(function.trigger["schedule"])
        schedule.next(now)  # a schedule that never fires is an error at startup
    except ValueError as error:
        raise AppLoadError(f"function {function.name}: schedule {error}") from error
    return schedule
