"""How many calls pass, when, and in which order: by a clock that only the waits move."""

import asyncio
import heapq

from status_app.iothub.token_bucket import TokenBucket


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
        """Wake those that wait, in the order of their times."""
        await asyncio.sleep(0)
        while self._waiting:
            self.now, _, woken = heapq.heappop(self._waiting)
            woken.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def let_through(bucket: TokenBucket, clock: Clock, count: int) -> list[tuple[int, float]]:
    """Ask that often at once: the number of each call that passed, and how many seconds it waited."""
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
