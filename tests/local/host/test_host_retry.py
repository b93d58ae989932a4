"""The delays of retry policies."""

from datetime import timedelta

from local.host.retry import RetryPolicy


def test_a_fixed_delay_stays_the_same() -> None:
    policy = RetryPolicy(3, timedelta(seconds=5), None)
    assert [policy.delay(retry) for retry in (1, 2, 3)] == [5, 5, 5]


def test_a_backoff_starts_with_its_minimum_doubles_what_it_adds_and_ends_at_its_maximum() -> None:
    policy = RetryPolicy(10, timedelta(seconds=2), timedelta(seconds=60))
    delays = [policy.delay(retry) for retry in range(1, 11)]
    assert delays[0] == 2
    assert all(2 + 0.8 * 2 * 2**n <= delays[n + 1] <= 2 + 1.2 * 2 * 2**n for n in range(4))
    assert delays[-1] == 60


def test_a_policy_allows_its_number_of_retries_and_minus_one_allows_all() -> None:
    assert [RetryPolicy(2, timedelta(), None).allows(retry) for retry in (1, 2, 3)] == [True, True, False]
    endless = RetryPolicy(-1, timedelta(seconds=1), timedelta(minutes=1))
    assert endless.allows(100_000)
    assert endless.delay(100_000) == 60
