"""The step of the device itself, once those of its modules are done. Its own record is that of $edgeAgent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from status_core.announcements import Announcements, Place, Subject
from status_core.clock_input import ClockInput, device_input
from status_core.clocks import Clock, Sample
from status_core.module_step import OUTSTANDING
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
    """The step of the device, without its sequence.

    Args:
        seen: The status beside what was kept.
        announcements: Where the device's news are added.
        modules: What is kept of its modules next.
        ends: When windows of modules ended that the device waits for.
    """
    previous, status = seen.previous, seen.status
    says = device_input(status, is_lagging=seen.is_lagging)
    verdict = _verdict(seen, says)
    clock, ended_at = _clock(seen, verdict, says)
    if clock.is_stuck and previous is not None:
        verdict = still_blamed(verdict, previous.verdict)
    since = previous.since if previous is not None and previous.verdict.state == status.state else seen.at
    news = previous.news if previous is not None else News(ABSENT, seen.at)
    record = DeviceRecord(verdict, since, clock, news, 0, seen.at, seen.now, seen.lags_until, modules)
    inputs = (says, *(record.input_of(module) for module in modules.values()))
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
    elif status.state not in AS_DESIRED and says is not ClockInput.LAGGING:
        record = _fail(seen, announcements, subject)
    record = replace(record, verdict=_of_its_modules(record, previous))
    if says is ClockInput.UNSETTLED:
        was_away = previous.clock.settled_since is None and not previous.is_lagging
        record = announcements.stuck(replace(subject, record=record), previous if was_away else None)
    return record


def _verdict(seen: Observation, says: ClockInput) -> DeviceVerdict:
    """What is kept of the device's status: "`agent_updating` is then `agent_not_updated`", and stays it while stuck.

    What was stuck and looks settled has the reason of a module that is away.
    """
    verdict, previous = DeviceVerdict.of(seen.status), seen.previous
    was_stuck = previous is not None and previous.clock.is_stuck and not seen.is_new_version
    return blamed(verdict) if was_stuck and says is not ClockInput.SETTLED else verdict


def _clock(seen: Observation, verdict: DeviceVerdict, says: ClockInput) -> tuple[Clock, datetime | None]:
    """The device's clock: "a new desired version restarts that of the device"."""
    previous, agent = seen.previous, seen.status.modules.get(EDGE_AGENT)
    image, label = (agent.desired_image, agent.grace) if agent is not None else (None, None)
    sample = Sample(
        says,
        seen.at,
        seen.now,
        restarts=seen.is_new_version,
        by_version=seen.is_new_version,
        was_lagging=previous is not None and previous.is_lagging,
    )
    grace = seen.policy.grace(EDGE_AGENT, image, label, verdict.reason)
    return seen.next_clock(previous.clock if previous is not None else None, sample, grace, verdict.reason)


def _succeed(
    seen: Observation, announcements: Announcements, subject: Subject[DeviceRecord], ends: Sequence[datetime]
) -> DeviceRecord:
    """Announce that the device is successful.

    "What is as desired is news when the clocks behind it have ended: [...] of a device successful, its own and those
    of all its modules but extra ones. `At` is the end of the last window."
    """
    record, previous = subject.record, seen.previous
    if record.news.state == State.SUCCESSFUL or previous is None:
        return record
    was_successful = previous.verdict.state == State.SUCCESSFUL
    is_successful = record.verdict.state == State.SUCCESSFUL and not _running(record)
    running = _running(previous)
    over = [end for clock in running if (end := clock.ends_at(seen.policy)) is not None and end <= seen.at]
    if was_successful and running and len(over) == len(running) and not (is_successful and not seen.is_new_version):
        # It was successful to the end of the last window, and something else came later.
        news = announcements.state(Subject("", previous, is_past=True), max(over), Place.ENDED)
        return replace(record, news=news)
    if not is_successful:
        return record
    earliest = [] if was_successful or previous.is_lagging else [seen.at]
    at = max([*ends, *earliest], default=seen.at)
    return replace(record, news=announcements.state(subject, at, Place.ENDED))


def _fail(seen: Observation, announcements: Announcements, subject: Subject[DeviceRecord]) -> DeviceRecord:
    """Announce that the device is not as desired.

    "A device's in_progress with reason settling is news only once one of its modules is stuck, with that module's
    reason (every successful plan first reports the list of before)."
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
    words = leading.verdict
    verdict = replace(record.verdict, reason=words.reason, message=words.message, cause=words.cause)
    at = max(seen.at, leading.clock.stuck_since or seen.at)
    announced = announcements.failure(replace(subject, record=replace(record, verdict=verdict)), at)
    return replace(record, news=announced.news)


def _of_its_modules(record: DeviceRecord, previous: DeviceRecord) -> DeviceVerdict:
    """What is kept of a device that reports success beside what is outstanding: why its modules are.

    Under WaitForAllPulls the agent says 200 between its tries, and what failed keeps its reason (`module_step`). The
    device keeps the words that named it too, so that it is counted under one cause between two tries.
    """
    verdict, before = record.verdict, previous.verdict
    away = [
        module.verdict
        for module in record.modules.values()
        if module.verdict.state in OUTSTANDING and module.verdict.reason != Reason.SETTLING
    ]
    if verdict.state != State.IN_PROGRESS or verdict.reason != Reason.SETTLING or not away:
        return verdict
    leading = min(away, key=_rank)
    causes = (leading.reason, *(module.cause for module in away))
    words = before if before.reason == leading.reason and before.cause in causes else leading
    return replace(verdict, reason=words.reason, message=words.message, cause=words.cause)


def _running(device: DeviceRecord) -> list[Clock]:
    """The clocks that hold back the news that a device is successful."""
    modules = (module for module in device.modules.values() if module.verdict.state != ModuleState.EXTRA)
    return [clock for clock in (device.clock, *(module.clock for module in modules)) if clock.is_running]


def _rank(verdict: ModuleVerdict) -> int:
    known = known_reason(verdict.reason)
    return len(Reason) if known is None else known.rank
