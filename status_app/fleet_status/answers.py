"""Rows of DeploymentStatus in the shapes of the API: the columns' names begin small, times are texts in UTC."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from status_app.tables.keys import DEVICE, MODULE, module_name
from status_app.tables.rows import read_number
from status_core.twin import EDGE_AGENT

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


def device_summary(device_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A device, by its own row."""
    numbers = {name.lower(): row[f"Modules{name}"] for name in ("Total", "Settled", "Stuck")}
    return {
        "deviceId": device_id,
        **_columns(row, _DEVICE),
        "stuck": "FirstStuckSince" in row,
        "stuckSince": _value("FirstStuckSince", row.get("FirstStuckSince")),
        "modules": numbers,
    }


def device_answer(
    device_id: str, rows: Mapping[str, Mapping[str, Any]], transitions: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A device with its modules, and the evidence of each, by its state rows and its transitions, newest first."""
    modules = {module_name(key): row for key, row in rows.items() if key.startswith(MODULE)}
    evidence: dict[str, Any] = {}
    for transition in transitions:
        name = transition["Module"] or EDGE_AGENT
        if name == EDGE_AGENT or name in modules:
            evidence.setdefault(name, json.loads(transition["Evidence"]))
    states = [{"deviceId": device_id, "module": name, **_columns(row, _MODULE)} for name, row in modules.items()]
    return {
        **device_summary(device_id, rows[DEVICE]),
        "moduleStates": sorted(states, key=lambda state: state["module"]),
        "evidence": evidence,
    }


def transition_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """A transition."""
    return _columns(row, _TRANSITION)


def time_answer(time: datetime) -> str:
    """A time in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _columns(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name[0].lower() + name[1:]: _value(name, row.get(name)) for name in names}


def _value(name: str, value: Any) -> Any:
    if name in _LISTS:
        return [] if value is None else json.loads(value)
    return time_answer(value) if isinstance(value, datetime) else read_number(value)
