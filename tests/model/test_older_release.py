"""Histories in which a process of the release before takes some of the first deliveries: the same each time."""

from hypothesis import HealthCheck, given, settings

from .check import check
from .histories import histories
from .steps import History


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(histories(2, 14, has_older=True))
def test_what_the_release_before_writes_beside_this_one_costs_no_promise(history: History) -> None:
    check(history)
