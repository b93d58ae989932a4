"""How many are let through, when, and in which order: by a clock that only the waits move."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.iothub import IotHub
from status_app.iothub.token_bucket import TokenBucket
from status_app.iothub.twins import RETRY, TwinReader


class Clock:
    """Time that goes on when everybody waits for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._waiting: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._count += 1
        heapq.heappush(self._waiting, (self.now + seconds, self._count, woken))
        await woken.wait()

    async def run(self) -> None:
        """Wake who waits, in the order of their times."""
        await asyncio.sleep(0)
        while self._waiting:
            self.now, _, woken = heapq.heappop(self._waiting)
            woken.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def let_through(bucket: TokenBucket, clock: Clock, count: int) -> list[tuple[int, float]]:
    """Ask that often at once: who was let through, and how many seconds after it was asked."""
    passed: list[tuple[int, float]] = []
    begin = clock.now

    async def one(number: int) -> None:
        await bucket.take()
        passed.append((number, round(clock.now - begin, 6)))

    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    await clock.run()
    await asyncio.gather(*tasks)
    return passed


async def test_it_gives_so_many_a_second_in_the_order_of_asking() -> None:
    clock = Clock()
    bucket = TokenBucket(4, clock=clock, sleep=clock.sleep)
    assert await let_through(bucket, clock, 5) == [
        (0, 0),
        (1, 0.25),
        (2, 0.5),
        (3, 0.75),
        (4, 1),
    ]


async def test_no_pause_lets_more_through_than_one_at_once() -> None:
    clock = Clock()
    bucket = TokenBucket(2, clock=clock, sleep=clock.sleep)
    await let_through(bucket, clock, 5)
    clock.now += 0.25
    assert await let_through(bucket, clock, 2) == [(0, 0.25), (1, 0.75)]
    clock.now += 3600
    assert await let_through(bucket, clock, 3) == [(0, 0), (1, 0.5), (2, 1)]


async def test_without_a_rate_nobody_waits() -> None:
    clock = Clock()
    bucket = TokenBucket(0, clock=clock, sleep=clock.sleep)
    assert {seconds for _, seconds in await let_through(bucket, clock, 1000)} == {0}


class Slow(TwinReader):
    """A reader by a clock that its own waits move."""

    def __init__(self, iot_hub: str, reads_per_second: int) -> None:
        self.waits: list[float] = []
        self.now = 0.0
        super().__init__(iot_hub, reads_per_second=reads_per_second, sleep=self._wait, clock=lambda: self.now)

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IotHub]:
    hub = IotHub(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    await hub.start()
    hub.registry.create("edge-1")
    yield hub
    await hub.stop()


async def test_twins_are_read_no_faster_than_the_setting_allows(hub: IotHub) -> None:
    reader = Slow(hub.connection_string, 10)
    for _ in range(13):
        await reader.read("edge-1")
    reader.close()
    assert [round(wait, 6) for wait in reader.waits] == [0.1] * 12
    assert hub.reads == {"edge-1": 13}


async def test_each_attempt_counts_and_a_query_does_not(hub: IotHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda least, _most: least)  # waits between attempts: 1.75 seconds in all
    reader = Slow(hub.connection_string, 1)
    hub.faults.add("read", 503, RETRY.attempts - 1)
    await reader.read("edge-1")
    assert reader.now == pytest.approx(RETRY.attempts - 1)
    waited = len(reader.waits)
    await reader.page(None)
    reader.close()
    assert len(reader.waits) == waited
