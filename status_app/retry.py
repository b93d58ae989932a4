"""Retries of a service: how often, how far apart, and for how long; and the deadline of a run."""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from status_app.errors import OutOfTimeError, UnavailableError
from status_app.telemetry.logs import log

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a service is tried before it counts as unavailable.

    Attributes:
        attempts: Most attempts, at least one.
        first_wait: Seconds before the second attempt. Each further wait is twice as long, and randomly up to half less,
            so that callers that failed together do not return together.
        longest_wait: The longest wait in seconds that the service may ask for.
        within: Seconds after the start of the first attempt in which another may start. An attempt has its own timeout,
            so a call ends within the sum of both.
    """

    attempts: int
    first_wait: float
    longest_wait: float
    within: float

    async def run[T](
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> T:
        """Return the result of the first attempt that does not raise UnavailableError.

        Args:
            attempt: Calls the service once.
            sleep: Waits that many seconds.
            clock: Seconds that never run back.

        Raises:
            UnavailableError: The error of the last attempt, or the first that is final.
        """
        end = clock() + self.within
        made = 0
        while True:
            try:
                return await attempt()
            except UnavailableError as error:
                made += 1
                wait = self._wait(made, error)
                if error.is_final or made >= self.attempts or clock() + wait > end:
                    raise
                _log.info("attempt %d of %d: %s", made, self.attempts, error)
            await sleep(wait)

    def _wait(self, made: int, error: UnavailableError) -> float:
        backoff = self.first_wait * 2.0 ** (made - 1) * random.uniform(0.5, 1)  # noqa: S311 (spreads attempts)
        return max(backoff, min(error.retry_after, self.longest_wait))


def retry_after(header: str) -> float:
    """Parse the seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3).

    Negative if the date is past; 0 if it is neither.
    """
    if header.isdecimal():
        return float(header)
    try:
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):  # no date, or one without a zone
        return 0.0


class Deadline:
    """The end of a run, well before the ten minutes after which the functions host kills it (host.json).

    The rest is left for the next run, or for the next attempt of a batch.

    Args:
        seconds: Time from now on.
        clock: Seconds that never run back.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def is_over(self) -> bool:
        """Whether nothing may begin any more."""
        return self._clock() >= self._end

    def part(self, share: float) -> "Deadline":
        """Return the deadline of a share of the remaining time."""
        now = self._clock()
        return Deadline((self._end - now) * share, self._clock)

    @asynccontextmanager
    async def limits(self, service: str) -> AsyncIterator[None]:
        """Run work with a service only before the end, and cut it off there, as if the app was killed.

        Raises:
            OutOfTimeError: The time is over.
        """
        if self.is_over:
            raise OutOfTimeError(service)
        if self._end == math.inf:
            yield
            return
        timer = asyncio.timeout(self._end - self._clock())
        try:
            async with timer:
                yield
        except TimeoutError:
            if not timer.expired():
                raise
            raise OutOfTimeError(service) from None


NEVER: Final = Deadline(math.inf)
"""The deadline of commands, which a person ends."""
