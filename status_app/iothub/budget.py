"""Shares out what the app may ask of the hub: IoT Hub throttles a hub as a whole.

                  flag_stuck   resync   on_twin_changes
    reads         a fifth      a fifth  the rest, divided by the partitions of its event hub
    queries       an eighth    half     the rest, divided by these partitions

The parts add up to the settings, however many processes there are. Each timer runs in one process at a time, and each
partition is handled by one. A partition that moves to another process has two shares for at most the time of a batch.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from status_app.iothub.token_bucket import TokenBucket

MINUTE: Final = 60.0
READS_OF_A_TIMER: Final = 1 / 5
QUERIES_OF_RESYNC: Final = 1 / 2
QUERIES_OF_FLAG_STUCK: Final = 1 / 8


@dataclass(frozen=True, slots=True)
class Share:
    """How often one reader of twins may ask the hub.

    Attributes:
        reads: Requests for one twin.
        queries: Requests for several: pages, and twins of some devices.
    """

    reads: TokenBucket
    queries: TokenBucket


class Budget:
    """Reads per second and queries per minute of the whole app.

    Args:
        reads_per_second: Most requests for a twin, including retries; 0 for no limit.
        queries_per_minute: Most queries, one page each, including retries; 0 for no limit.
        clock: Seconds that never run back.
        sleep: Waits that many seconds for a turn.
    """

    def __init__(
        self,
        reads_per_second: int,
        queries_per_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._reads = float(reads_per_second)
        self._queries = queries_per_minute / MINUTE
        self._clock = clock
        self._sleep = sleep
        self._partitions: dict[tuple[str, int], Share] = {}
        self.all = self._share(1, 1)
        self.flag_stuck = self._share(READS_OF_A_TIMER, QUERIES_OF_FLAG_STUCK)
        self.resync = self._share(READS_OF_A_TIMER, QUERIES_OF_RESYNC)

    def partition(self, partition_id: str, partitions: int) -> Share:
        """Return the share of the process that handles a partition.

        Args:
            partition_id: The partition.
            partitions: How many the event hub has.
        """
        if (partition_id, partitions) not in self._partitions:
            queries = 1 - QUERIES_OF_RESYNC - QUERIES_OF_FLAG_STUCK
            place = int(partition_id) % partitions / partitions if partition_id.isdecimal() else 0.0
            share = self._share((1 - 2 * READS_OF_A_TIMER) / partitions, queries / partitions, place)
            self._partitions[partition_id, partitions] = share
        return self._partitions[partition_id, partitions]

    def _share(self, reads: float, queries: float, place: float = 0.0) -> Share:
        """Create a share. If it has less than a query a minute, many begin together: the first waits for its place."""
        rate = queries * self._queries
        first = place / rate if 0 < rate * MINUTE < 1 else 0.0
        return Share(
            TokenBucket(reads * self._reads, clock=self._clock, sleep=self._sleep),
            TokenBucket(rate, first=first, clock=self._clock, sleep=self._sleep),
        )
