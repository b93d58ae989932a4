"""Some thousand notifications of a few hundred devices wait; `python -m tests.flood` lets more wait."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from .backlog import backlog
from .drain import Seen, drain
from .promises import PROMISES

NOTIFICATIONS = 2000
DEVICES = 150


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
