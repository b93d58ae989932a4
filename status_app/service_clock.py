"""The time by the clocks of the services, which all processes share: a machine's clock may be wrong.

Each answer of a service has its time (the `Date` header, in whole seconds). A clock that agrees with it is not changed.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from status_app.telemetry.logs import log

RESOLUTION: Final = timedelta(seconds=1)
"""Of a `Date` header."""
LOGGED_BEYOND: Final = timedelta(minutes=1)
"""A clock that is off by more than this is logged."""

_log = log(__name__)


def machine_time() -> datetime:
    """Return the time by the clock of this machine, in UTC."""
    return datetime.now(UTC)


class ServiceClock:
    """Returns the time in UTC: the machine's, corrected by the answers of the services.

    Args:
        machine: The clock of the machine.
    """

    def __init__(self, machine: Callable[[], datetime] = machine_time) -> None:
        self.machine = machine
        self._behind = timedelta()
        self._is_logged = False

    def __call__(self) -> datetime:
        """Return the time."""
        return self.machine() + self._behind

    def answered(self, date: str | None, asked: datetime) -> None:
        """Compare the machine's clock with that of a service. A slow answer narrows the difference less.

        Args:
            date: The `Date` header of an answer; None if it has none.
            asked: When the request was sent, by the machine's clock.
        """
        made = _read_date(date or "")
        if made is None:
            return
        earliest, latest = made - self.machine(), made + RESOLUTION - asked
        if earliest <= latest:  # otherwise the machine's clock was set back meanwhile
            self._behind = min(max(self._behind, earliest), latest)
        is_far = abs(self._behind) > LOGGED_BEYOND
        if is_far and not self._is_logged:
            _log.warning("the clock of this machine is %s s behind those of the services", self._behind.total_seconds())
        self._is_logged = is_far


@lru_cache(maxsize=8)
def _read_date(date: str) -> datetime | None:
    """Parse a `Date` header, which all answers of one second share; None if it is no time, or has no zone."""
    try:
        made = parsedate_to_datetime(date)
    except ValueError:
        return None
    return None if made.tzinfo is None else made
