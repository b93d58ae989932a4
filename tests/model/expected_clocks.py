"""What the clocks of a device come to: times, what is stuck, and what was announced in the end."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from status_core import DeviceRecord, GracePolicy, ModuleRecord, advance

from .expected_rows import ONCE_STUCK
from .fleet import Device
from .promises import parts
from .world import World

AS_DESIRED: Final = ("successful", "no_deployment", "settled")
_UNMANAGED: Final = ("invalid", "empty", "no_deployment")
"""States of a device under which the agent manages nothing."""
_OLD: Final = ("pending", "invalid", "empty", "agent_unavailable")
"""States of a device that leave open how its modules are."""


def times(world: World, device: Device, state: Mapping[str, Any], history: list[Mapping[str, Any]]) -> Iterator[str]:
    """Times and news of each part, by the twins, where the app has seen all of them."""
    for name, row in parts(state).items():
        if max(row["Since"], row.get("UnsettledSince", row["Since"])) > world.now:
            yield f"{name or 'the device'} is so since a time to come"
    if any(row["Reason"].endswith("_unverified") for row in history):
        return
    if any(twin is None for twin in device.twins[1:]):
        return  # a deletion is dated by the clock of a process, and what comes after it is never dated before it
    changes = [(at, is_seen) for name, at, is_seen in world.changes if name == device.device_id]
    if not all(is_seen for _, is_seen in changes):
        return
    moments = [*(at for at, _ in changes), world.now]
    if _has_lagged_unseen(device, moments):
        return
    watched, silent = _ideal(device, moments, has_timer=True)
    unwatched, _ = _ideal(device, moments, has_timer=False)
    for name, row in parts(state).items():
        kept = [part for record in (watched, unwatched) if (part := _part(record, name)) is not None]
        if not kept or name in silent:
            continue
        found = row["Since"], row.get("UnsettledSince"), row["AnnouncedState"], row["AnnouncedSince"]
        known = [(part.since, part.clock.unsettled_since, part.news.state, part.news.since) for part in kept]
        if found not in known:
            yield f"{name or 'the device'} has Since, UnsettledSince and news {found}, none of {known}"


def _part(record: DeviceRecord | None, name: str) -> DeviceRecord | ModuleRecord | None:
    return record if record is None or not name else record.modules.get(name)


def _has_lagged_unseen(device: Device, times: list[datetime]) -> bool:
    """Whether a lagging report began to count, and nobody need have looked before the next change."""
    spans = zip(device.statuses[1:], pairwise(times[:-1]), strict=False)
    return any(status.is_lagging and end - at > GracePolicy().stable_after for status, (at, end) in spans)


def _ideal(device: Device, times: list[datetime], *, has_timer: bool) -> tuple[DeviceRecord | None, set[str]]:
    """What an app that misses nothing keeps, and the modules about which the device once reported nothing.

    Args:
        device: Its twins, the first of which is none.
        times: When each of the others came, and the end.
        has_timer: Whether the app looks at each deadline before the next change: a timer of a minute may come late.
    """
    record: DeviceRecord | None = None
    silent: set[str] = set()
    spans = zip(device.twins[1:], device.statuses[1:], pairwise(times), strict=True)
    for twin, status, (at, end) in spans:
        if twin is None:
            record = None
            continue
        due: datetime | None = at
        while due is not None and due <= end:
            record, _ = advance(record, status, due, GracePolicy())
            if not has_timer and end != times[-1]:
                break
            before, due = due, record.due(GracePolicy())
            assert due is None or due > before, f"{device.device_id} is due at {due}, and was looked at then"
        assert record is not None
        is_old = record.verdict.state in (*_OLD, "no_deployment")
        states = {name: module.verdict.state for name, module in record.modules.items()}
        silent |= {name for name, now in states.items() if now in ("pending", "unknown") or is_old}
    return record, silent


def announced(state: Mapping[str, Any]) -> Iterator[str]:
    """After every clock what is as desired is announced so, and of anything else its state."""
    device = state["device"]["State"] if state else ""
    for name, row in parts(state).items():
        if row["State"] in AS_DESIRED:
            is_announced = row["AnnouncedState"] == row["State"] or (name and device in _OLD)
        elif name:
            own = row["State"] in ("pending", "unknown") or (
                row["State"] != "wrong_status" and row["Reason"] in ("settling", "skipped", "not_desired")
            )
            is_announced = own or not row["Stuck"] or row["State"] in json.loads(row["Told"])
        else:
            is_announced = row["Reason"] in ONCE_STUCK.values() or row["State"] in json.loads(row["Told"])
        if not is_announced:
            yield f"{name or 'the device'} is {row['State']}, and announced was {row['AnnouncedState']}"


def flags(state: Mapping[str, Any]) -> Iterator[str]:
    """After every grace period what is not as desired is stuck, and nothing else is; no clock runs but its own."""
    if not state:
        return
    device = state["device"]["State"]
    unsettled = {name: _is_unsettled(row, device) for name, row in parts(state).items() if name}
    if device == "in_progress":
        unsettled[""] = True not in unsettled.values()
    else:
        unsettled[""] = device not in ("successful", "module_failed", "no_deployment")
    stuck = 0
    for name, row in parts(state).items():
        stuck += bool(name and row["Stuck"])
        if unsettled[name] is not None and row["Stuck"] is not unsettled[name]:
            yield f"{name or 'the device'} is {row['State']} of {device}, and Stuck is {row['Stuck']}"
        if unsettled[name] is False and "UnsettledSince" in row:
            yield f"{name or 'the device'} is settled, and unsettled since {row['UnsettledSince']}"
        if row["Stuck"] and row["StuckSince"] != row["StuckAt"]:
            yield f"{name or 'the device'} is stuck since {row['StuckSince']}, not {row['StuckAt']}"
    if state["device"]["ModulesStuck"] != stuck:
        yield f"ModulesStuck is {state['device']['ModulesStuck']}, not {stuck}"


def _is_unsettled(row: Mapping[str, Any], device: str) -> bool | None:
    """Whether a module is not as desired; None where the device reports nothing about it."""
    if device in _UNMANAGED:
        return bool(row["Reason"] == "unmanaged")
    if row["State"] == "extra":
        return None if device in _OLD else True
    return {"settled": False, "pending": None, "unknown": None}.get(row["State"], True)
