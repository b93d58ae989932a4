"""What the tables and the event hub must hold at the end of a history, computed from the twins alone.

The states are those of the last twins, whatever the app has seen of the others. Of clocks and news only some can be
known:

- `Stuck` of everything, and that what is is announced, once the longest of all clocks has ended since the last change.
- That no state is announced twice before all is well or another version comes.
- Times to the microsecond, and what was announced last, for a device of which every twin was looked at before the next
  one came, and never flagged unseen: then they are what `status_core` makes of the twins, each at its time and again
  whenever that is due. A module is left out once the device could say nothing about it: what its clock does then
  depends on the time of the look.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any, Final

from status_app.events.cloud_event import cloud_event
from status_app.fleet_index.rows import Summary, project, shard_of, summary_key
from status_app.service_clock import RESOLUTION
from status_app.storage.keys import escape, module_key, unescape
from status_core import (
    EDGE_AGENT,
    INDIVIDUAL,
    UNVERIFIED,
    DeploymentStatus,
    DeviceRecord,
    GracePolicy,
    Reason,
    advance,
    known_reason,
    parse_duration,
)

from .fleet import SECRET, Device
from .promises import broken_promises, parts
from .world import START, World

REASONS: Final = ("iothub_unavailable", "tables_unavailable", "device_not_found")
"""Why an event may be given up: nothing else happens here."""
ONCE_STUCK: Final = {"settling": "skipped", "agent_updating": "agent_not_updated"}
"""Reasons that pass by themselves, and those of what is stuck with them."""
AS_DESIRED: Final = ("successful", "no_deployment", "settled")
_UNMANAGED: Final = ("invalid", "empty", "no_deployment")
"""States of a device under which the agent manages nothing."""
_OLD: Final = ("pending", "invalid", "empty", "agent_unavailable")
"""States of a device that say nothing about its modules."""


def wrong(world: World, *, at_rest: bool) -> Iterator[str]:
    """What is not as it must be.

    Args:
        at_rest: More than the longest grace period and the age of a writer went by since anything happened.
    """
    yield from world.told.bugs
    index = {(row["PartitionKey"], row["RowKey"]) for row in world.tables.rows("DeploymentIndex")}
    for device in world.devices.values():
        rows, history = world.rows(device.device_id), _history(world, device.device_id)
        state = {key: row for key, row in rows.items() if not key.startswith("transition:")}
        found = [
            *broken_promises(device.device_id, state, history, index),
            *_states(device, state, history),
            *_repeated(device, history),
            *_followed(world, device, history),
            # Until a timer ran by a clock that agrees with the others, a deadline may be late.
            *((*_times(world, device, state, history), *_flags(state), *_announced(state)) if at_rest else ()),
            *_kept(world, device, rows, history),
        ]
        yield from (f"{device.device_id}: {text}" for text in found)
    if at_rest:
        yield from _index(world)
        yield from _deployments(world)
        yield from _events(world)
    yield from _secrets(world)
    for letter in world.tables.rows("DeadLetter"):
        if letter["Reason"] not in REASONS:
            yield f"dead letter: {letter['Reason']}, {letter['Detail']}"


def _history(world: World, device_id: str) -> list[Mapping[str, Any]]:
    """Every transition that was ever committed, in the order of their sequence: a transaction has another one."""
    partition = escape(device_id)
    rows = [
        row
        for table, row in world.tables.written
        if table == "DeploymentStatus" and row["PartitionKey"] == partition and row["RowKey"].startswith("transition:")
    ]
    return sorted(rows, key=lambda row: int(row["Sequence"].value))


def _states(device: Device, state: Mapping[str, Any], history: list[Mapping[str, Any]]) -> Iterator[str]:
    """The rows say what the twin says, or there are none, and the history has its end."""
    if device.twin is None:
        if state:
            yield f"it is not in the hub, and has the rows {sorted(state)}"
        if history and history[-1]["Kind"] != "deleted":
            yield f"it is not in the hub, and its history ends with {history[-1]['Kind']}"
        return
    expected = _expected(device.statuses[-1])
    if state.keys() != expected.keys():
        yield f"it has the rows {sorted(state)}, not {sorted(expected)}"
    for key in state.keys() & expected.keys():
        is_blamed = _is_blamed(device, key, state, expected[key])
        for column, value in expected[key].items():
            found = state[key].get(column)
            if is_blamed and column in ("Reason", "Message"):
                continue
            if getattr(found, "value", found) != value:
                yield f"{key} has {column} {found!r}, not {value!r}"


def _is_blamed(device: Device, key: str, state: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether a row rightly has another reason than the twin alone gives.

    What is stuck has the reason that holds once it is; and what is missing or updating keeps that of the last failed
    step that was named for it in this version. A device that only settles has the reason of such a module.
    """
    row = state[key]
    if row["Stuck"] and row["Reason"] == ONCE_STUCK.get(expected["Reason"]):
        return True
    if expected["Reason"] == Reason.SETTLING and expected["State"] == "in_progress":
        outstanding = [part for part in state.values() if part["State"] in ("missing", "updating")]
        return row["Reason"] in {part["Reason"].removesuffix(UNVERIFIED) for part in outstanding}
    if expected["Reason"] != Reason.SETTLING or expected["State"] not in ("missing", "updating"):
        return False
    version = device.statuses[-1].desired_version
    of_the_version = [status for status in device.statuses if status.desired_version == version]
    named = [_expected(status).get(key, {}) for status in of_the_version]
    return any(
        row["Reason"] == past.get("Reason") != Reason.SETTLING and past.get("State") in ("missing", "updating")
        for past in named
    )


