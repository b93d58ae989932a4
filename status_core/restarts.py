"""When the agent starts a module again, and when it tries a failed step again.

A module that exits is started again after 10 s x 2^n, at most 300 s, and given up after 20 restarts
(Core/RestartPolicyManager.cs, appsettings_agent.json). A pull, a creation or an update that failed waits 10 s x 2^n
without a cap, and is tried again at once by a new version or by a new process of the agent
(planrunner/OrdererdRetryPlanRunner.cs).
"""

from datetime import datetime, timedelta
from typing import Final

MOST_RESTARTS: Final = 20
"""After that many the agent starts a module no more."""
_UNIT: Final = timedelta(seconds=10)
_LONGEST: Final = timedelta(seconds=300)
_FIRST_WAIT: Final = timedelta(seconds=27)
_LATER_WAIT: Final = timedelta(seconds=7)
"""What a try and the rounds of the agent between two add to a wait (seen in runs of the agent: 27, 47, 87, 167 s)."""


def next_restart(count: int, last_exit: datetime | None) -> datetime | None:
    """About when a module in backoff is started again; None where that is not known.

    Args:
        count: Its restarts so far.
        last_exit: When it exited.
    """
    if last_exit is None:
        return None
    wait = _LONGEST if count >= 5 else _UNIT * 2 ** max(count, 0)  # noqa: PLR2004 (10 s x 2^5 is more than 300 s)
    return _later(last_exit, wait)


def next_try(failed_since: datetime, now: datetime) -> datetime | None:
    """About when a failed step is tried again: about as far ahead as its first failure is back, at most.

    Args:
        failed_since: When it failed first.
        now: The time.
    """
    at: datetime | None = failed_since
    wait = _FIRST_WAIT
    while at is not None and at <= now:
        at = _later(at, wait)
        wait = wait * 2 - _LATER_WAIT
    return at


def restarts_in_words(count: int | None, last_exit: datetime | None, now: datetime) -> str:
    """How often and when a module exited, for a person: `exited once, 2 hours ago`; empty where it did not.

    Args:
        count: Its restarts since it ran for ten minutes.
        last_exit: When it last exited.
        now: The time.
    """
    if last_exit is None:
        return ""
    times = {0: "exited", 1: "exited once"}.get(count or 0, f"restarted {count} times, exited last")
    return f"{times}, {ago(last_exit, now)}"


def ago(time: datetime, now: datetime) -> str:
    """How long ago a time was, in its largest whole unit; a time ahead is now: devices have clocks of their own."""
    passed = max(now - time, timedelta(0))
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if passed >= length:
            count = passed // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "now"


def shown_time(time: datetime) -> str:
    """A time as a message has it, to the minute."""
    written = time.isoformat(" ", "minutes")
    return f"{written[11:16]} UTC on {written[:10]}"


def _later(time: datetime, wait: timedelta) -> datetime | None:
    try:
        return time + wait
    except OverflowError:
        return None  # a device can report any time
