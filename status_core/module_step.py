"""Advances one module from its stored record and the new status to its next record."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from status_core.announcements import Announcements, Place, Subject
from status_core.clock_input import ClockInput, module_input
from status_core.clocks import Sample
from status_core.comparison import RUNNING
from status_core.news import News, is_module_news
from status_core.observation import Observation
from status_core.reasons import Reason
from status_core.record import ModuleRecord, ModuleVerdict
from status_core.states import ModuleState
from status_core.status import ModuleStatus
from status_core.stuck import blamed, still_blamed, verified

_OUTSTANDING: Final = (ModuleState.MISSING, ModuleState.UPDATING)


@dataclass(frozen=True, slots=True)
class ModuleStep:
    """A module's next record, and when its window ended if it did."""

    record: ModuleRecord
    ended_at: datetime | None


def next_module(seen: Observation, announcements: Announcements, name: str) -> ModuleStep:
    """Advance one module of the status.

    Args:
        seen: The new status with the stored record.
        announcements: Collects the module's news.
        name: The module.
    """
    kept, found = seen.kept_modules.get(name), seen.status.modules[name]
    verdict = _verdict(seen, kept, found)
    # A new desired version restarts the clocks of those modules whose own image or status changed.
    has_new_target = kept is None or _target(kept.verdict) != _target(verdict)
    sample = _sample(seen, kept, verdict, has_new_target=has_new_target)
    grace = seen.policy.grace(name, found.desired_image, found.grace, verdict.reason)
    clock, ended_at = seen.next_clock(kept.clock if kept is not None else None, sample, grace, verdict.reason)
    if clock.is_stuck and kept is not None:
        verdict = still_blamed(verdict, kept.verdict)
    since = kept.since if kept is not None and kept.verdict.state == verdict.state else seen.at
    # A module that appears later counts as announced as settled.
    news = kept.news if kept is not None else News(ModuleState.SETTLED, since)
    record = ModuleRecord(verdict, since, clock, news)
    subject = Subject(name, record, found.evidence)
    if kept is not None:
        record = _end(seen, announcements, subject, kept, ended_at=ended_at)
    if has_new_target:
        record = replace(record, news=record.news.restart())
    if sample.input is ClockInput.UNSETTLED:
        if is_module_news(verdict.state, verdict.reason):
            record = announcements.failure(replace(subject, record=record), seen.at)
        if seen.previous is not None:
            away = kept if kept is not None and _is_away(seen, kept) else None
            record = announcements.stuck(replace(subject, record=record), away)
    return ModuleStep(record, ended_at)


def _verdict(seen: Observation, kept: ModuleRecord | None, found: ModuleStatus) -> ModuleVerdict:
    """Return the verdict to store.

    While a module is missing or updating, it keeps the reason of its last failed step in this version. A module without
    a failed step that is still `settling` when it gets stuck becomes `skipped`, and stays so while stuck.
    """
    verdict = ModuleVerdict.of(found)
    if kept is None or verdict.state not in _OUTSTANDING or verdict.reason != Reason.SETTLING:
        return verdict
    before = verified(kept.verdict)
    if not seen.is_new_version and before.state in _OUTSTANDING and before.reason != Reason.SETTLING:
        return replace(verdict, reason=before.reason, message=before.message, cause=before.cause)
    is_still_stuck = kept.clock.is_stuck and _target(kept.verdict) == _target(verdict)
    return blamed(verdict) if is_still_stuck else verdict


def _target(verdict: ModuleVerdict) -> tuple[str | None, str | None]:
    return verdict.desired_image, verdict.desired_status


def _sample(seen: Observation, kept: ModuleRecord | None, verdict: ModuleVerdict, *, has_new_target: bool) -> Sample:
    signal = module_input(verdict.state, verdict.reason, seen.status.state, is_lagging=seen.is_lagging)
    # A module that was stopped on purpose, or has finished, did not come back. One not reported before may never have
    # left.
    is_running = signal is ClockInput.SETTLED and verdict.runtime_status == RUNNING
    count, before = verdict.restart_count or 0, kept.verdict.restart_count if kept is not None else None
    reports_again = signal is not ClockInput.NO_EVIDENCE and kept is not None and _was_silent_for_its_grace(seen, kept)
    return Sample(
        signal,
        seen.at,
        seen.now,
        restarts=has_new_target or reports_again,
        by_version=seen.is_new_version,
        has_failed=(signal is ClockInput.UNSETTLED and verdict.state == ModuleState.WRONG_STATUS)
        or (is_running and count > 0),
        came_back=is_running and before is not None and count > before,
        was_lagging=kept is not None and _input_before(seen, kept) is ClockInput.LAGGING,
    )


def _end(
    seen: Observation,
    announcements: Announcements,
    subject: Subject[ModuleRecord],
    kept: ModuleRecord,
    *,
    ended_at: datetime | None,
) -> ModuleRecord:
    """Announce that a module has recovered, and that it is settled once none of its clocks runs.

    If a window had already ended when the module left again, `settled` is announced first, with the end of that window.
    What the module is now follows, on a new clock.
    """
    record = subject.record
    is_as_kept = record.verdict.state == kept.verdict.state and not seen.is_new_version
    is_past = ended_at is not None and ended_at <= seen.at and kept.verdict.state == ModuleState.SETTLED
    at_end = Subject(subject.name, kept, is_past=True) if is_past and not is_as_kept else subject
    if kept.clock.is_stuck and not (record.clock.is_stuck and ended_at is None):
        announcements.recovery(at_end, kept.clock, ended_at)
    has_settled = ended_at is not None or (record.verdict.state == ModuleState.SETTLED and not record.clock.is_running)
    if not has_settled or record.news.is_as_desired:
        return record
    return replace(record, news=announcements.state(at_end, ended_at or seen.at, Place.ENDED))


def _input_before(seen: Observation, kept: ModuleRecord) -> ClockInput:
    assert seen.previous is not None  # noqa: S101 (a module was kept, so its device was)
    return seen.previous.input_of(kept)


def _is_away(seen: Observation, kept: ModuleRecord) -> bool:
    return kept.clock.settled_since is None and _input_before(seen, kept) is ClockInput.UNSETTLED


def _was_silent_for_its_grace(seen: Observation, kept: ModuleRecord) -> bool:
    """Whether no report covered a module for its whole grace period.

    Its clock then starts over with the first report that does: the device was flagged for the silence. After a shorter
    silence, such as a restart of the agent, a running clock continues.
    """
    started = kept.clock.unsettled_since
    if started is None or kept.clock.is_stuck or _input_before(seen, kept) is not ClockInput.NO_EVIDENCE:
        return False
    assert seen.previous is not None  # noqa: S101 (as above)
    # A module that is not desired keeps its state during the silence; the device does not.
    silent_since = seen.previous.since if kept.verdict.state == ModuleState.EXTRA else kept.since
    return max(started, silent_since) + kept.clock.grace <= seen.at
