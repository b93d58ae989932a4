"""One clock for the whole stack, that only waits for twin reads move."""

import asyncio
import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from status_app.iothub.budget import Share
from status_app.iothub.twins import TwinReader
from status_app.settings import Settings

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


class ReadClock:
    """Time goes on when every read under way waits: a read that was let through is answered at that very time.

    So what the hub counts in a second of this clock is what was let through in it.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._under_way = 0
        self._waiting: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0

    def __call__(self) -> float:
        return self.now

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.now)

    async def sleep(self, seconds: float) -> None:
        """Wait within a read."""
        woken = asyncio.Event()
        self._count += 1
        heapq.heappush(self._waiting, (self.now + seconds, self._count, woken))
        self._go_on()
        await woken.wait()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A read is under way."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._go_on()

    def _go_on(self) -> None:
        if self._waiting and self._under_way == len(self._waiting):
            due, _, woken = heapq.heappop(self._waiting)
            self.now = max(self.now, due)
            woken.set()


class ClockedReader(TwinReader):
    """The app's reader by such a clock.

    Attributes:
        queries: When the hub was asked for twins of some devices, in seconds of the clock.
    """

    def __init__(self, settings: Settings, clock: ReadClock) -> None:
        super().__init__(settings.iot_hub, sleep=clock.sleep, clock=clock)
        self.queries: list[float] = []
        self._now = clock
        self._reading = clock.reading

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        with self._reading():
            return await super().read(device_id, share)

    async def several(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        with self._reading():
            at = self._now()
            twins = await super().several(device_ids, share)
            self.queries += [] if twins is None else [at]
            return twins