def _expected(status: DeploymentStatus) -> dict[str, dict[str, Any]]:
    """The columns that follow from a twin alone."""
    modules = {name: module for name, module in status.modules.items() if name != EDGE_AGENT}
    desired = [module.state for module in modules.values() if module.state != "extra"]
    rows: dict[str, dict[str, Any]] = {
        "device": {
            "State": status.state,
            "Reason": status.reason,
            "Message": status.message,
            "Rule": status.rule,
            "DesiredVersion": status.desired_version,
            "LastDesiredVersion": status.last_desired_version,
            "StatusCode": status.status_code,
            "Deployments": json.dumps(list(status.deployments)),
            "Targeted": json.dumps(list(status.targeted)),
            "Flags": json.dumps(list(status.flags)),
            "Portal": status.portal,
            "AgentVersion": status.agent_version,
            "TwinVersion": status.twin_version,
            "ModulesTotal": len(desired),
            "ModulesSettled": desired.count("settled"),  # type: ignore[arg-type] # a StrEnum is a str
        }
    }
    for name, module in modules.items():
        rows[module_key(name)] = {
            "State": module.state,
            "Reason": module.reason,
            "Message": module.message,
            "DesiredStatus": module.desired_status,
            "RuntimeStatus": module.runtime_status,
            "DesiredImage": module.desired_image,
            "ReportedImage": module.reported_image,
            "ExitCode": module.exit_code,
            "RestartCount": module.restart_count,
            "LastStartAt": module.last_start,
        }
    return rows


def _times(world: World, device: Device, state: Mapping[str, Any], history: list[Mapping[str, Any]]) -> Iterator[str]:
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
    times = [*(at for at, _ in changes), world.now]
    if _has_lagged_unseen(device, times):
        return
    record, silent = _ideal(device, times)
    for name, row in parts(state).items():
        kept = record if not name else record.modules.get(name) if record is not None else None
        if kept is None or name in silent:
            continue
        found = row["Since"], row.get("UnsettledSince"), row["AnnouncedState"], row["AnnouncedSince"]
        known = kept.since, kept.clock.unsettled_since, kept.news.state, kept.news.since
        if found != known:
            yield f"{name or 'the device'} has Since, UnsettledSince and news {found}, not {known}"


def _has_lagged_unseen(device: Device, times: list[datetime]) -> bool:
    """Whether a lagging report began to count, and nobody need have looked before the next change."""
    said = zip(device.statuses[1:], pairwise(times[:-1]), strict=False)
    return any(status.is_lagging and end - at > GracePolicy().stable_after for status, (at, end) in said)


def _ideal(device: Device, times: list[datetime]) -> tuple[DeviceRecord | None, set[str]]:
    """What an app that misses nothing keeps, and the modules about which the device once said nothing.

    Args:
        device: Its twins, the first of which is none.
        times: When each of the others came, and the end.
    """
    record: DeviceRecord | None = None
    silent: set[str] = set()
    said = zip(device.twins[1:], device.statuses[1:], pairwise(times), strict=True)
    for twin, status, (at, end) in said:
        if twin is None:
            record = None
            continue
        due: datetime | None = at
        while due is not None and due <= end:
            record, _ = advance(record, status, due, GracePolicy())
            before, due = due, record.due(GracePolicy())
            assert due is None or due > before, f"{device.device_id} is due at {due}, and was looked at then"
        assert record is not None
        is_old = record.verdict.state in (*_OLD, "no_deployment")
        states = {name: module.verdict.state for name, module in record.modules.items()}
        silent |= {name for name, now in states.items() if now in ("pending", "unknown") or is_old}
    return record, silent


