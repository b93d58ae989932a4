"""The news of one status of a device: what is announced, in the order of its times, and each state once."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from status_core.clocks import Clock
from status_core.news import AS_DESIRED, News
from status_core.observation import Observation
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, image_hash, restart_count
from status_core.status import DeploymentStatus, Evidence
from status_core.stuck import blamed, flagged, recovered
from status_core.transitions import ABSENT, REMOVED_REASON, Change, Kind, Transition


class Place(IntEnum):
    """The order of what is announced of one time."""

    ENDED = 0
    """What was over by then."""
    CHANGED = 1
    """What it is from then on."""
    STUCK = 2
    """What is stuck from then on."""


@dataclass(frozen=True, slots=True)
class Subject[Part: (ModuleRecord, DeviceRecord)]:
    """A module, or the device itself, as it is now or as it was kept.

    Attributes:
        name: The module; empty for the device.
        record: What it is.
        evidence: What was compared.
        is_past: It is what was kept: the change that is seen now came later.
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
    """Names the version and the deployments under which it was so."""


class Announcements:
    """What one status of a device announces."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._announced: list[_Announcement] = []

    def in_order(self, sequence: int, last_at: datetime) -> tuple[Transition, ...]:
        """The transitions in the order of their times, none of which is before the one before.

        Args:
            sequence: That of the last transition.
            last_at: Its time.
        """
        transitions: list[Transition] = []
        for item in sorted(self._announced, key=lambda item: (item.at, item.place)):
            last_at, sequence = max(last_at, item.at), sequence + 1
            device = item.device
            transitions.append(Transition(item.change, sequence, device.desired_version, device.deployments, last_at))
        return tuple(transitions)

    def state[Part: (ModuleRecord, DeviceRecord)](self, subject: Subject[Part], at: datetime, place: Place) -> News:
        """Announce a state, chained to the one that was announced last.

        Args:
            subject: What is in the state.
            at: When it became news.
            place: Its place at that time.

        Returns:
            The news of the subject after that.
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
        return news.tell(verdict.state, verdict.reason, since)

    def failure[Part: (ModuleRecord, DeviceRecord)](self, subject: Subject[Part], at: datetime) -> Part:
        """Announce what is not as desired, where it is news. The first status of a device is that of the device alone.

        Returns:
            The record with its news.
        """
        record, verdict = subject.record, subject.record.verdict
        if not record.news.is_new(verdict.state, verdict.reason):
            return record
        if subject.name and self._is_first:
            return replace(record, news=record.news.tell(verdict.state, verdict.reason, record.since))
        return replace(record, news=self.state(subject, at, Place.CHANGED))

    def recovery[Part: (ModuleRecord, DeviceRecord)](
        self, subject: Subject[Part], left: Clock, ended_at: datetime | None
    ) -> None:
        """Announce that what was stuck is not any more.

        Args:
            subject: What it is.
            left: The clock on which it was stuck.
            ended_at: When the clock ended; None where something else is asked of it from now on.
        """
        record = subject.record
        change = recovered(subject.name, record.verdict, record.since, subject.evidence, left)
        at, place = (self._observation.at, Place.CHANGED) if ended_at is None else (ended_at, Place.ENDED)
        self._add(at, place, change, is_past=subject.is_past)

    def stuck[Part: (ModuleRecord, DeviceRecord)](self, subject: Subject[Part], away: Part | None) -> Part:
        """Flag what is not as desired when its grace period is over, and announce it.

        "Stuck is set on what is not as desired when its grace is over [...] If it leaves again [...] with its grace
        over, that look flags it (At: the time of that leave)."

        Args:
            subject: What is not as desired.
            away: What was kept of it, where it was away already.

        Returns:
            The record, flagged if its grace period is over.
        """
        record, clock, seen = subject.record, subject.record.clock, self._observation
        if clock.is_stuck or clock.stuck_at is None or clock.stuck_at > seen.now:
            return record
        at = clock.stuck_at if away is not None else max(clock.stuck_at, seen.at)
        record = replace(record, verdict=blamed(record.verdict), clock=replace(clock, stuck_at=at, stuck_since=at))
        at_time = Subject(subject.name, away, is_past=True) if away is not None and at < seen.at else subject
        part = at_time.record
        change = flagged(subject.name, blamed(part.verdict), part.since, at_time.evidence, record.clock)
        self._add(at, Place.STUCK, change, is_past=at_time.is_past)
        return record

    def removal(self, name: str, kept: ModuleRecord) -> None:
        """Announce that a module is neither desired nor reported any more, where something was announced of it."""
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
