"""Flags what becomes stuck, and describes what recovers."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from status_core.clock_input import ClockInput
from status_core.clocks import Clock
from status_core.messages import MESSAGE_LIMIT
from status_core.news import AS_DESIRED
from status_core.reading import clean
from status_core.reasons import UNVERIFIED, Reason, is_unverified
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, ModuleVerdict, image_hash, restart_count
from status_core.status import Evidence
from status_core.transitions import Change, Kind, Transition

_ONCE_STUCK: Final[Mapping[str, Reason]] = {
    Reason.SETTLING: Reason.SKIPPED,
    Reason.AGENT_UPDATING: Reason.AGENT_NOT_UPDATED,
}
"""What normally passes by itself gets another reason if it has not passed within its grace period."""
_AS_LAST_SEEN: Final = "IoT Hub did not answer; as last seen: "


def blamed[V: (ModuleVerdict, DeviceVerdict)](verdict: V) -> V:
    """Return a verdict with the reason that applies once it is stuck."""
    reason = _ONCE_STUCK.get(verdict.reason)
    if reason is None:
        return verdict
    message = clean(f"{verdict.message} {reason.means} {reason.advice}", MESSAGE_LIMIT)
    named = None if verdict.cause is None else f"{reason}{verdict.cause.removeprefix(verdict.reason)}"
    return replace(verdict, reason=reason.value, message=message, cause=named)


def still_blamed[V: (ModuleVerdict, DeviceVerdict)](verdict: V, kept: V) -> V:
    """Keep the previous cause of something stuck that shows no cause now, until its window has ended.

    So a device whose module crashes in a loop counts under one cause, whenever it is sampled.
    """
    return replace(verdict, cause=kept.cause) if verdict.cause is None else verdict


def verified[V: (ModuleVerdict, DeviceVerdict)](verdict: V) -> V:
    """Undo the marks of a flag that was set while IoT Hub did not answer."""
    if not is_unverified(verdict.reason):
        return verdict
    reason, message = verdict.reason.removesuffix(UNVERIFIED), verdict.message.removeprefix(_AS_LAST_SEEN)
    return replace(verdict, reason=reason, message=message)


def clock_change(
    kind: Kind, name: str, part: ModuleRecord | DeviceRecord, evidence: tuple[Evidence, ...], clock: Clock
) -> Change:
    """Create the change of something that becomes stuck, or recovers.

    Args:
        kind: `stuck` or `recovered`.
        name: The module; empty for the device.
        part: Its record.
        evidence: The values that were compared.
        clock: The clock on which it is, or was, stuck.
    """
    assert clock.unsettled_since is not None  # noqa: S101 (it is unsettled, or was stuck)
    verdict = part.verdict
    return Change(
        kind,
        name,
        verdict.state,
        verdict.state,
        verdict.reason,
        verdict.message,
        evidence,
        clock.unsettled_since,
        part.since,
        cause=None if verdict.state in AS_DESIRED else verdict.cause,
        stuck_at=clock.stuck_at,
        restart_count=restart_count(verdict),
        image_hash=image_hash(verdict),
    )


def flag_unverified(record: DeviceRecord, now: datetime) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """Flag, as last seen, what is past its grace period while IoT Hub does not answer. No clock ends.

    Args:
        record: The stored record.
        now: The time in UTC.

    Returns:
        The next record, with reasons that end with `_unverified`, and the `stuck` transitions: modules in order of
        time, then the device.
    """
    # A lagging report counts if no other has come in time.
    is_lagging = record.lags_until is not None and record.lags_until > now
    counted = record if is_lagging else replace(record, lags_until=None)
    due = [
        (stuck_at, name)
        for name, module in record.modules.items()
        if counted.input_of(module) is ClockInput.UNSETTLED and (stuck_at := _due(module.clock, now)) is not None
    ]
    transitions: list[Transition] = []
    at, modules, device = record.at, dict(record.modules), record.verdict

    def flag[Part: (ModuleRecord, DeviceRecord)](name: str, part: Part, stuck_at: datetime) -> Part:
        nonlocal at
        at, sequence = max(at, stuck_at), record.sequence + len(transitions) + 1
        part = replace(part, verdict=_in_doubt(blamed(part.verdict)))
        change = clock_change(Kind.STUCK, name, part, (), part.clock)
        transitions.append(Transition(change, sequence, device.desired_version, device.deployments, at))
        return replace(part, clock=replace(part.clock, stuck_since=stuck_at))

    for stuck_at, name in sorted(due):
        modules[name] = flag(name, modules[name], stuck_at)
    # A device whose modules alone are not as desired looks settled: its clock is off, or in its window. If the device
    # lags, only the modules' records can be used.
    stuck_at = None if record.is_lagging else _due(record.clock, now)
    flagged_device = record if stuck_at is None else flag("", record, stuck_at)
    sequence = record.sequence + len(transitions)
    return replace(flagged_device, modules=modules, sequence=sequence, at=at), tuple(transitions)


def _due(clock: Clock, now: datetime) -> datetime | None:
    """When something became due to be flagged; None if it is not due, or already flagged."""
    is_away = clock.settled_since is None and not clock.is_stuck
    return clock.stuck_at if is_away and clock.stuck_at is not None and clock.stuck_at <= now else None


def _in_doubt[V: (ModuleVerdict, DeviceVerdict)](verdict: V) -> V:
    reason, message = f"{verdict.reason}{UNVERIFIED}", f"{_AS_LAST_SEEN}{verdict.message}"
    return replace(verdict, reason=reason, message=message)
