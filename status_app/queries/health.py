"""Checks whether the app works, from its tables and the heartbeats of its timers."""

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
"""Seconds that the tables may take to answer."""
KEPT: Final = timedelta(seconds=15)
"""How long the public answer is reused, so that frequent requests cost nothing."""
PERIODS: Final = 5
"""How many periods a timer may be silent, or fail."""
TARGET_PATIENCE: Final = timedelta(minutes=15)
"""How long a target of notices may fail."""
GIVEN_UP_FOR: Final = timedelta(days=1)
"""How long given-up messages count as a problem."""
TABLES_UNAVAILABLE: Final = "tables_unavailable"
OK: Final = "ok"

_log = log(__name__)


class TargetHealth(Protocol):
    """The state of a target of notices."""

    @property
    def failures(self) -> int:
        """Times in a row that it could not be reached."""

    @property
    def error(self) -> str:
        """Why it could not be reached last time; empty if it could."""

    @property
    def failing_since(self) -> datetime | None:
        """When the first of these failures was."""

    @property
    def unsent(self) -> int:
        """How many messages wait for it."""

    @property
    def given_up(self) -> int:
        """How many messages were ever given up."""

    @property
    def given_up_at(self) -> datetime | None:
        """When the last one was."""


class Health:
    """Reports what is wrong with the app.

    Args:
        heartbeats: Reads the heartbeats.
        schedules: The schedule of each timer.
        clock: Returns the time in UTC.
        targets: Returns the states of the targets of notices, by name.
        hub: The short name of the IoT hub.
        fleet: The fleet's name for people.
    """

    def __init__(  # noqa: PLR0913 (two of them keyword-only)
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
        """Return `ok` or the first problem. It is checked once in 15 seconds, however many clients ask."""
        now = self._clock()
        if self._kept is None or not timedelta(0) <= now - self._kept[0] < KEPT:
            self._kept = now, asyncio.create_task(self.details())
        answer = await asyncio.shield(self._kept[1])  # a client that hangs up must not cancel it for others
        return str(answer["status"])

    async def details(self) -> Answer:
        """Return the problems, and the last runs of timers and trigger. One request, and one per target of notices."""
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
    """List the problems of the timers: `<timer>_never_ran`, `<timer>_silent` or `<timer>_failing`.

    A timer is silent if it missed the last five times of its schedule, and failing if it ran without success since
    then.

    Args:
        beats: Their heartbeats.
        schedules: Their schedules.
        now: The time in UTC.
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
    """List the problems of the targets of notices: `notify_failing`, `notify_gave_up`.

    Args:
        targets: Their states.
        now: The time in UTC.
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
    """Whether a timer has missed five times of its schedule since a run."""
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
