"""Whether the app does its work: by its tables, and by the heartbeats of its timers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from status_app.errors import UnavailableError
from status_app.queries.answers import Answer
from status_app.schedule import parse_schedule
from status_app.storage.codecs import show_time
from status_app.storage.heartbeats import TIMERS, Heartbeat, Heartbeats, Source
from status_app.telemetry.logs import log
from status_app.version import VERSION

PATIENCE: Final = 5.0
"""Seconds in which the tables answer, or are said not to."""
KEPT: Final = timedelta(seconds=15)
"""How long an answer to strangers is given again: whoever asks more often costs nothing."""
PERIODS: Final = 5
"""Periods for which a timer may be silent, or fail."""
TARGET_PATIENCE: Final = timedelta(minutes=15)
"""How long a target of news can fail."""
GIVEN_UP_FOR: Final = timedelta(days=1)
"""How long it is a problem that messages were given up."""
TABLES_UNAVAILABLE: Final = "tables_unavailable"
OK: Final = "ok"

_log = log(__name__)


class TargetHealth(Protocol):
    """How a target of news is."""

    @property
    def failures(self) -> int:
        """Times in a row that it could not be asked."""

    @property
    def error(self) -> str:
        """Why it could not be asked the last time; empty where it could."""

    @property
    def failing_since(self) -> datetime | None:
        """When the first of these times was."""

    @property
    def unsent(self) -> int:
        """Messages that wait for it."""

    @property
    def given_up(self) -> int:
        """Messages that were given up, ever."""

    @property
    def given_up_at(self) -> datetime | None:
        """When the last of them was."""


class Health:
    """Says what is wrong with the app, if anything is.

    Args:
        heartbeats: Where they are read.
        schedules: The schedule of each timer.
        clock: The time, in UTC.
        targets: How the targets of news are, by name.
        hub: The short name of the IoT hub.
        fleet: What people call the fleet.
    """

    def __init__(  # noqa: PLR0913 (the names keyword-only)
        self,
        heartbeats: Heartbeats,
        schedules: Mapping[str, str],
        clock: Callable[[], datetime],
        targets: Callable[[], Awaitable[Mapping[str, TargetHealth]]],
        *,
        hub: str,
        fleet: str,
    ) -> None:
        self._heartbeats = heartbeats
        self._schedules = schedules
        self._clock = clock
        self._hub = hub
        self._name = fleet
        self._targets = targets
        self._kept: tuple[datetime, asyncio.Task[Answer]] | None = None

    async def word(self) -> str:
        """`ok`, or the first of what is wrong. Asked once in 15 seconds, however many ask."""
        now = self._clock()
        if self._kept is None or not timedelta(0) <= now - self._kept[0] < KEPT:
            self._kept = now, asyncio.create_task(self.details())
        answer = await asyncio.shield(self._kept[1])  # who asks and hangs up takes nothing from the others
        return str(answer["status"])

    async def details(self) -> Answer:
        """What is wrong, and what the timers and the trigger last did. One request, and one for each target of news."""
        beats: dict[Source, Heartbeat] = {}
        targets: Mapping[str, TargetHealth] = {}
        now = self._clock()
        try:
            async with asyncio.timeout(PATIENCE):
                beats, targets = await self._heartbeats.read(), await self._targets()
        except (TimeoutError, UnavailableError) as error:
            _log.warning("health: %s", str(error) or "the table service is too slow")
            problems = [TABLES_UNAVAILABLE]
        else:
            problems = [*timer_problems(beats, self._schedules, now), *target_problems(targets.values(), now)]
        trigger = beats.get(Source.ON_TWIN_CHANGES)
        return {
            "status": problems[0] if problems else OK,
            "problems": problems,
            "hub": self._hub,
            "fleet": self._name,
            "version": VERSION,
            "checkedAt": show_time(now),
            "lagSeconds": None if trigger is None else trigger.lag,
            "lastEventAt": _time(None if trigger is None else trigger.event_at),
            "heartbeats": {source.value: _answer(beats.get(source)) for source in Source},
            "targets": {name: _target(state) for name, state in targets.items()},
        }


def timer_problems(beats: Mapping[Source, Heartbeat], schedules: Mapping[str, str], now: datetime) -> list[str]:
    """What is wrong with the timers: `<timer>_never_ran`, `<timer>_silent` or `<timer>_failing`.

    A timer is silent that did not run at the last five times of its schedule, and fails that ran and did not succeed.

    Args:
        beats: Their heartbeats.
        schedules: Their schedules.
        now: The time, in UTC.
    """
    found = []
    for timer in TIMERS:
        beat = beats.get(timer)
        if beat is None:
            found.append(f"{timer}_never_ran")
        elif is_overdue(schedules[timer], beat.ran_at, now):
            found.append(f"{timer}_silent")
        elif beat.error and (beat.succeeded_at is None or is_overdue(schedules[timer], beat.succeeded_at, now)):
            found.append(f"{timer}_failing")
    return found


def target_problems(targets: Iterable[TargetHealth], now: datetime) -> list[str]:
    """What is wrong with the targets of news: `notify_failing`, `notify_gave_up`.

    Args:
        targets: How they are.
        now: The time, in UTC.
    """
    states, found = list(targets), []
    if any(_has_failed(state, now) for state in states):
        found.append("notify_failing")
    if any(state.given_up_at is not None and now - state.given_up_at < GIVEN_UP_FOR for state in states):
        found.append("notify_gave_up")
    return found


def _has_failed(state: TargetHealth, now: datetime) -> bool:
    since = state.failing_since
    return state.failures > 0 and since is not None and now - since >= TARGET_PATIENCE


def is_overdue(schedule: str, last: datetime, now: datetime) -> bool:
    """Whether a schedule had five times since a run, the fifth of them over."""
    times, due = parse_schedule(schedule), last
    for _ in range(PERIODS):
        due = times.next(due)
    return due < now


def _answer(beat: Heartbeat | None) -> Answer | None:
    if beat is None:
        return None
    return {
        "ranAt": show_time(beat.ran_at),
        "succeededAt": _time(beat.succeeded_at),
        "seconds": beat.seconds,
        "error": beat.error or None,
        "version": beat.version,
    }


def _target(state: TargetHealth) -> Answer:
    return {
        "error": state.error or None,
        "failingSince": _time(state.failing_since) if state.failures else None,
        "unsent": state.unsent,
        "givenUp": state.given_up,
        "givenUpAt": _time(state.given_up_at),
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else show_time(time)
