"""Histories of a fleet whose hub gives a list of its deployments: the same each time."""

from hypothesis import HealthCheck, given, settings

from .check import check
from .histories import histories
from .steps import History


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(histories(3, 14, has_list=True))
def test_a_fleet_is_judged_by_the_list_of_its_hub_whatever_happened_on_the_way(history: History) -> None:
    check(history)
