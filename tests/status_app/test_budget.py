"""The hub's budget: the shares of all that ask it add up to the settings."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from local.eventhubs import EventHubs
from status_app.ingest.partitions import RETRY_AFTER, UNKNOWN, Partitions
from status_app.iothub.budget import MINUTE, Budget
from status_app.iothub.token_bucket import TokenBucket


class Clock:
    """Seconds that pass only in a wait."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def budget(reads: int, queries: int) -> tuple[Budget, Clock]:
    clock = Clock()
    return Budget(reads, queries, clock=clock, sleep=clock.sleep), clock


async def period(bucket: TokenBucket, clock: Clock) -> float:
    """Seconds between two tokens."""
    await bucket.take()
    before = clock.now
    await bucket.take()
    return clock.now - before


@pytest.mark.parametrize("partitions", [1, 2, 32])
async def test_all_shares_add_up_to_the_settings(partitions: int) -> None:
    shared, clock = budget(80, 16)
    of_partitions = [shared.partition(str(number), partitions) for number in range(partitions)]
    shares = [shared.flag_stuck, shared.resync, *of_partitions]
    assert sum([1 / await period(share.reads, clock) for share in shares]) == pytest.approx(80)
    assert sum([MINUTE / await period(share.queries, clock) for share in shares]) == pytest.approx(16)


async def test_each_timer_has_a_fifth_of_the_reads_and_a_share_of_the_queries() -> None:
    shared, clock = budget(80, 16)
    assert 1 / await period(shared.flag_stuck.reads, clock) == pytest.approx(16)
    assert 1 / await period(shared.resync.reads, clock) == pytest.approx(16)
    assert MINUTE / await period(shared.resync.queries, clock) == pytest.approx(8)
    assert MINUTE / await period(shared.flag_stuck.queries, clock) == pytest.approx(2)


async def test_partitions_that_begin_together_exceed_their_queries_in_no_minute() -> None:
    shared, clock = budget(80, 16)
    of_partitions = [shared.partition(str(number), 32).queries for number in range(32)]
    asked = list[float]()
    for clock.now in range(1000):
        asked += [clock.now for bucket in of_partitions if bucket.try_take()]
    most = 16 * 3 / 8
    assert max(sum(begin <= at < begin + MINUTE for at in asked) for begin in range(1000)) == most
    assert len(asked) == pytest.approx(most * 1000 / MINUTE, abs=1)


async def test_a_partition_has_one_share_however_often_it_is_asked_for() -> None:
    shared, _ = budget(80, 16)
    assert shared.partition("0", 2) is shared.partition("0", 2)
    assert shared.partition("0", 2) is not shared.partition("1", 2)


async def test_without_limits_nobody_waits() -> None:
    shared, clock = budget(0, 0)
    for share in (shared.flag_stuck, shared.resync, shared.partition("0", 4)):
        assert [await period(share.reads, clock), await period(share.queries, clock)] == [0, 0]
        assert [share.queries.try_take() for _ in range(3)] == [True, True, True]


@pytest.fixture
async def event_hubs() -> AsyncIterator[EventHubs]:
    hubs = EventHubs({"twin-changes": 5})
    await hubs.start()
    yield hubs
    await hubs.stop()


async def test_the_event_hub_is_asked_once_for_its_partitions(
    event_hubs: EventHubs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "status_app")
    partitions = Partitions((event_hubs.connection_string(), "twin-changes"), Clock())
    assert await asyncio.gather(*(partitions.count() for _ in range(3))) == [5, 5, 5]
    await event_hubs.stop()
    assert await partitions.count() == 5
    (message,) = caplog.messages
    assert "5 partitions" in message


async def test_an_event_hub_that_does_not_answer_counts_as_the_largest_and_is_asked_again(
    event_hubs: EventHubs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "status_app")
    clock = Clock()
    connection = event_hubs.connection_string()
    partitions = Partitions((connection, "twin-changes"), clock)
    with event_hubs.faults.without_hub("twin-changes"):
        assert await partitions.count() == UNKNOWN
    assert await partitions.count() == UNKNOWN
    clock.now += RETRY_AFTER
    assert await partitions.count() == 5
    assert connection not in caplog.text


async def test_an_event_hub_that_is_not_known_is_not_asked() -> None:
    assert await Partitions(None, Clock()).count() == UNKNOWN
