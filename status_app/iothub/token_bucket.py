"""A rate limit that serves callers in order."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable


class TokenBucket:
    """Holds one token, refills at a rate, and serves callers in order.

    If it held more than one, the second after a pause would exceed the rate.

    Each caller is assigned its turn and waits until then, so nobody overtakes and no lock is needed. A cancelled wait
    still uses its token.

    Args:
        rate: Tokens per second; 0 for no limit.
        first: Seconds until there is the first token.
        clock: Seconds that never run back.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        rate: float,
        *,
        first: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._period = 1 / rate if rate else 0.0
        self._clock = clock
        self._sleep = sleep
        self._next = clock() + first if first else -math.inf

    async def take(self) -> None:
        """Wait for a token."""
        if not self._period:
            return
        now = self._clock()
        turn = max(self._next, now)
        self._next = turn + self._period
        if turn > now:
            await self._sleep(turn - now)

    def try_take(self) -> bool:
        """Take a token only if there is one now."""
        now = self._clock()
        if self._period and self._next > now:
            return False
        self._next = max(self._next, now) + self._period
        return True
