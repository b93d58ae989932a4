"""When the agent restarts a module, and when it retries a failed step.

A module that exits is restarted after 10 s x 2^n, at most 300 s, and given up after 20 restarts
(Core/RestartPolicyManager.cs, appsettings_agent.json). A failed pull, create or update is retried after 10 s x 2^n
without a cap, or at once by a new version or a new process of the agent (planrunner/OrdererdRetryPlanRunner.cs).
"""

from datetime import datetime, timedelta
from typing import Final

MOST_RESTARTS: Final = 20
"""After this many restarts the agent gives a module up."""
_UNIT: Final = timedelta(seconds=10)
_LONGEST: Final = timedelta(seconds=300)
_FIRST_WAIT: Final = timedelta(seconds=27)
_LATER_WAIT: Final = timedelta(seconds=7)
"""What a try and the agent's polling add to a wait (measured with the agent: 27, 47, 87, 167 s)."""


def next_restart(count: int, last_exit: datetime | None) -> datetime | None:
    """Estimate when a module in backoff is restarted; None if not known.

    Args:
        count: Its restarts so far.
        last_exit: When it exited.
    """
    if last_exit is None:
        return None
    wait = _LONGEST if count >= 5 else _UNIT * 2 ** max(count, 0)  # noqa: PLR2004 (10 s x 2^5 is more than 300 s)
    return _later(last_exit, wait)


def next_try(failed_since: datetime, now: datetime) -> datetime | None:
    """Estimate when a failed step is retried: at most as far ahead as its first failure is back.

    Args:
        failed_since: When it first failed.
        now: The time.
    """
    at: datetime | None = failed_since
    wait = _FIRST_WAIT
    while at is not None and at <= now:
        at = _later(at, wait)
        wait = wait * 2 - _LATER_WAIT
    return at


def restarts_in_words(count: int | None, last_exit: datetime | None, now: datetime) -> str:
    """Say how often and when a module exited, for people: `exited once, 2 hours ago`. Empty if it never did.

    Args:
        count: Its restarts since it last ran for ten minutes.
        last_exit: When it last exited.
        now: The time.
    """
    if last_exit is None:
        return ""
    times = {0: "exited", 1: "exited once"}.get(count or 0, f"restarted {count} times, exited last")
    return f"{times}, {ago(last_exit, now)}"


def ago(time: datetime, now: datetime) -> str:
    """Say how long ago a time was, in its largest whole unit. A future time is "now": device clocks may be off."""
    passed = max(now - time, timedelta(0))
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if passed >= length:
            count = passed // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "now"


def shown_time(time: datetime) -> str:
    """Format a time for a message, to the minute."""
    written = time.isoformat(" ")
    return f"{written[11:16]} UTC on {written[:10]}"


def _later(time: datetime, wait: timedelta) -> datetime | None:
    try:
        return time + wait
    except OverflowError:
        return None  # a device can report any time
