"""A limit of so many a second, in the order in which they are asked for."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable


class TokenBucket:
    """Holds one token, gets so many a second, and gives each to who has waited longest.

    With more than one to hold, the second after a pause would see more than its rate.

    Whoever comes is told when its turn is, and waits until then, so nobody overtakes and nothing is locked. A wait that
    is cancelled costs its token.

    Args:
        rate: Tokens a second; 0: no limit.
        clock: Seconds that never run back.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._period = 1 / rate if rate else 0.0
        self._clock = clock
        self._sleep = sleep
        self._next = -math.inf

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
        """Take a token if there is one now, and wait for none."""
        now = self._clock()
        if self._period and self._next > now:
            return False
        self._next = max(self._next, now) + self._period
        return True
