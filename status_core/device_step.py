"""Advances the device itself after its modules. The device record is that of $edgeAgent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from status_core.announcements import Announcements, Place, Subject
from status_core.clock_input import ClockInput, device_input
from status_core.clocks import Clock, Sample
from status_core.news import AS_DESIRED, News
from status_core.observation import Observation
from status_core.reasons import Reason, known_reason
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, ModuleVerdict
from status_core.states import ModuleState, State
from status_core.stuck import blamed, still_blamed
from status_core.transitions import ABSENT
from status_core.twin import EDGE_AGENT


def next_device(
    seen: Observation,
    announcements: Announcements,
    modules: Mapping[str, ModuleRecord],
    ends: Sequence[datetime],
) -> DeviceRecord:
    """Advance the device. The caller sets the sequence.

    Args:
        seen: The new status with the stored record.
        announcements: Collects the device's news.
        modules: The next records of its modules.
        ends: When the windows ended that the device waits for.
    """
    previous, status = seen.previous, seen.status
    signal = device_input(status, is_lagging=seen.is_lagging)
    verdict = _verdict(seen, signal)
    clock, ended_at = _clock(seen, verdict, signal)
    if clock.is_stuck and previous is not None:
        verdict = still_blamed(verdict, previous.verdict)
    since = previous.since if previous is not None and previous.verdict.state == status.state else seen.at
    news = previous.news if previous is not None else News(ABSENT, seen.at)
    record = DeviceRecord(verdict, since, clock, news, 0, seen.at, seen.now, seen.lags_until, modules)
    inputs = (signal, *(record.input_of(module) for module in modules.values()))
    record = replace(record, lags_until=seen.lags_until if ClockInput.LAGGING in inputs else None)
    subject = Subject("", record, status.evidence)
    if previous is None:
        return announcements.failure(subject, seen.at)
    if previous.clock.is_stuck and not (clock.is_stuck and ended_at is None):
        is_past = ended_at is not None and ended_at <= seen.at and not previous.is_lagging
        at_end = Subject("", previous, is_past=True) if is_past else subject
        announcements.recovery(at_end, previous.clock, ended_at)
    own_end = [] if ended_at is None else [ended_at]
    record = _succeed(seen, announcements, subject, [*ends, *own_end])
    if seen.is_new_version:
        record = replace(record, news=record.news.restart())
    subject = replace(subject, record=record)
    if status.state is State.NO_DEPLOYMENT and record.news.state != State.NO_DEPLOYMENT:
        record = replace(record, news=announcements.state(subject, seen.at, Place.CHANGED))
    elif status.state not in AS_DESIRED and signal is not ClockInput.LAGGING:
        record = _fail(seen, announcements, subject)
    if signal is ClockInput.UNSETTLED:
        was_away = previous.clock.settled_since is None and not previous.is_lagging
        record = announcements.stuck(replace(subject, record=record), previous if was_away else None)
    return record


def _verdict(seen: Observation, signal: ClockInput) -> DeviceVerdict:
    """Return the verdict to store. `agent_updating` becomes `agent_not_updated` when stuck, and stays so while stuck.

    A stuck device that looks settled takes the reason of a module that is not as desired.
    """
    verdict, previous = DeviceVerdict.of(seen.status), seen.previous
    was_stuck = previous is not None and previous.clock.is_stuck and not seen.is_new_version
    return blamed(verdict) if was_stuck and signal is not ClockInput.SETTLED else verdict


def _clock(seen: Observation, verdict: DeviceVerdict, signal: ClockInput) -> tuple[Clock, datetime | None]:
    """Advance the device's clock, which a new desired version restarts."""
    previous, agent = seen.previous, seen.status.modules.get(EDGE_AGENT)
    image, label = (agent.desired_image, agent.grace) if agent is not None else (None, None)
    sample = Sample(
        signal,
        seen.at,
        seen.now,
        restarts=seen.is_new_version,
        was_lagging=previous is not None and previous.is_lagging,
    )
    grace = seen.policy.grace(EDGE_AGENT, image, label, verdict.reason)
    return seen.next_clock(previous.clock if previous is not None else None, sample, grace, verdict.reason)


def _succeed(
    seen: Observation, announcements: Announcements, subject: Subject[DeviceRecord], ends: Sequence[datetime]
) -> DeviceRecord:
    """Announce that the device is successful.

    That is news once the device's clock and those of its modules, except `extra` ones, have ended. The time of the news
    is the end of the last window.
    """
    record, previous = subject.record, seen.previous
    if record.news.state == State.SUCCESSFUL or previous is None:
        return record
    was_successful = previous.verdict.state == State.SUCCESSFUL
    is_successful = record.verdict.state == State.SUCCESSFUL and not _running(record)
    running = _running(previous)
    over = [end for clock in running if (end := clock.ends_at(seen.policy)) is not None and end <= seen.at]
    if was_successful and running and len(over) == len(running) and not (is_successful and not seen.is_new_version):
        # It was successful until the end of the last window, and changed after that.
        news = announcements.state(Subject("", previous, is_past=True), max(over), Place.ENDED)
        return replace(record, news=news)
    if not is_successful:
        return record
    earliest = [] if was_successful or previous.is_lagging else [seen.at]
    at = max([*ends, *earliest], default=seen.at)
    return replace(record, news=announcements.state(subject, at, Place.ENDED))


def _fail(seen: Observation, announcements: Announcements, subject: Subject[DeviceRecord]) -> DeviceRecord:
    """Announce that the device is not as desired.

    `in_progress` with reason `settling` is news only once a module is stuck, with that module's reason: every
    successful plan first reports the modules from before it.
    """
    record = subject.record
    if record.verdict.state != State.IN_PROGRESS or record.verdict.reason != Reason.SETTLING:
        return announcements.failure(subject, seen.at)
    stuck = [
        module
        for module in record.modules.values()
        if module.clock.is_stuck
        and module.verdict.state != ModuleState.EXTRA
        and record.input_of(module) is ClockInput.UNSETTLED
    ]
    if not stuck:
        return record
    leading = min(stuck, key=lambda module: _rank(module.verdict))
    culprit = leading.verdict
    verdict = replace(record.verdict, reason=culprit.reason, message=culprit.message, cause=culprit.cause)
    at = max(seen.at, leading.clock.stuck_since or seen.at)
    announced = announcements.failure(replace(subject, record=replace(record, verdict=verdict)), at)
    return replace(record, news=announced.news)


def _running(device: DeviceRecord) -> list[Clock]:
    """Return the running clocks that delay the news that a device is successful."""
    modules = (module for module in device.modules.values() if module.verdict.state != ModuleState.EXTRA)
    return [clock for clock in (device.clock, *(module.clock for module in modules)) if clock.is_running]


def _rank(verdict: ModuleVerdict) -> int:
    known = known_reason(verdict.reason)
    return len(Reason) if known is None else known.rank
