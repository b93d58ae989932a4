"""One clock for the whole stack, that only waits for twin reads move."""

import asyncio
import heapq
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from status_app.iothub.twins import Share, TwinReader
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
    """The app's reader, with the setting's limit, by such a clock."""

    def __init__(self, settings: Settings, clock: ReadClock) -> None:
        super().__init__(
            settings.iot_hub, reads_per_second=settings.twin_reads_per_second, sleep=clock.sleep, clock=clock
        )
        self.limit = settings.twin_reads_per_second
        self._reading = clock.reading

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        with self._reading():
            return await super().read(device_id, share)