def _repeated(device: Device, history: list[Mapping[str, Any]]) -> Iterator[str]:
    """No state is announced twice before all is well, or another version comes, but for its first hopeless reason."""
    if any(twin is None for twin in device.twins[1:]):
        return  # versions begin again, and not each of them was seen
    told: dict[str, set[tuple[Any, str, bool]]] = defaultdict(set)
    for row in history:
        if row["Kind"] not in ("device", "module"):
            continue
        if row["ToState"] in AS_DESIRED or not row["ToState"]:
            told[row["Module"]].clear()
            continue
        reason = known_reason(row["Reason"])
        is_hopeless = reason is not None and reason.is_hopeless
        version = getattr(row.get("DesiredVersion"), "value", None)
        item = version, row["ToState"], is_hopeless
        before = {state for number, state, _ in told[row["Module"]] if number == version}
        was_hopeless = any(hopeless for number, _, hopeless in told[row["Module"]] if number == version)
        if row["ToState"] in before and (was_hopeless or not is_hopeless):
            yield f"{row['Sequence'].value}: {row['Module'] or 'the device'} is {row['ToState']} once more"
        told[row["Module"]].add(item)


def _followed(world: World, device: Device, history: list[Mapping[str, Any]]) -> Iterator[str]:
    """What is announced of the device was so by its twins, one after the other: no older one came back, none was dated
    before it was there.
    """
    place = 0
    said = [
        ("", None) if twin is None else (str(status.state), status.desired_version)
        for twin, status in zip(device.twins, device.statuses, strict=True)
    ]
    times = [START, *(at for name, at, _ in world.changes if name == device.device_id)]
    for row in history:
        if row["Kind"] not in ("device", "deleted"):
            continue
        version = getattr(row.get("DesiredVersion"), "value", None) if row["Kind"] == "device" else None
        found = (index for index in range(place, len(said)) if said[index] == (row["ToState"], version))
        place = next(found, len(said))
        if place == len(said):
            yield f"{row['Sequence'].value}: {row['ToState']} of version {version} is what no later twin says"
            return
        if row["At"] < times[place] - (RESOLUTION if row["Kind"] == "deleted" else timedelta()):
            yield f"{row['Sequence'].value}: {row['At']} is before {times[place]}, when it came to be so"


def _announced(state: Mapping[str, Any]) -> Iterator[str]:
    """After every clock what is as desired is announced so, and of anything else its state."""
    device = state["device"]["State"] if state else ""
    for name, row in parts(state).items():
        if row["State"] in AS_DESIRED:
            is_told = row["AnnouncedState"] == row["State"] or (name and device in _OLD)
        elif name:
            own = row["State"] in ("pending", "unknown") or (
                row["State"] != "wrong_status" and row["Reason"] in ("settling", "skipped", "not_desired")
            )
            is_told = own or not row["Stuck"] or row["State"] in json.loads(row["Told"])
        else:
            is_told = row["Reason"] in ONCE_STUCK.values() or row["State"] in json.loads(row["Told"])
        if not is_told:
            yield f"{name or 'the device'} is {row['State']}, and announced was {row['AnnouncedState']}"


def _flags(state: Mapping[str, Any]) -> Iterator[str]:
    """After every grace period what is not as desired is stuck, and nothing else is; no clock runs but its own."""
    if not state:
        return
    device = state["device"]["State"]
    said = {name: _is_unsettled(row, device) for name, row in parts(state).items() if name}
    if device == "in_progress":
        said[""] = True not in said.values()
    else:
        said[""] = device not in ("successful", "module_failed", "no_deployment")
    stuck = 0
    for name, row in parts(state).items():
        stuck += bool(name and row["Stuck"])
        if said[name] is not None and row["Stuck"] is not said[name]:
            yield f"{name or 'the device'} is {row['State']} of {device}, and Stuck is {row['Stuck']}"
        if said[name] is False and "UnsettledSince" in row:
            yield f"{name or 'the device'} is settled, and unsettled since {row['UnsettledSince']}"
        if row["Stuck"] and row["StuckSince"] != row["StuckAt"]:
            yield f"{name or 'the device'} is stuck since {row['StuckSince']}, not {row['StuckAt']}"
    if state["device"]["ModulesStuck"] != stuck:
        yield f"ModulesStuck is {state['device']['ModulesStuck']}, not {stuck}"


