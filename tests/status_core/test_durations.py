"""ISO 8601 durations: lengths of time, not calendar arithmetic."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from status_core import format_duration, parse_duration
from status_core.durations import LONGEST


@pytest.mark.parametrize(
    ("written", "duration"),
    [
        ("PT15M", timedelta(minutes=15)),
        ("P1DT12H", timedelta(hours=36)),
        ("P1W", timedelta(weeks=1)),
        ("P1W2DT3H4M5.5S", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5.5)),
        ("PT90S", timedelta(seconds=90)),
        ("PT0S", timedelta()),
        (" pt15m ", timedelta(minutes=15)),
        ("PT0.5H", timedelta(minutes=30)),
        ("PT0,5H", timedelta(minutes=30)),
        ("P3650D", LONGEST),
    ],
)
def test_weeks_days_hours_minutes_and_seconds_are_read(written: str, duration: timedelta) -> None:
    assert duration == parse_duration(written)


@pytest.mark.parametrize(
    "written",
    ["", "P", "PT", "P1DT", "15M", "P15M", "P1Y", "P1M", "PT-5M", "-PT5M", "PT1S1M", "PT1 M", "15 minutes", "PT1e3S"],
)
def test_what_is_no_such_duration_is_refused_by_name(written: str) -> None:
    with pytest.raises(ValueError, match=f"{written!r} is not an ISO 8601 duration"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["P3651D", "P999999999W", "PT999999999H"])
def test_a_duration_longer_than_ten_years_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="longer than 3650 days"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("duration", "written"),
    [
        (timedelta(minutes=15), "PT15M"),
        (timedelta(hours=36), "PT36H"),
        (timedelta(seconds=90), "PT90S"),
        (timedelta(), "PT0S"),
        (timedelta(seconds=0.25), "PT0.25S"),
    ],
)
def test_a_duration_is_written_in_the_largest_whole_unit(duration: timedelta, written: str) -> None:
    assert written == format_duration(duration)


@given(st.timedeltas(min_value=timedelta(), max_value=LONGEST))
def test_a_written_duration_reads_as_the_same(duration: timedelta) -> None:
    assert duration == parse_duration(format_duration(duration))
