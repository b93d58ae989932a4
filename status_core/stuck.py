"""What becomes stuck, and what recovers: the step that a timer takes after a look.

It is apart from `advance`, so that times stay in order: a change has the time of the hub, and becoming stuck the time
at which the grace period ended, which is later.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from status_core.clocks import Clock, Sight
from status_core.reasons import UNVERIFIED, is_unverified
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, ModuleVerdict
from status_core.sights import module_sight
from status_core.status import DeploymentStatus, Evidence
from status_core.transitions import Change, Kind, Transition

type _Verdict = ModuleVerdict | DeviceVerdict | DeploymentStatus


def flag(
    record: DeviceRecord,
    status: DeploymentStatus | None,
    now: datetime,
    stable_after: timedelta,
) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """Flag what is past its grace period, and clear what was settled for the whole stability window.

    Args:
        record: The record that the look came to.
        status: What the twin says; None where IoT Hub did not answer. What is due is flagged then with a reason that
            ends with `_unverified`, and nothing is cleared.
        now: The time, in UTC.
        stable_after: The stability window.

    Returns:
        The next record, and the transitions `stuck` and `recovered`: of modules in the order of their times, then of
        the device.
    """
    turns: dict[str | None, _Turn] = {}
    for name, part in _watched(record):
        found = status if status is None or name is None else status.modules[name]
        turn = _turn(name or "", part, found.evidence if found is not None else None, now, stable_after)
        if turn is not None:
            turns[name] = turn
    transitions: list[Transition] = []
    at = record.at
    for name in sorted(turns, key=lambda name: (name is None, turns[name].at, name or "")):
        at = max(at, turns[name].at)
        sequence = record.sequence + len(transitions) + 1
        verdict = record.verdict
        transitions.append(Transition(turns[name].change, sequence, verdict.desired_version, verdict.deployments, at))
    modules = {name: _turned(module, turns.get(name)) for name, module in record.modules.items()}
    device = _turned(record, turns.get(None))
    return replace(device, modules=modules, sequence=record.sequence + len(transitions), at=at), tuple(transitions)


def recovery(name: str, verdict: _Verdict, evidence: tuple[Evidence, ...], left: Clock) -> Change:
    """The change of something that was stuck and is not any more.

    Args:
        name: The module; empty for the device.
        verdict: Its state, with its reason.
        evidence: What was compared.
        left: The clock on which it was stuck.
    """
    assert left.unsettled_since is not None  # noqa: S101 (it was stuck)
    return Change(
        Kind.RECOVERED,
        name,
        verdict.state,
        verdict.state,
        verdict.reason,
        verdict.message,
        evidence,
        left.unsettled_since,
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    """Something that becomes stuck or recovers: when, and its next clock."""

    at: datetime
    change: Change
    clock: Clock


def _watched(record: DeviceRecord) -> Iterator[tuple[str | None, ModuleRecord | DeviceRecord]]:
    yield None, record
    for name, module in record.modules.items():
        if module_sight(module.verdict.state, record.verdict.state) is not Sight.UNSAID:
            yield name, module


def _turn(
    name: str,
    part: ModuleRecord | DeviceRecord,
    evidence: tuple[Evidence, ...] | None,
    now: datetime,
    stable_after: timedelta,
) -> _Turn | None:
    verdict, clock, stable_at = part.verdict, part.clock, part.clock.stable_at(stable_after)
    if clock.stuck_since is not None:
        if evidence is None or stable_at is None or now < stable_at:
            return None
        return _Turn(stable_at, recovery(name, verdict, evidence, clock), Clock(grace=clock.grace))
    if clock.unsettled_since is None or clock.stuck_at is None or now < clock.stuck_at:
        return None
    reason, message = verdict.reason, verdict.message
    if evidence is None:
        reason = f"{reason}{UNVERIFIED}"
        message = f"IoT Hub did not answer; as last seen: {message}"
    elif clock.settled_since is not None:
        message = f"It was unsettled for its grace period, and is settled for less than the stability window: {message}"
    change = Change(
        Kind.STUCK, name, verdict.state, verdict.state, reason, message, evidence or (), clock.unsettled_since
    )
    return _Turn(clock.stuck_at, change, replace(clock, stuck_since=clock.stuck_at))


def _turned[Part: (ModuleRecord, DeviceRecord)](part: Part, turn: _Turn | None) -> Part:
    if turn is None:
        return part
    verdict = part.verdict
    if is_unverified(turn.change.reason):
        verdict = replace(verdict, reason=turn.change.reason, message=turn.change.message)
    return replace(part, verdict=verdict, clock=turn.clock)
