"""A limit of so many a second, in the order in which they are asked for."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable


class TokenBucket:
    """Holds some tokens, gets so many a second, and gives each to who has waited longest.

    Whoever comes is told when its turn is, and waits until then, so nobody overtakes and nothing is locked. A wait that
    is cancelled costs its token.

    Args:
        rate: Tokens a second; 0: no limit.
        size: Tokens that are there after a pause.
        clock: Seconds that never run back.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        rate: float,
        size: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._period = 1 / rate if rate else 0.0
        self._filling = size * self._period
        self._clock = clock
        self._sleep = sleep
        self._empty_until = -math.inf

    async def take(self) -> None:
        """Wait for a token."""
        if not self._period:
            return
        now = self._clock()
        self._empty_until = max(self._empty_until, now - self._filling) + self._period
        if self._empty_until > now:
            await self._sleep(self._empty_until - now)
