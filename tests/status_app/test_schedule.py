"""NCRONTAB expressions and intervals."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from status_app.schedule import parse_schedule


@pytest.mark.parametrize(
    ("text", "after", "following"),
    [
        ("* * * * * *", "2026-01-01T00:00:00", "2026-01-01T00:00:01"),
        ("*/15 * * * * *", "2026-01-01T00:00:00", "2026-01-01T00:00:15"),
        ("0 */5 * * * *", "2026-01-01T00:04:59.999", "2026-01-01T00:05:00"),
        ("0 */5 * * * *", "2026-01-01T00:05:00", "2026-01-01T00:10:00"),
        ("0 7/20 * * * *", "2026-01-01T00:48:00", "2026-01-01T01:07:00"),
        ("30 0 0 * * *", "2026-12-31T23:59:59", "2027-01-01T00:00:30"),
        ("0 0 9-17/4 * * *", "2026-01-01T13:00:00", "2026-01-01T17:00:00"),
        ("0 0 17-9 * * *", "2026-01-01T08:30:00", "2026-01-01T09:00:00"),
        ("0 30 9 * * 1-5", "2026-05-29T09:30:00", "2026-06-01T09:30:00"),
        ("0 30 9 * Jan Mon", "2026-01-26T10:00:00", "2027-01-04T09:30:00"),
        ("0 0 0 * january sunday,saturday", "2026-01-01T00:00:00", "2026-01-03T00:00:00"),
        ("0 0 0 13 * Fri", "2026-01-01T00:00:00", "2026-02-13T00:00:00"),
        ("0 0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 31 * *", "2026-01-31T00:00:00", "2026-03-31T00:00:00"),
        ("0 0 0 1,15 * *", "2026-01-02T00:00:00", "2026-01-15T00:00:00"),
        ("*/10 * * * *", "2026-01-01T00:01:00", "2026-01-01T00:10:00"),
        ("00:30:00", "2026-01-01T00:01:00", "2026-01-01T00:31:00"),
        ("1.06:00:05", "2026-01-01T00:00:00", "2026-01-02T06:00:05"),
    ],
)
def test_a_schedule_fires_next_at_the_first_time_that_fits_all_its_fields(
    text: str, after: str, following: str
) -> None:
    expected = datetime.fromisoformat(following).replace(tzinfo=UTC)
    assert parse_schedule(text).next(datetime.fromisoformat(after).replace(tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("* * *", "neither six NCRONTAB fields nor an interval"),
        ("* * * * * * *", "neither six NCRONTAB fields"),
        ("24:00:00", "neither six NCRONTAB fields"),
        ("00:00:00", "the interval is zero"),
        ("60 * * * * *", "second: '60' is not within 0 and 59"),
        ("0 0 0 0 * *", "day: '0' is not within 1 and 31"),
        ("0 0 0 * 13 *", "month: '13' is not within 1 and 12"),
        ("0 0 0 * * 7", "day of week: '7' is not within 0 and 6"),
        ("0 0 0 * * Someday", "day of week: 'Someday'"),
        ("0 0 0 * * Mon,", "day of week: ''"),
        ("*/x * * * * *", "second: '*/x' has no number after '/'"),
        ("* 5-a * * * *", "minute: 'a'"),
    ],
)
def test_a_wrong_schedule_is_refused_with_the_part_that_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r".*") as refusal:
        parse_schedule(text)
    assert complaint in str(refusal.value)


def test_a_schedule_that_never_fires_is_refused() -> None:
    with pytest.raises(ValueError, match="never fires"):
        parse_schedule("0 0 0 30 2 *").next(datetime(2026, 1, 1, tzinfo=UTC))


def test_each_occurrence_of_a_schedule_is_later_than_the_one_before() -> None:
    schedule = parse_schedule("0 0 */8 * * *")
    times = [datetime(2026, 2, 27, 23, tzinfo=UTC)]
    for _ in range(10):
        times.append(schedule.next(times[-1]))
    steps = {later - earlier for earlier, later in pairwise(times[1:])}
    assert steps == {timedelta(hours=8)}