def _is_unsettled(row: Mapping[str, Any], device: str) -> bool | None:
    """Whether a module is not as desired; None where the device says nothing about it."""
    if device in _UNMANAGED:
        return bool(row["Reason"] == "unmanaged")
    if row["State"] == "extra":
        return None if device in _OLD else True
    return {"settled": False, "pending": None, "unknown": None}.get(row["State"], True)


def _kept(world: World, device: Device, rows: Mapping[str, Any], history: list[Mapping[str, Any]]) -> Iterator[str]:
    """The newest transitions stand, and what must not be lost, all as they were written."""
    written = {row["RowKey"]: row for row in history}
    kept = {key: row for key, row in rows.items() if key.startswith("transition:")}
    if any(row != written[key] for key, row in kept.items()):
        yield "what stands of its history is not what was written"
    needed = {row["RowKey"]: "one of the newest" for row in history[-world.history.history_limit :]}
    if device.twin is not None and None not in device.twins[1:]:
        needed |= _outlasting(device, rows, history)
    for key in needed.keys() - kept.keys():
        yield f"transition {written[key]['Sequence'].value} is gone: {needed[key]}"


def _outlasting(device: Device, rows: Mapping[str, Any], history: list[Mapping[str, Any]]) -> dict[str, str]:
    """The newest flags of each part that was never gone, and the first transition of the present version."""
    always = set.intersection(*({"", *status.modules} for status in device.statuses[1:]))
    flags = {
        (row["Kind"], row["Module"]): row["RowKey"]
        for row in history
        if row["Kind"] in ("stuck", "recovered") and row["Module"] in always
    }
    version = rows["device"].get("DesiredVersion")
    first = list(takewhile(lambda row: row.get("DesiredVersion") == version, reversed(history)))[-1:]
    found = {key: f"the newest {kind} of {module or 'the device'}" for (kind, module), key in flags.items()}
    return found | {row["RowKey"]: "the first of this version" for row in first}


def _index(world: World) -> Iterator[str]:
    """The index says of each device what its rows say, its counters are their sums, and it holds no other row."""
    expected: dict[tuple[str, str], dict[str, Any]] = {}
    counters: Counter[tuple[str, str]] = Counter()
    found = {(row["PartitionKey"], row["RowKey"]): dict(row) for row in world.tables.rows("DeploymentIndex")}
    for device_id in world.devices:
        stored = world.stored(device_id)
        summary = project(stored, Summary(device_id), stored.last_sequence, now=world.now, moved=True)
        if summary is None:
            continue
        shard = shard_of(device_id)
        said = found.get((shard, summary_key(device_id)), {})
        early = [key for key in json.loads(said.get("Rows", "{}")) if key.startswith("reconcile|")]
        entries = dict(summary.entries or {})
        if summary.due is not None and early and early[0] <= summary.due:  # it may be early, and not late
            entries[early[0]] = entries.pop(summary.due)
        row = {"PartitionKey": shard, "Device": escape(device_id)}
        expected |= {(shard, key): {**row, "RowKey": key, **columns} for key, columns in entries.items()}
        expected[shard, summary_key(device_id)] = {
            "PartitionKey": shard,
            "RowKey": summary_key(device_id),
            **replace(summary, entries=entries).row(),
        }
        counters.update((shard, key) for key in summary.counters or ())
    own = ("count", "progress")
    counted = {key: row["Devices"] for key, row in found.items() if key[1].startswith("count|")}
    if counted != counters:
        yield f"the counters are {counted}, not {dict(counters)}"
    rows = {key: row for key, row in found.items() if key[0].startswith("index:") and not key[1].startswith(own)}
    rows = {key: _comparable(row) for key, row in rows.items()}
    expected = {key: _comparable(row) for key, row in expected.items()}
    if rows != expected:
        many, few = sorted(rows.keys() - expected.keys()), sorted(expected.keys() - rows.keys())
        other = [(rows[key], expected[key]) for key in rows.keys() & expected.keys() if rows[key] != expected[key]]
        yield f"the index has too many rows {many}, too few {few}, other ones {other}"


