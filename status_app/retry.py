"""Attempts to reach a service: how many, how far apart, and for how long; and when a run of the app is over."""

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
    """How often a service is asked before it counts as unavailable.

    Attributes:
        attempts: Most attempts, at least one.
        first_wait: Seconds before the second attempt. Each further one waits twice as long, and at random up to half
            less: those who failed together do not come back together.
        longest_wait: Most seconds that the service can ask to wait before an attempt.
        within: Seconds after the first attempt began in which a further one can begin. An attempt has a timeout of its
            own, so a call ends within the two together.
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
        """What an attempt returns: the first that does not raise UnavailableError.

        Args:
            attempt: Asks the service once.
            sleep: Waits that many seconds.
            clock: Seconds that never run back.

        Raises:
            UnavailableError: That of the last attempt; or the first that is final.
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
    """The seconds that a Retry-After header asks to wait: it is a number, or a date (RFC 9110, 10.2.3).

    Less than 0 where the date is past; 0 where it is neither.
    """
    if header.isdecimal():
        return float(header)
    try:
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):  # no date, or one without a zone
        return 0.0


class Deadline:
    """When a run is over: well before the ten minutes after which the functions host kills it (host.json).

    What is left then is left for the next run, or for the next attempt of a batch.

    Args:
        seconds: From now on.
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
        """The deadline of a part of what is left: what comes behind it has the rest."""
        now = self._clock()
        return Deadline((self._end - now) * share, self._clock)

    @asynccontextmanager
    async def limits(self, service: str) -> AsyncIterator[None]:
        """Let work with a service begin before the end alone, and cut it off there: that is as if the app was killed.

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
"""The deadline of what a person runs, and ends."""
