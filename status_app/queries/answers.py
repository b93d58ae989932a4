"""Rows of the tables as JSON: a column's name begins small, times are texts in UTC, what has no value is null."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from status_app.rollouts.deployment_rows import CountedDeployment
from status_app.status_table.rows import read_number
from status_app.storage.keys import DEVICE, MODULE, module_key, module_name
from status_app.telemetry.logs import log
from status_core import EDGE_AGENT, Rollout

type Answer = dict[str, Any]
"""A JSON object."""

_LISTS: Final = ("Deployments", "Targeted", "Flags", "Evidence")
_DEVICE: Final = (
    *("State", "Reason", "Message", "Since", "Deployments", "Targeted", "Flags", "Portal", "DesiredVersion"),
    *("LastDesiredVersion", "StatusCode", "TwinVersion", "AgentVersion", "Rule", "UnsettledSince", "StuckAt"),
    *("Sequence", "At", "ObservedAt"),
)
_MODULE: Final = (
    *("State", "Reason", "Message", "Since", "DesiredStatus", "RuntimeStatus", "DesiredImage", "ReportedImage"),
    *("ExitCode", "UnsettledSince", "StuckAt", "Stuck", "StuckSince", "GracePeriod"),
)
_TRANSITION: Final = (
    *("Sequence", "Kind", "Module", "FromState", "ToState", "Reason", "Message", "Evidence", "DesiredVersion"),
    *("Deployments", "At", "ObservedAt", "EventId", "DurationSeconds"),
)
_UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError)
"""What a row raises that has no such column, or holds something else in it."""
_COUNTS: Final = ("Version", "Devices", "Successful", "Failing", "Stuck")

_log = log(__name__)


def readable[Item, Found](
    items: Iterable[Item], read: Callable[[Item], Found], name: Callable[[Item], str]
) -> list[Found]:
    """What those rows say that can be read. Each other one is logged and left out: a bad row costs itself.

    Args:
        items: The rows.
        read: Reads one.
        name: What a log line calls it.
    """
    found: list[Found] = []
    for item in items:
        try:
            found.append(read(item))
        except _UNREADABLE as error:  # its text may quote the row
            _log.error("%s cannot be read: %s", name(item), type(error).__name__)
    return found


def device_summary(device_id: str, row: Mapping[str, Any]) -> Answer:
    """A device, by its own row."""
    return {
        "deviceId": device_id,
        **_columns(row, _DEVICE),
        "stuck": "FirstStuckSince" in row,
        "stuckSince": _value("FirstStuckSince", row.get("FirstStuckSince")),
        "modules": {name.lower(): row[f"Modules{name}"] for name in ("Total", "Settled", "Stuck")},
    }


def device_answer(
    device_id: str, rows: Mapping[str, Mapping[str, Any]], transitions: Iterable[Mapping[str, Any]]
) -> Answer:
    """A device with its modules, and the evidence of each.

    Args:
        device_id: The device.
        rows: Its state rows by RowKey, its own among them.
        transitions: Its transitions, newest first.
    """

    def module(key: str) -> Answer:
        return module_answer(device_id, key, rows[key])

    def named(key: str) -> str:
        return f"device {device_id!r}, row {key!r}"

    evidence: Answer = {}
    for key, compared in readable(transitions, _evidence, lambda row: named(row["RowKey"])):
        if key in rows:
            evidence.setdefault(_name(key), compared)
    modules = readable((key for key in rows if key.startswith(MODULE)), module, named)
    return {
        **device_summary(device_id, rows[DEVICE]),
        "moduleStates": sorted(modules, key=lambda module: str(module["module"])),
        "evidence": evidence,
    }


def _evidence(transition: Mapping[str, Any]) -> tuple[str, Any]:
    """The RowKey of what a transition is about, and what was compared."""
    module = transition["Module"]
    return module_key(module) if module else DEVICE, json.loads(transition["Evidence"])


def module_answer(device_id: str, key: str, row: Mapping[str, Any]) -> Answer:
    """A module by its row, or the device by its own, which stands for `$edgeAgent`."""
    return {"deviceId": device_id, "module": _name(key), **_columns(row, _MODULE)}


def transition_answer(row: Mapping[str, Any]) -> Answer:
    """A transition."""
    return _columns(row, _TRANSITION)


def deployment_counted(stored: CountedDeployment) -> Answer:
    """A deployment as the timer counted it last."""
    row = stored.row
    return {
        "deploymentId": stored.deployment,
        **_columns(row, _COUNTS),
        "states": json.loads(row["States"]) if "States" in row else None,
        "milestones": milestones(stored.rollout),
        "countedAt": _value("CountedAt", row["CountedAt"]),
    }


def milestones(rollout: Rollout | None) -> Answer:
    """The times of the milestones that a deployment has reached."""
    return {name: time_answer(at) for name, at in rollout.reached} if rollout else {}


def time_answer(time: datetime) -> str:
    """A time in UTC."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _name(key: str) -> str:
    return EDGE_AGENT if key == DEVICE else module_name(key)


def _columns(row: Mapping[str, Any], names: Sequence[str]) -> Answer:
    return {name[0].lower() + name[1:]: _value(name, row.get(name)) for name in names}


def _value(name: str, value: Any) -> Any:
    if name in _LISTS:
        return [] if value is None else json.loads(value)
    return time_answer(value) if isinstance(value, datetime) else read_number(value)