def _comparable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its texts of JSON as what they say, whatever their order, and without what it was made of."""
    values = {name: json.loads(value) if name in ("Rows", "Counters") else value for name, value in row.items()}
    return {name: value for name, value in values.items() if name != "StatusETag"}


def _deployments(world: World) -> Iterator[str]:
    """Each deployment counts the devices on which it is credited, by their clocks, and announces itself in order."""
    counted = defaultdict[str, Counter[str]](Counter)
    for device in world.devices.values():
        status, rows = device.statuses[-1], world.rows(device.device_id)
        credited = status.deployments or (() if status.state == "no_deployment" else (INDIVIDUAL,))
        for deployment in credited if device.twin is not None else ():
            counted[deployment][_standing(rows, deployment, world.now)] += 1
    for row in world.tables.rows("Deployments"):
        kind, _, name = row["RowKey"].partition("|")
        if kind != "deployment":
            continue
        deployment = unescape(name)
        told = {column: row[column] for column in ("Devices", "Successful", "Settling", "Failing")}
        known = counted.pop(deployment, Counter())
        expected = {"Devices": known.total(), **{name.capitalize(): known[name] for name in _COUNTED}}
        if told != expected:
            yield f"deployment {deployment} counts {told}, not {expected}"
        yield from _milestones(deployment, row)
    if counted:
        yield f"nothing counts {dict(counted)}"


_COUNTED: Final = ("successful", "settling", "failing")


def _standing(rows: Mapping[str, Any], deployment: str, now: datetime) -> str:
    """How far a device is, by its rows."""
    device = rows["device"]
    parts = [row for key, row in rows.items() if key == "device" or (key[:7] == "module:" and row["State"] != "extra")]
    if device["State"] == "invalid":
        return "failing"
    since = dict(zip(json.loads(device["Deployments"]), json.loads(device["CreditedAt"]), strict=True)).get(deployment)
    for row in parts:
        if "StuckSince" in row and "SettledSince" not in row:
            version = row["StuckSince"] if since is None else datetime.fromisoformat(since)
            grace = timedelta() if row["StuckSince"] >= version else parse_duration(row["GracePeriod"])
            if max(row["StuckSince"], version + grace) <= now or not grace:
                return "failing"
    is_running = any("UnsettledSince" in row for row in parts)
    if device["State"] == "successful":
        return "settling" if is_running else "successful"
    is_lagging = "LagsUntil" in device and device["State"] in ("in_progress", "module_failed")
    return "successful" if is_lagging and not is_running and device["AnnouncedState"] == "successful" else "underway"


def _milestones(deployment: str, row: Mapping[str, Any]) -> Iterator[str]:
    reached = list(json.loads(row["Reached"]))
    ends = [name for name in reached if name in ("completed", "superseded")]
    if deployment == INDIVIDUAL:
        if reached or row["Version"]:
            yield f"{deployment} has reached {reached} in version {row['Version']}"
    elif (
        reached[:1] != ["started"][: row["Version"]]
        or ends not in ([], *_ENDS)
        or reached[len(reached) - len(ends) :] != ends
    ):
        yield f"deployment {deployment} has reached {reached}"
    elif row["Version"] and ("superseded" in reached) != (not row["Devices"]):
        yield f"deployment {deployment} is on {row['Devices']} devices and has reached {reached}"


_ENDS: Final = (["completed"], ["superseded"], ["completed", "superseded"])


def _events(world: World) -> Iterator[str]:
    """Each transition was sent, in its order; what is sent again is the same; nothing else is sent."""
    bodies: dict[str, bytes] = {}
    firsts: defaultdict[str, list[bytes]] = defaultdict(list)
    for key, body in world.published:
        event = json.loads(body)
        if bodies.setdefault(event["id"], body) != body:
            yield f"{event['id']} is sent with other content"
        elif body not in firsts[event["source"]]:
            firsts[event["source"]].append(body)
        if key != event["data"].get("deviceId", key):
            yield f"{event['id']} has the partition key {key}"
    told = [body for source, some in firsts.items() if "/devices/" in source for body in some]
    known = [cloud_event(device, row) for device in world.devices for row in _history(world, device)]
    if Counter(told) != Counter(known):
        yield f"{len(set(known) - set(told))} transitions are not sent, {len(set(told) - set(known))} have no row"
    for source, some in firsts.items():
        sequences = [int(json.loads(body)["sequence"]) for body in some]
        if sequences != list(range(1, len(sequences) + 1)):
            yield f"{source} sends first {sequences}"


def _secrets(world: World) -> Iterator[str]:
    """No secret stands anywhere."""
    columns = (value for _, row in world.tables.written for value in row.values())
    if any(SECRET in value for value in columns if isinstance(value, str)):
        yield "a row holds a secret"
    if any(SECRET.encode() in body for _, body in world.published):
        yield "an event holds a secret"
    if any(SECRET in line for line in world.told.lines):
        yield "the log holds a secret"
