"""What one status of a device announces: in the order of the times, and each state once."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from status_core.clocks import Clock
from status_core.news import AS_DESIRED, News
from status_core.observation import Observation
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, image_hash, restart_count
from status_core.status import DeploymentStatus, Evidence
from status_core.stuck import blamed, clock_change
from status_core.transitions import ABSENT, REMOVED_REASON, Change, Kind, Transition


class Place(IntEnum):
    """The order of announcements that share a time."""

    ENDED = 0
    """What ended at that time."""
    CHANGED = 1
    """What holds from that time on."""
    STUCK = 2
    """What is stuck from that time on."""


@dataclass(frozen=True, slots=True)
class Subject[Part: (ModuleRecord, DeviceRecord)]:
    """A module, or the device itself, as it is now or as it was stored.

    Attributes:
        name: The module; empty for the device.
        record: Its record.
        evidence: The values that were compared.
        is_past: The record is the stored one: the change seen now came later.
    """

    name: str
    record: Part
    evidence: tuple[Evidence, ...] = ()
    is_past: bool = False


@dataclass(frozen=True, slots=True)
class _Announcement:
    at: datetime
    place: Place
    change: Change
    device: DeviceVerdict | DeploymentStatus
    """Names the version and the deployments that were in force."""


class Announcements:
    """Collects the announcements of one status of a device."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._announced: list[_Announcement] = []

    def in_order(self, sequence: int, last_at: datetime) -> tuple[Transition, ...]:
        """Return the transitions in order of time, with times that never run back.

        Args:
            sequence: The number of the last transition.
            last_at: The time of the last transition.
        """
        transitions: list[Transition] = []
        for item in sorted(self._announced, key=lambda item: (item.at, item.place)):
            last_at, sequence = max(last_at, item.at), sequence + 1
            device = item.device
            transitions.append(Transition(item.change, sequence, device.desired_version, device.deployments, last_at))
        return tuple(transitions)

    def state[Part: (ModuleRecord, DeviceRecord)](self, subject: Subject[Part], at: datetime, place: Place) -> News:
        """Announce a state, chained to the state announced last.

        Args:
            subject: The module or device in that state.
            at: When the state became news.
            place: Its order among announcements at that time.

        Returns:
            The subject's news after the announcement.
        """
        record, news = subject.record, subject.record.news
        verdict, since = record.verdict, min(record.since, at)
        kind = Kind.MODULE if subject.name else Kind.DEVICE
        words = verdict.reason, verdict.message
        change = Change(
            kind,
            subject.name,
            news.state,
            verdict.state,
            *words,
            subject.evidence,
            news.since,
            since,
            is_initial=self._is_first,
            cause=None if verdict.state in AS_DESIRED else verdict.cause,
            stuck_at=None if verdict.state in AS_DESIRED else record.clock.stuck_at,
            restart_count=restart_count(verdict),
            image_hash=image_hash(verdict),
        )
        self._add(at, place, change, is_past=subject.is_past)
        return news.announce(verdict.state, verdict.reason, since)

    def failure[Part: (ModuleRecord, DeviceRecord)](self, subject: Subject[Part], at: datetime) -> Part:
        """Announce a failure if it is news. The first status of a device announces only the device itself.

        Returns:
            The record with its updated news.
        """
        record, verdict = subject.record, subject.record.verdict
        if not record.news.is_new(verdict.state, verdict.reason):
            return record
        if subject.name and self._is_first:
            return replace(record, news=record.news.announce(verdict.state, verdict.reason, record.since))
        return replace(record, news=self.state(subject, at, Place.CHANGED))

    def recovery[Part: (ModuleRecord, DeviceRecord)](
        self, subject: Subject[Part], left: Clock, ended_at: datetime | None
    ) -> None:
        """Announce that something is no longer stuck.

        Args:
            subject: The module or device.
            left: The clock on which it was stuck.
            ended_at: When the clock ended; None if a new desired version restarted it instead.
        """
        at, place = (self._observation.at, Place.CHANGED) if ended_at is None else (ended_at, Place.ENDED)
        record = replace(subject.record, since=min(subject.record.since, at))
        change = clock_change(Kind.RECOVERED, subject.name, record, subject.evidence, left)
        self._add(at, place, change, is_past=subject.is_past)

    def stuck[Part: (ModuleRecord, DeviceRecord)](self, subject: Subject[Part], away: Part | None) -> Part:
        """Flag and announce what is not as desired and past its grace period.

        If it was settled for a while and leaves again with its grace period over, it is flagged at the time of that
        leave.

        Args:
            subject: What is not as desired.
            away: The stored record, if it was not as desired then either.

        Returns:
            The record, flagged if its grace period is over.
        """
        record, clock, seen = subject.record, subject.record.clock, self._observation
        if clock.is_stuck or clock.stuck_at is None or clock.stuck_at > seen.now:
            return record
        at = clock.stuck_at if away is not None else max(clock.stuck_at, seen.at)
        record = replace(record, verdict=blamed(record.verdict), clock=replace(clock, stuck_at=at, stuck_since=at))
        at_time = Subject(subject.name, away, is_past=True) if away is not None and at < seen.at else subject
        part = replace(at_time.record, verdict=blamed(at_time.record.verdict))
        change = clock_change(Kind.STUCK, subject.name, part, at_time.evidence, record.clock)
        self._add(at, Place.STUCK, change, is_past=at_time.is_past)
        return record

    def removal(self, name: str, kept: ModuleRecord) -> None:
        """Announce that a module is neither desired nor reported any more, if it was announced before."""
        message, at, news = "The module is neither desired nor reported any more.", self._observation.at, kept.news
        if kept.clock.is_stuck:
            verdict = replace(kept.verdict, reason=REMOVED_REASON, message=message)
            self.recovery(Subject(name, replace(kept, verdict=verdict)), kept.clock, None)
        if news.is_as_desired:
            return
        change = Change(Kind.MODULE, name, news.state, ABSENT, REMOVED_REASON, message, (), news.since, at)
        self._add(at, Place.CHANGED, change)

    @property
    def _is_first(self) -> bool:
        return self._observation.previous is None

    def _add(self, at: datetime, place: Place, change: Change, *, is_past: bool = False) -> None:
        seen = self._observation
        device = seen.previous.verdict if is_past and seen.previous is not None else seen.status
        self._announced.append(_Announcement(at, place, change, device))
