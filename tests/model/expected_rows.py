"""What the rows of a device must hold, by its last twin."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from status_app.storage.keys import module_key
from status_core import EDGE_AGENT, DeploymentStatus, Reason

from .fleet import Device

ONCE_STUCK: Final = {"settling": "skipped", "agent_updating": "agent_not_updated"}
"""Reasons that pass by themselves, and those of what is stuck with them."""


def states(device: Device, state: Mapping[str, Any], history: list[Mapping[str, Any]]) -> Iterator[str]:
    """The rows hold what follows from the twin, or there are none, and the history has its end."""
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
        is_blamed = _is_blamed(device, key, state[key], expected[key])
        for column, value in expected[key].items():
            found = state[key].get(column)
            if is_blamed and column in ("Reason", "Message"):
                continue
            if getattr(found, "value", found) != value:
                yield f"{key} has {column} {found!r}, not {value!r}"


def _is_blamed(device: Device, key: str, row: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether a row rightly has another reason than the twin alone gives.

    What is stuck has the reason that holds once it is; and what is missing or updating keeps that of the last failed
    step that was named for it in this version.
    """
    if row["Stuck"] and row["Reason"] == ONCE_STUCK.get(expected["Reason"]):
        return True
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
