"""Timer schedules: NCRONTAB expressions and constant intervals."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)  # fmt: skip - two lines read better than twelve
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?([01]?\d|2[0-3]):([0-5]?\d):([0-5]?\d)")
# 29 February falls on a given day of the week within 40 years, even around a year such as 2100.
_LONGEST_YEARS = 40


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    first: int
    last: int
    words: Sequence[str] = ()

    def parse(self, text: str) -> frozenset[int]:
        """Parse a list of values, ranges and steps."""
        values: set[int] = set()
        for item in text.split(","):
            span, slash, step = item.partition("/")
            if slash and not step.isdecimal():
                raise ValueError(f"{self.name}: {item!r} has no number after '/'")
            start, dash, end = span.partition("-")
            if span == "*":
                bounds = [self.first, self.last]
            elif dash:
                bounds = sorted((self._value(start), self._value(end)))
            else:
                bounds = [self._value(span), self.last if slash else self._value(span)]
            values.update(range(bounds[0], bounds[1] + 1, max(1, int(step or 1))))
        return frozenset(values)

    def _value(self, text: str) -> int:
        if text.isdecimal():
            value = int(text)
        else:
            # Any prefix of a name will do: "Mon", "monday", "M". The first match counts.
            fitting = (number for number, word in enumerate(self.words, self.first) if word.startswith(text.lower()))
            value = next(fitting, -1) if text else -1
        if not self.first <= value <= self.last:
            raise ValueError(f"{self.name}: {text!r} is not within {self.first} and {self.last}")
        return value


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """Fires at every time whose fields are all among the given ones, including day and day of week."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]

    adjusts_for_dst = True

    def next(self, after: datetime) -> datetime:
        """Return the first time later than `after`, in its time zone.

        Raises:
            ValueError: There is none, as for 30 February.
        """
        time = after.replace(microsecond=0) + timedelta(seconds=1)
        while time.year <= after.year + _LONGEST_YEARS:
            if time.month not in self.months:
                time = (time.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0)
            elif time.day not in self.days or time.isoweekday() % 7 not in self.days_of_week:
                time = time.replace(hour=0, minute=0, second=0) + timedelta(days=1)
            elif time.hour not in self.hours:
                time = time.replace(minute=0, second=0) + timedelta(hours=1)
            elif time.minute not in self.minutes:
                time = time.replace(second=0) + timedelta(minutes=1)
            elif time.second not in self.seconds:
                time += timedelta(seconds=1)
            else:
                return time
        raise ValueError("the schedule never fires")


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """Fires once per interval."""

    interval: timedelta

    adjusts_for_dst = False

    def next(self, after: datetime) -> datetime:
        """Return the time one interval later than `after`."""
        return after + self.interval


type Schedule = CronSchedule | IntervalSchedule


def parse_schedule(text: str) -> Schedule:
    """Parse `{second} {minute} {hour} {day} {month} {day of week}`, the same without seconds, or `[d.]hh:mm:ss`.

    Raises:
        ValueError: The text is neither, or a value is out of range.
    """
    if span := _TIME_SPAN.fullmatch(text.strip()):
        days, hours, minutes, seconds = (int(part or 0) for part in span.groups())
        interval = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if not interval:
            raise ValueError(f"{text!r}: the interval is zero")
        return IntervalSchedule(interval)
    parts = text.split()
    if len(parts) == len(_FIELDS) - 1:
        parts.insert(0, "0")
    if len(parts) != len(_FIELDS):
        raise ValueError(f"{text!r} is neither six NCRONTAB fields nor an interval hh:mm:ss")
    try:
        return CronSchedule(*(field.parse(part) for field, part in zip(_FIELDS, parts, strict=True)))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
