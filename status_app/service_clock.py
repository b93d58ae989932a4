"""The time by the clocks of the services, which all processes share: that of a machine may be wrong.

Each answer of a service says when it was made (the header `Date`, in whole seconds). A clock that agrees with that is
left as it is.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from status_app.telemetry.logs import log

RESOLUTION: Final = timedelta(seconds=1)
"""Of a header `Date`."""
TOLD_BEYOND: Final = timedelta(minutes=1)
"""A machine whose clock is wrong by more than this is worth a line in the log."""

_log = log(__name__)


def machine_time() -> datetime:
    """The time by the clock of this machine, in UTC."""
    return datetime.now(UTC)


class ServiceClock:
    """Gives the time, in UTC: that of the machine, moved to where the answers of the services put it.

    Args:
        machine: The clock of the machine.
    """

    def __init__(self, machine: Callable[[], datetime] = machine_time) -> None:
        self.machine = machine
        self._behind = timedelta()
        self._is_told = False

    def __call__(self) -> datetime:
        """The time."""
        return self.machine() + self._behind

    def answered(self, date: str | None, asked: datetime) -> None:
        """Compare the machine's clock with that of a service. An answer that was long on its way says less.

        Args:
            date: The header `Date` of an answer; None where it has none.
            asked: When the request was sent, by the machine's clock.
        """
        made = _read_date(date or "")
        if made is None:
            return
        earliest, latest = made - self.machine(), made + RESOLUTION - asked
        if earliest <= latest:  # else the machine's clock was set back meanwhile
            self._behind = min(max(self._behind, earliest), latest)
        is_far = abs(self._behind) > TOLD_BEYOND
        if is_far and not self._is_told:
            _log.warning("the clock of this machine is %s s behind those of the services", self._behind.total_seconds())
        self._is_told = is_far


@lru_cache(maxsize=8)
def _read_date(date: str) -> datetime | None:
    """The time of a header `Date`, which all answers of one second share; None where it is none, or has no zone."""
    try:
        made = parsedate_to_datetime(date)
    except ValueError:
        return None
    return None if made.tzinfo is None else made
