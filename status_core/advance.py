"""From what was kept of a device and what its twin says now: what is kept next, and the transitions between."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum

from status_core.clock_input import ClockInput, device_input, module_input
from status_core.clocks import Clock, Sample, tick, with_deadline
from status_core.grace import GracePolicy
from status_core.news import AS_DESIRED, News, is_module_news
from status_core.reasons import Reason, is_unverified, known_reason
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, ModuleVerdict
from status_core.states import ModuleState, State
from status_core.status import DeploymentStatus, Evidence
from status_core.stuck import blamed, flagged, recovered
from status_core.transitions import ABSENT, REMOVED_REASON, Change, Kind, Transition
from status_core.twin import EDGE_AGENT


def advance(  # noqa: PLR0913 (the last two are the end of an earlier life)
    previous: DeviceRecord | None,
    status: DeploymentStatus,
    now: datetime,
    policy: GracePolicy,
    *,
    last_sequence: int = 0,
    last_at: datetime | None = None,
) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """One step of a device: pure, and the same for a notification, a timer and a resync.

    Args:
        previous: What was kept; None at the first look.
        status: What the twin says now.
        now: Until when that is known to hold, in UTC: when the twin was read.
        policy: Grace periods and windows.
        last_sequence: At a first look, the number of the last transition of an earlier life of the device.
        last_at: At a first look, the time of that transition.

    Returns:
        The next record, and the transitions in the order of their sequence, which is that of their times. The first
        look at a device has one, the device's.
    """
    at = min(status.changed or now, now)
    if previous is not None:
        last_sequence, last_at = previous.sequence, previous.at
    if last_at is not None:
        at = max(at, last_at)
    look = _Look(previous, status, at, now, policy)
    # The device's own record stands for $edgeAgent.
    modules = {name: look.module(name) for name in sorted(status.modules) if name != EDGE_AGENT}
    look.removed_modules()
    device = look.device(modules)
    transitions: list[Transition] = []
    floor = last_at if last_at is not None else at
    for number, (time, _, change) in enumerate(sorted(look.told, key=lambda item: item[:2]), 1):
        floor = max(floor, time)
        transitions.append(
            Transition(change, last_sequence + number, status.desired_version, status.deployments, floor)
        )
    record = replace(device, sequence=last_sequence + len(transitions), at=max(at, floor), modules=modules)
    return record, tuple(transitions)


class _Place(IntEnum):
    """The order of what is told of one time: what has ended by then, what is so now, and what is stuck."""

    ENDED = 0
    CHANGED = 1
    STUCK = 2


@dataclass(slots=True)
class _Look:
    """One look at a device, beside what was kept of it.

    Attributes:
        told: What is told, with its time and its place at that time: modules first.
        ends: When windows ended by this look, of the device and of each module that holds back its news.
    """

    previous: DeviceRecord | None
    status: DeploymentStatus
    at: datetime
    now: datetime
    policy: GracePolicy
    told: list[tuple[datetime, _Place, Change]] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)

    @property
    def kept(self) -> Mapping[str, ModuleRecord]:
        return self.previous.modules if self.previous is not None else {}

    @property
    def is_new_version(self) -> bool:
        previous = self.previous
        return previous is None or previous.verdict.desired_version != self.status.desired_version

    @property
    def lags_until(self) -> datetime | None:
        """Until when the report does not count where it shows something that is not as desired."""
        reported = self.status.reported_at
        if not self.status.is_lagging or reported is None or self.now >= reported + self.policy.stable_after:
            return None
        return reported + self.policy.stable_after

    def module(self, name: str) -> ModuleRecord:
        """The next record of one module."""
        kept, found = self.kept.get(name), self.status.modules[name]
        verdict = self._verdict(name)
        is_lagging = self.lags_until is not None
        seen = module_input(verdict.state, verdict.reason, self.status.state, is_lagging=is_lagging)
        asked = (verdict.desired_image, verdict.desired_status)
        restarts = (
            kept is None
            or asked != (kept.verdict.desired_image, kept.verdict.desired_status)
            or (seen is not ClockInput.NO_EVIDENCE and self._was_silent_for_its_grace(kept))
        )
        count = verdict.restart_count or 0
        is_settled = seen is ClockInput.SETTLED
        sample = Sample(
            seen,
            self.at,
            self.now,
            restarts=restarts,
            by_version=self.is_new_version,
            has_failed=(seen is ClockInput.UNSETTLED and verdict.state == ModuleState.WRONG_STATUS)
            or (is_settled and count > 0),
            came_back=is_settled and kept is not None and count > (kept.verdict.restart_count or 0),
        )
        grace = self.policy.grace(name, found.desired_image, found.grace, verdict.reason)
        clock, ended_at = self._tick(kept, sample, grace, verdict.reason)
        if ended_at is not None and verdict.state != ModuleState.EXTRA:
            self.ends.append(ended_at)
        since = kept.since if kept is not None and kept.verdict.state == verdict.state else self.at
        news = kept.news if kept is not None else News(ModuleState.SETTLED, since)
        record = ModuleRecord(verdict, since, clock, news)
        if kept is not None:
            record = self._end(name, kept, record, ended_at, found.evidence, as_desired=ModuleState.SETTLED)
        if restarts:
            record = replace(record, news=record.news.restart())
        if seen is ClockInput.UNSETTLED and is_module_news(verdict.state, verdict.reason):
            record = self._tell(name, record, found.evidence)
        if seen is ClockInput.UNSETTLED and self.previous is not None:
            was_away = (
                kept is not None
                and not restarts
                and kept.clock.settled_since is None
                and self.previous.input_of(kept) is ClockInput.UNSETTLED
            )
            record = self._flag(name, kept if was_away else None, record, found.evidence)
        return record

    def removed_modules(self) -> None:
        """Tell of modules that are neither desired nor reported any more, where something was told of them."""
        message = "The module is neither desired nor reported any more."
        for name, kept in sorted(self.kept.items()):
            if name in self.status.modules:
                continue
            verdict = replace(kept.verdict, reason=REMOVED_REASON, message=message)
            if kept.clock.is_stuck:
                item = recovered(name, verdict, kept.since, (), kept.clock)
                self.told.append((self.at, _Place.CHANGED, item))
            if kept.news.state != ModuleState.SETTLED:
                news = kept.news
                change = Change(Kind.MODULE, name, news.state, ABSENT, REMOVED_REASON, message, (), news.since, self.at)
                self.told.append((self.at, _Place.CHANGED, change))

    def device(self, modules: Mapping[str, ModuleRecord]) -> DeviceRecord:
        """The next record of the device itself, without its sequence and its modules."""
        previous, status = self.previous, self.status
        verdict = DeviceVerdict.of(status)
        if previous is not None and previous.clock.is_stuck and not self.is_new_version:
            verdict = blamed(verdict) if verdict.reason == Reason.AGENT_UPDATING else verdict
        is_lagging = self.lags_until is not None
        seen = device_input(status, is_lagging=is_lagging)
        agent = status.modules.get(EDGE_AGENT)
        image, label = (agent.desired_image, agent.grace) if agent is not None else (None, None)
        sample = Sample(seen, self.at, self.now, restarts=self.is_new_version, by_version=self.is_new_version)
        grace = self.policy.grace(EDGE_AGENT, image, label, verdict.reason)
        clock, ended_at = self._tick(previous, sample, grace, verdict.reason)
        self.ends += [ended_at] if ended_at is not None else []
        since = previous.since if previous is not None and previous.verdict.state == status.state else self.at
        news = previous.news if previous is not None else News(ABSENT, self.at)
        shows = seen is ClockInput.LAGGING or any(
            module_input(item.verdict.state, item.verdict.reason, status.state, is_lagging=is_lagging)
            is ClockInput.LAGGING
            for item in modules.values()
        )
        lags_until = self.lags_until if shows else None
        record = DeviceRecord(verdict, since, clock, news, 0, self.at, self.now, lags_until)
        if previous is None:
            return self._tell("", record, status.evidence)
        record = self._end("", previous, record, ended_at, status.evidence, as_desired=None)
        record = self._succeed(previous, record, modules)
        if self.is_new_version:
            record = replace(record, news=record.news.restart())
        if status.state is State.NO_DEPLOYMENT and record.news.state != State.NO_DEPLOYMENT:
            record = self._tell("", record, status.evidence)
        if status.state not in AS_DESIRED and seen is not ClockInput.LAGGING:
            record = self._tell_failure(record, modules)
        if seen is ClockInput.UNSETTLED:
            was_away = previous.clock.settled_since is None and previous.lags_until is None and not self.is_new_version
            record = self._flag("", previous if was_away else None, record, status.evidence)
        return record

    def _verdict(self, name: str) -> ModuleVerdict:
        """What is kept of a module's status.

        While it is missing or updating it keeps the reason of the last step that failed for it in this version: later
        reports name only what was just tried, or nothing.
        """
        verdict, kept = ModuleVerdict.of(self.status.modules[name]), self.kept.get(name)
        outstanding = (ModuleState.MISSING, ModuleState.UPDATING)
        if kept is None or self.is_new_version or verdict.reason != Reason.SETTLING:
            return verdict
        if verdict.state not in outstanding or kept.verdict.state not in outstanding:
            return verdict
        before = kept.verdict
        if before.reason == Reason.SETTLING or is_unverified(before.reason):
            return blamed(verdict) if kept.clock.is_stuck else verdict
        return replace(verdict, reason=before.reason, message=before.message, cause=before.cause)

    def _tick(
        self, kept: ModuleRecord | DeviceRecord | None, sample: Sample, grace: tuple[timedelta, str], reason: str
    ) -> tuple[Clock, datetime | None]:
        period, source = grace
        clock = replace(kept.clock, grace=period, grace_source=source) if kept is not None else Clock(period, source)
        clock, ended_at = tick(clock, sample, self.policy)
        known = known_reason(reason)
        is_hopeless = known is not None and known.is_hopeless
        return with_deadline(clock, sample, self.policy, is_hopeless=is_hopeless), ended_at

    def _end[Part: (ModuleRecord, DeviceRecord)](  # noqa: PLR0913
        self,
        name: str,
        kept: Part,
        record: Part,
        ended_at: datetime | None,
        evidence: tuple[Evidence, ...],
        *,
        as_desired: str | None,
    ) -> Part:
        """Tell that something has recovered, and, where its clock has ended, that it is as desired."""
        # A window that was over before this change is that of the state before it.
        at_end = record if ended_at is None or record.verdict.state == kept.verdict.state else kept
        if kept.clock.is_stuck and not (record.clock.is_stuck and ended_at is None):
            item = recovered(name, at_end.verdict, at_end.since, evidence if at_end is record else (), kept.clock)
            self.told.append((ended_at or self.at, _Place.ENDED if ended_at else _Place.CHANGED, item))
        if ended_at is None or as_desired is None or record.news.state == as_desired:
            return record
        return replace(
            record, news=self._told(name, at_end, ended_at, evidence if at_end is record else (), _Place.ENDED)
        )

    def _succeed(
        self, previous: DeviceRecord, record: DeviceRecord, modules: Mapping[str, ModuleRecord]
    ) -> DeviceRecord:
        """Tell that the device is successful once its clock and those of its modules have ended."""
        if record.news.state == State.SUCCESSFUL:
            return record
        if record.verdict.state == State.SUCCESSFUL and not _running(record, modules):
            ended_at = max(self.ends, default=self.at)
            return replace(record, news=self._told("", record, ended_at, self.status.evidence, _Place.ENDED))
        running = _running(previous, previous.modules)
        ends = [end for clock in running if (end := clock.ends_at(self.policy)) is not None and end <= self.at]
        if previous.verdict.state == State.SUCCESSFUL and running and len(ends) == len(running):
            return replace(record, news=self._told("", previous, max(ends), (), _Place.ENDED))
        return record

    def _tell_failure(self, record: DeviceRecord, modules: Mapping[str, ModuleRecord]) -> DeviceRecord:
        """Tell of a device that is not as desired; what only settles is news once a module is stuck."""
        if record.verdict.state != State.IN_PROGRESS or record.verdict.reason != Reason.SETTLING:
            return self._tell("", record, self.status.evidence)
        stuck = [item for item in modules.values() if item.clock.is_stuck]
        if not stuck:
            return record
        leading = min(stuck, key=lambda item: _rank(item.verdict))
        verdict = replace(record.verdict, reason=leading.verdict.reason, message=leading.verdict.message)
        at = max(self.at, leading.clock.stuck_since or self.at)
        return replace(record, news=self._tell("", replace(record, verdict=verdict), self.status.evidence, at).news)

    def _tell[Part: (ModuleRecord, DeviceRecord)](
        self, name: str, record: Part, evidence: tuple[Evidence, ...], at: datetime | None = None
    ) -> Part:
        """Tell what something is, where that is new. The first look at a device tells of its modules by the device."""
        verdict = record.verdict
        if not record.news.is_new(verdict.state, verdict.reason):
            return record
        if name and self.previous is None:
            return replace(record, news=record.news.tell(verdict.state, verdict.reason, record.since))
        return replace(record, news=self._told(name, record, at or self.at, evidence, _Place.CHANGED))

    def _told(
        self,
        name: str,
        part: ModuleRecord | DeviceRecord,
        at: datetime,
        evidence: tuple[Evidence, ...],
        place: _Place,
    ) -> News:
        verdict, news = part.verdict, part.news
        kind = Kind.MODULE if name else Kind.DEVICE
        words = verdict.reason, verdict.message
        change = Change(kind, name, news.state, verdict.state, *words, evidence, news.since, part.since)
        self.told.append((at, place, replace(change, is_initial=self.previous is None)))
        return news.tell(verdict.state, verdict.reason, part.since)

    def _flag[Part: (ModuleRecord, DeviceRecord)](
        self, name: str, away: Part | None, record: Part, evidence: tuple[Evidence, ...]
    ) -> Part:
        """Flag what is away when its grace period is over; `away` is what was kept, where it was away then too."""
        clock = record.clock
        if clock.is_stuck or clock.stuck_at is None or clock.stuck_at > self.now:
            return record
        at = clock.stuck_at if away is not None else max(clock.stuck_at, self.at)
        record = replace(record, verdict=blamed(record.verdict), clock=replace(clock, stuck_since=at))
        was = away if away is not None and at < self.at else record  # what it was at that time
        change = flagged(name, blamed(was.verdict), was.since, evidence if was is record else (), record.clock)
        self.told.append((at, _Place.STUCK if was is record else _Place.ENDED, change))
        return record

    def _was_silent_for_its_grace(self, kept: ModuleRecord) -> bool:
        """Whether the grace period of a module went by while the device could not say anything about it.

        The device was flagged for that. The first word about the module is no reason to flag it at once. A shorter
        silence, such as a restart of the agent, leaves a clock that ran before it alone.
        """
        assert self.previous is not None  # noqa: S101 (a module was kept, so its device was)
        silent = self.previous.input_of(kept) is ClockInput.NO_EVIDENCE
        started = kept.clock.unsettled_since
        if not silent or started is None or kept.clock.is_stuck:
            return False
        # A module that is not desired keeps its state in the silence; the device does not.
        silent_since = self.previous.since if kept.verdict.state == ModuleState.EXTRA else kept.since
        return max(started, silent_since) + kept.clock.grace <= self.now


def _running(device: DeviceRecord, modules: Mapping[str, ModuleRecord]) -> list[Clock]:
    """The clocks that hold back the news that a device is successful."""
    clocks = [device.clock, *(item.clock for item in modules.values() if item.verdict.state != ModuleState.EXTRA)]
    return [clock for clock in clocks if clock.is_running]


def _rank(verdict: ModuleVerdict) -> int:
    known = known_reason(verdict.reason)
    return len(Reason) if known is None else known.rank
