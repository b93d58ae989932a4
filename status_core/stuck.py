"""What becomes stuck, and what recovers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from status_core.clock_input import ClockInput
from status_core.clocks import Clock
from status_core.reasons import UNVERIFIED, Reason
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, ModuleVerdict
from status_core.status import Evidence
from status_core.transitions import Change, Kind, Transition

_ONCE_STUCK: Final[Mapping[str, Reason]] = {
    Reason.SETTLING: Reason.SKIPPED,
    Reason.AGENT_UPDATING: Reason.AGENT_NOT_UPDATED,
}
"""What passes by itself is something else once it has not passed within its grace period."""


def blamed[V: (ModuleVerdict, DeviceVerdict)](verdict: V) -> V:
    """A verdict on what is stuck, with the reason that holds once it is."""
    reason = _ONCE_STUCK.get(verdict.reason)
    if reason is None:
        return verdict
    return replace(verdict, reason=reason.value, message=f"{verdict.message} {reason.means} {reason.advice}")


def flagged(
    name: str, verdict: ModuleVerdict | DeviceVerdict, since: datetime, evidence: tuple[Evidence, ...], clock: Clock
) -> Change:
    """The change of something that becomes stuck.

    Args:
        name: The module; empty for the device.
        verdict: What it is.
        since: Since when it is in that state.
        evidence: What was compared.
        clock: Its clock.
    """
    assert clock.unsettled_since is not None  # noqa: S101 (it is away)
    words = verdict.reason, verdict.message
    return Change(Kind.STUCK, name, verdict.state, verdict.state, *words, evidence, clock.unsettled_since, since)


def recovered(
    name: str, verdict: ModuleVerdict | DeviceVerdict, since: datetime, evidence: tuple[Evidence, ...], left: Clock
) -> Change:
    """The change of something that was stuck and is not any more.

    Args:
        name: The module; empty for the device.
        verdict: What it is.
        since: Since when it is in that state.
        evidence: What was compared.
        left: The clock on which it was stuck.
    """
    assert left.unsettled_since is not None  # noqa: S101 (it was stuck)
    words = verdict.reason, verdict.message
    return Change(Kind.RECOVERED, name, verdict.state, verdict.state, *words, evidence, left.unsettled_since, since)


def flag_unverified(record: DeviceRecord, now: datetime) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """Flag what is past its grace period where IoT Hub does not answer, as it was seen last. No clock ends.

    Args:
        record: What is kept.
        now: The time, in UTC.

    Returns:
        The next record, with reasons that end with `_unverified`, and the transitions `stuck`: of modules in the order
        of their times, then of the device.
    """
    turns = [
        _Turn(name, module)
        for name, module in record.modules.items()
        if record.input_of(module) is ClockInput.UNSETTLED and _is_due(module.clock, now)
    ]
    turns.sort(key=lambda turn: turn.at)
    # A device looks settled while its modules alone are away: its clock is off, or in its window.
    turns += [_Turn("", record)] if record.lags_until is None and _is_due(record.clock, now) else []
    transitions: list[Transition] = []
    at, device = record.at, record
    modules = dict(record.modules)
    for number, turn in enumerate(turns, 1):
        at, verdict = max(at, turn.at), record.verdict
        transitions.append(
            Transition(turn.change, record.sequence + number, verdict.desired_version, verdict.deployments, at)
        )
        if isinstance(turn.part, ModuleRecord):
            modules[turn.name] = _unverified(turn.part)
        else:
            device = _unverified(record)
    return replace(device, modules=modules, sequence=record.sequence + len(turns), at=at), tuple(transitions)


@dataclass(frozen=True, slots=True)
class _Turn:
    name: str
    part: ModuleRecord | DeviceRecord

    @property
    def at(self) -> datetime:
        at = self.part.clock.stuck_at
        assert at is not None  # noqa: S101 (it is due)
        return at

    @property
    def change(self) -> Change:
        part = self.part
        reason, message = _in_doubt(part.verdict)
        return replace(flagged(self.name, part.verdict, part.since, (), part.clock), reason=reason, message=message)


def _is_due(clock: Clock, now: datetime) -> bool:
    is_away = clock.settled_since is None and not clock.is_stuck
    return is_away and clock.stuck_at is not None and clock.stuck_at <= now


def _unverified[Part: (ModuleRecord, DeviceRecord)](part: Part) -> Part:
    reason, message = _in_doubt(part.verdict)
    verdict = replace(part.verdict, reason=reason, message=message)
    return replace(part, verdict=verdict, clock=replace(part.clock, stuck_since=part.clock.stuck_at))


def _in_doubt(verdict: ModuleVerdict | DeviceVerdict) -> tuple[str, str]:
    return f"{verdict.reason}{UNVERIFIED}", f"IoT Hub did not answer; as last seen: {verdict.message}"
