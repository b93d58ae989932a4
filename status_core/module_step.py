"""The step of one module: from what was kept of it and what its device's twin says now to what is kept next."""

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

OUTSTANDING: Final = (ModuleState.MISSING, ModuleState.UPDATING)


@dataclass(frozen=True, slots=True)
class ModuleStep:
    """What is kept of a module next, and when its window ended, where it did."""

    record: ModuleRecord
    ended_at: datetime | None


def next_module(seen: Observation, announcements: Announcements, name: str) -> ModuleStep:
    """The step of one module of the status.

    Args:
        seen: The status beside what was kept.
        announcements: Where the module's news are added.
        name: The module.
    """
    kept, found = seen.kept_modules.get(name), seen.status.modules[name]
    verdict = _verdict(seen, kept, found)
    # A new desired version restarts the clocks of those modules whose own image or status changed.
    is_asked_anew = kept is None or _asked(kept.verdict) != _asked(verdict)
    sample = _sample(seen, kept, verdict, is_asked_anew=is_asked_anew)
    grace = seen.policy.grace(name, found.desired_image, found.grace, verdict.reason)
    clock, ended_at = seen.next_clock(kept.clock if kept is not None else None, sample, grace, verdict.reason)
    if clock.is_stuck and kept is not None:
        verdict = still_blamed(verdict, kept.verdict)
    since = kept.since if kept is not None and kept.verdict.state == verdict.state else seen.at
    # The announced state of a module that comes later begins as settled.
    news = kept.news if kept is not None else News(ModuleState.SETTLED, since)
    record = ModuleRecord(verdict, since, clock, news)
    subject = Subject(name, record, found.evidence)
    if kept is not None:
        record = _end(seen, announcements, subject, kept, ended_at=ended_at)
    if is_asked_anew:
        record = replace(record, news=record.news.restart())
    if sample.input is ClockInput.UNSETTLED:
        if is_module_news(verdict.state, verdict.reason):
            record = announcements.failure(replace(subject, record=record), seen.at)
        if seen.previous is not None:
            away = kept if kept is not None and _is_away(seen, kept) else None
            record = announcements.stuck(replace(subject, record=record), away)
    return ModuleStep(record, ended_at)


def _verdict(seen: Observation, kept: ModuleRecord | None, found: ModuleStatus) -> ModuleVerdict:
    """What is kept of a module's status.

    "While it is missing or updating, a module keeps the reason of the last failed step that was named for it in this
    version [...] A module for which no step ever failed and that is settling when it gets stuck is skipped, and stays
    it while stuck."
    """
    verdict = ModuleVerdict.of(found)
    if kept is None or verdict.state not in OUTSTANDING or verdict.reason != Reason.SETTLING:
        return verdict
    before = verified(kept.verdict)
    if not seen.is_new_version and before.state in OUTSTANDING and before.reason != Reason.SETTLING:
        return replace(verdict, reason=before.reason, message=before.message, cause=before.cause)
    is_still_stuck = kept.clock.is_stuck and _asked(kept.verdict) == _asked(verdict)
    return blamed(verdict) if is_still_stuck else verdict


def _asked(verdict: ModuleVerdict) -> tuple[str | None, str | None]:
    return verdict.desired_image, verdict.desired_status


def _sample(seen: Observation, kept: ModuleRecord | None, verdict: ModuleVerdict, *, is_asked_anew: bool) -> Sample:
    says = module_input(verdict.state, verdict.reason, seen.status.state, is_lagging=seen.is_lagging)
    # What is told to stop, or has finished, does not come back; what was not reported before may never have left.
    is_running = says is ClockInput.SETTLED and verdict.runtime_status == RUNNING
    count, before = verdict.restart_count or 0, kept.verdict.restart_count if kept is not None else None
    speaks_again = says is not ClockInput.NO_EVIDENCE and kept is not None and _was_silent_for_its_grace(seen, kept)
    return Sample(
        says,
        seen.at,
        seen.now,
        restarts=is_asked_anew or speaks_again,
        by_version=seen.is_new_version,
        has_failed=(says is ClockInput.UNSETTLED and verdict.state == ModuleState.WRONG_STATUS)
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
    """Announce that a module has recovered, and that it is settled once no clock of it runs.

    "A look that finds it away ends a window that was over at the `at` of that change: it tells settled [...], then
    what it is now, in a new clock."
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
    """Whether the grace period of a module went by while no report spoke of it.

    "A module of which no report spoke for its grace begins its clock anew with the first that does." The device was
    flagged for that. A shorter silence, such as a restart of the agent, leaves a clock that ran before it alone.
    """
    started = kept.clock.unsettled_since
    if started is None or kept.clock.is_stuck or _input_before(seen, kept) is not ClockInput.NO_EVIDENCE:
        return False
    assert seen.previous is not None  # noqa: S101 (as above)
    # A module that is not desired keeps its state in the silence; the device does not.
    silent_since = seen.previous.since if kept.verdict.state == ModuleState.EXTRA else kept.since
    return max(started, silent_since) + kept.clock.grace <= seen.at
