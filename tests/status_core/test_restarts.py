"""When the agent starts a module again, and when it tries a failed step again."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from status_core.restarts import ago, next_restart, next_try, restarts_in_words, shown_time

AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(("count", "seconds"), [(-1, 10), (0, 10), (1, 20), (4, 160), (5, 300), (6, 300), (10**6, 300)])
def test_a_restart_comes_after_a_wait_that_doubles_up_to_five_minutes(count: int, seconds: int) -> None:
    assert next_restart(count, AT) == AT + timedelta(seconds=seconds)


def test_a_restart_without_an_exit_or_at_the_end_of_the_calendar_has_no_time() -> None:
    assert next_restart(3, None) is None
    assert next_restart(3, END) is None


SEEN = [0, 27, 74, 161, 328, 655, 1302, 2589, 5156, 10283]
"""Seconds at which edgeAgent tried a pull that failed, when it was run."""


def test_a_failed_step_is_tried_when_edge_agent_tried_it() -> None:
    for before, at in pairwise(SEEN):
        for now in (before, at - 1):
            found = next_try(AT, AT + timedelta(seconds=now))
            assert found is not None
            assert abs((found - AT).total_seconds() - at) <= 0.01 * at


def test_a_try_is_never_further_ahead_than_about_the_first_failure_is_back() -> None:
    for hours in (1, 5, 24, 24 * 30):
        now = AT + timedelta(hours=hours)
        at = next_try(AT, now)
        assert at is not None
        assert now < at <= now + (now - AT) * 1.1


def test_a_failure_at_the_end_of_the_calendar_is_not_tried_again() -> None:
    assert next_try(END, END) is None
    assert next_try(END, AT) == END


@pytest.mark.parametrize(
    ("count", "seconds", "words"),
    [
        (1, 7200, "exited once, 2 hours ago"),
        (0, 60, "exited, 1 minute ago"),
        (None, 86400, "exited, 1 day ago"),
        (7, 59, "restarted 7 times, exited last, now"),
    ],
)
def test_restarts_are_given_in_words(count: int | None, seconds: int, words: str) -> None:
    assert restarts_in_words(count, AT, AT + timedelta(seconds=seconds)) == words


def test_what_never_exited_has_no_words_and_a_clock_that_is_ahead_is_now() -> None:
    assert restarts_in_words(3, None, AT) == ""
    assert ago(AT + timedelta(hours=3), AT) == "now"


def test_a_time_is_shown_to_the_minute_in_utc() -> None:
    assert shown_time(AT) == "09:00 UTC on 2026-01-01"
