"""A thousand random histories of a fleet of three devices."""

from hypothesis import HealthCheck, given, settings

from .check import check
from .histories import histories
from .steps import History


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(3, 14))
def test_a_fleet_comes_to_what_its_twins_say_whatever_happened_on_the_way(history: History) -> None:
    check(history)
