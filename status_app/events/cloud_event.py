"""The event of a transition: CloudEvents 1.0 in JSON, made only from its row.

A row never changes, so its event has the same id and the same bytes each time it is sent.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from status_app.events.severity import transition_severity
from status_app.storage.codecs import read_number, show_time
from status_core import Kind

CONTENT_TYPE: Final = "application/cloudevents+json"
SCHEMAS: Final = "urn:edge-deployment-status:2:"
"""Prefix of an event's type that gives the id of its data's schema, `schemas/<type>.json`.

The number is the version of all schemas. It changes when subscribers of the old version could not read an event.
"""
SEQUENCE_DIGITS: Final = 19
"""As many digits as the largest column value, with leading zeros, so that sequences sort as strings and as numbers."""

_VERBS: Final[Mapping[str, str]] = {
    Kind.DEVICE: "transitioned",
    Kind.MODULE: "transitioned",
    Kind.STUCK: "stuck",
    Kind.RECOVERED: "recovered",
    Kind.DELETED: "deleted",
}
_IN_A_PATH: Final = "!$&'()*+,;=:@"
"""What a path segment may contain besides letters, digits and `-._~` (RFC 3986, `pchar`)."""


def cloud_event(device_id: str, row: Mapping[str, Any]) -> bytes:
    """Create the event of one transition row, as UTF-8.

    `subject` is the module. An event about the device itself has its deployments there, separated by spaces (no
    deployment id contains one), or no subject without any. `data.module`, `data.fromState` and `data.toState` are empty
    if the row's columns are: there is no module, or no state.

    Unpaired surrogates, which UTF-8 cannot encode, become `?`. A row of the previous release lacks some columns: their
    data is null, `initial` is false, and `cohorts` is empty.

    Args:
        device_id: The device, as the hub names it.
        row: An entity of DeploymentStatus, as written or as read.
    """
    hub = row["EventId"].partition("/")[0]  # not the setting: the same id must mean the same event
    module, kind, sequence = row["Module"], row["Kind"], read_number(row["Sequence"])
    deployments = json.loads(row["Deployments"])
    part = "module" if module or kind == Kind.MODULE else "device"
    event_type = f"edge.deployment.{part}.{_VERBS[kind]}"
    subject = module if part == "module" else " ".join(deployments)
    event = {
        "specversion": "1.0",
        "id": row["EventId"],
        "source": f"/hubs/{segment(hub)}/devices/{segment(device_id)}",
        "type": event_type,
        **({"subject": subject} if subject else {}),
        "time": show_time(row["At"]),
        "sequence": f"{sequence:0{SEQUENCE_DIGITS}d}",
        "severity": transition_severity(kind, row["ToState"], row["Reason"]),
        "dataschema": SCHEMAS + event_type,
        "datacontenttype": "application/json",
        "data": {
            "hub": hub,
            "deviceId": device_id,
            "kind": kind,
            "module": module,
            "fromState": row["FromState"],
            "toState": row["ToState"],
            "reason": row["Reason"],
            "message": row["Message"],
            "cause": row.get("Cause"),
            "evidence": json.loads(row["Evidence"]),
            "desiredVersion": read_number(row.get("DesiredVersion")),
            "deployments": deployments,
            "cohorts": json.loads(row.get("Cohorts", "[]")),
            "initial": row.get("Initial", False),
            "previousSince": _time(row, "PreviousSince"),
            "since": _time(row, "Since"),
            "stuckAt": _time(row, "StuckAt"),
            "restartCount": read_number(row.get("RestartCount")),
            "imageHash": row.get("ImageHash"),
            "observedAt": show_time(row["ObservedAt"]),
            "durationSeconds": float(row["DurationSeconds"]),
        },
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def application_properties(event: bytes) -> dict[str, str]:
    """Return the application properties of an event's AMQP message, so that filters need not read the body.

    Args:
        event: The event of a transition or of a milestone.

    Returns:
        `type` and `severity`; `subject` if the event has one; `deployments`, separated by spaces (no id contains one).
    """
    content = json.loads(event)
    data = content["data"]
    deployments = data["deployments"] if "deployments" in data else [data["deployment"]]
    named = {name: content[name] for name in ("type", "severity", "subject") if name in content}
    return {**named, "deployments": " ".join(deployments)}


def _time(row: Mapping[str, Any], column: str) -> str | None:
    return show_time(row[column]) if column in row else None


def segment(name: str) -> str:
    """Quote a name as a path segment of a URI."""
    return quote(name, safe=_IN_A_PATH, errors="replace")
