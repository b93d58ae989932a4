"""A small flood; `python -m tests.flood` makes a large one."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from .backlog import backlog
from .drain import Seen, drain
from .processes import QUERIES, READS, Flooded, flooded, most
from .promises import PROMISES

NOTIFICATIONS = 2000
DEVICES = 150
PROCESSES = 4


@pytest.fixture(scope="module")
def seen(tables: str) -> Seen:
    return asyncio.run(drain(backlog(NOTIFICATIONS, DEVICES, seed=1), tables))


@pytest.mark.parametrize("promise", PROMISES, ids=[promise.__name__ for promise in PROMISES])
def test_a_flood_is_drained_as_promised(seen: Seen, promise: Callable[[Seen], Iterator[str]]) -> None:
    assert list(promise(seen)) == []


def test_a_flood_costs_reads_by_its_devices_and_not_by_its_notifications_and_fewer_by_its_queries(seen: Seen) -> None:
    assert seen.floods_on > 0
    assert len(seen.reads) > seen.limit, "the limit was never reached"
    assert len(seen.reads) < DEVICES + seen.floods_on
    assert len(seen.queries) > 0


@pytest.fixture(scope="module")
def by_processes() -> tuple[Flooded, Flooded]:
    waiting = backlog(1_200, 500, seed=1)
    return flooded(waiting, PROCESSES), flooded(waiting, PROCESSES, queries=False)


def test_four_processes_leave_each_device_as_its_twin_is(by_processes: tuple[Flooded, Flooded]) -> None:
    assert [seen.wrong for seen in by_processes] == [[], []]


def test_four_processes_together_ask_no_more_in_a_second_or_a_minute_than_the_hub_allows(
    by_processes: tuple[Flooded, Flooded],
) -> None:
    for seen in by_processes:
        assert most(seen.reads, 1) <= READS
        assert most(seen.queries, 60) <= QUERIES


def test_a_flood_takes_less_time_by_reads_and_queries_than_by_reads_alone(
    by_processes: tuple[Flooded, Flooded],
) -> None:
    both, alone = by_processes
    assert len(both.queries) > len(alone.queries)
    assert both.took < alone.took


def test_the_most_within_a_second_are_counted() -> None:
    assert most([0.0, 0.5, 0.999, 1.0, 2.5], 1) == 3
    assert most([], 1) == 0
