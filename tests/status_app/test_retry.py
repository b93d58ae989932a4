"""How often a service is asked, how far apart, and when that ends."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from status_app.errors import UnavailableError
from status_app.retry import RetryPolicy, retry_after

POLICY = RetryPolicy(attempts=4, first_wait=1.0, longest_wait=10.0, within=60.0)


class Service:
    """Fails as often as it should, then answers; each attempt takes so many seconds of a clock that only this moves."""

    def __init__(self, *failures: Exception, seconds: float = 0.0) -> None:
        self._failures = list(failures)
        self._seconds = seconds
        self.now = 1000.0
        self.attempts = 0
        self.waits: list[float] = []

    async def ask(self, policy: RetryPolicy = POLICY) -> str:
        return await policy.run(self._attempt, sleep=self._sleep, clock=lambda: self.now)

    async def _attempt(self) -> str:
        self.attempts += 1
        self.now += self._seconds
        if self._failures:
            raise self._failures.pop(0)
        return "answer"

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def busy(number: int = 1, **details: Any) -> UnavailableError:
    return UnavailableError("tables", f"answer 503, {number}", **details)


async def test_an_answer_at_once_waits_for_nothing() -> None:
    service = Service()
    assert await service.ask() == "answer"
    assert (service.attempts, service.waits) == (1, [])


async def test_each_wait_is_twice_the_one_before_and_at_random_up_to_half_less() -> None:
    service = Service(busy(), busy(), busy())
    assert await service.ask() == "answer"
    assert [most / 2 <= wait <= most for wait, most in zip(service.waits, (1, 2, 4), strict=True)] == [True] * 3


async def test_the_error_of_the_last_attempt_is_raised() -> None:
    service = Service(*map(busy, range(1, 6)))
    with pytest.raises(UnavailableError, match=r"answer 503, 4$"):
        await service.ask()
    assert (service.attempts, len(service.waits)) == (4, 3)


async def test_a_policy_of_one_attempt_makes_one() -> None:
    service = Service(busy())
    with pytest.raises(UnavailableError):
        await service.ask(RetryPolicy(1, 1.0, 10.0, 60.0))
    assert (service.attempts, service.waits) == (1, [])


async def test_a_final_error_is_raised_at_once() -> None:
    service = Service(busy(), busy(is_final=True))
    with pytest.raises(UnavailableError):
        await service.ask()
    assert service.attempts == 2


async def test_a_bug_is_not_tried_again() -> None:
    service = Service(KeyError("State"))
    with pytest.raises(KeyError):
        await service.ask()
    assert (service.attempts, service.waits) == (1, [])


@pytest.mark.parametrize(("asked", "wait"), [(7.0, 7.0), (3600.0, 10.0), (float("inf"), 10.0)])
async def test_a_wait_is_as_long_as_the_service_asks_within_limits(asked: float, wait: float) -> None:
    service = Service(busy(retry_after=asked))
    assert await service.ask() == "answer"
    assert service.waits == [wait]


@pytest.mark.parametrize("asked", [0.0, -60.0])
async def test_a_wait_that_is_over_leaves_the_usual_one(asked: float) -> None:
    service = Service(busy(retry_after=asked))
    await service.ask()
    assert 0.5 <= service.waits[0] <= 1


async def test_no_attempt_begins_after_the_time_is_over() -> None:
    service = Service(*(busy() for _ in range(3)), seconds=31.0)
    with pytest.raises(UnavailableError):
        await service.ask()
    assert service.attempts == 2


async def test_nobody_waits_for_an_attempt_that_would_begin_too_late() -> None:
    service = Service(busy(retry_after=10.0), seconds=51.0)
    with pytest.raises(UnavailableError):
        await service.ask()
    assert (service.attempts, service.waits) == (1, [])


async def test_an_attempt_can_begin_at_the_very_end_of_the_time() -> None:
    service = Service(busy(retry_after=10.0), seconds=50.0)
    assert await service.ask() == "answer"
    assert service.attempts == 2


def test_a_header_asks_for_seconds_or_for_a_date() -> None:
    assert retry_after("120") == 120
    assert retry_after("9" * 5000) == float("inf")
    date = retry_after(format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True))
    assert 0 < date <= timedelta(days=1).total_seconds()
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") < 0


@pytest.mark.parametrize("header", ["", "soon", "-1", "1.5", "Inf", "Fri, 31 Dec 9999 23:59:59 -0000"])
def test_a_header_that_is_neither_asks_for_nothing(header: str) -> None:
    assert retry_after(header) == 0
