"""The event of a transition: CloudEvents 1.0 in JSON, made from its row and from nothing else.

A row never changes, so each time that its event is sent it has the same id and the same bytes.
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
"""Before an event's type: the id of the schema of its data, which stands in `schemas/<type>.json`.

The number is the version of all of them: it changes when a subscriber who knows them could not read an event any more.
"""
SEQUENCE_DIGITS: Final = 19
"""Of the largest number that a column holds: with leading zeros, sequences compare as strings as they do as numbers."""

_VERBS: Final[Mapping[str, str]] = {
    Kind.DEVICE: "transitioned",
    Kind.MODULE: "transitioned",
    Kind.STUCK: "stuck",
    Kind.RECOVERED: "recovered",
    Kind.DELETED: "deleted",
}
_IN_A_PATH: Final = "!$&'()*+,;=:@"
"""What a segment of a path may hold beside letters, digits and `-._~` (RFC 3986, `pchar`)."""


def cloud_event(device_id: str, row: Mapping[str, Any]) -> bytes:
    """The event of one row of a transition, as UTF-8.

    `subject` is the module; of an event about the device itself, its credited deployments with a space between them
    (no deployment's id holds one), and it is left out where there is none. `data.module`, `data.fromState` and
    `data.toState` are empty where the row's columns are: there is no module, or no state.

    Half a surrogate pair, which UTF-8 cannot hold, becomes `?`. A row of the release before has no column for some of
    the data: these are null, `initial` is false, and `cohorts` is empty.

    Args:
        device_id: The device, as the hub names it.
        row: An entity of DeploymentStatus, as it was written or as it is read.
    """
    hub = row["EventId"].partition("/")[0]  # not of a setting: equal ids are equal events
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
    """What the AMQP message of an event says outside of its body, so that a filter need not read that.

    Args:
        event: The event of a transition or of a milestone.

    Returns:
        `type` and `severity`; `subject` where the event has one; `deployments`, with a space between two: no id holds
        one.
    """
    said = json.loads(event)
    data = said["data"]
    deployments = data["deployments"] if "deployments" in data else [data["deployment"]]
    named = {name: said[name] for name in ("type", "severity", "subject") if name in said}
    return {**named, "deployments": " ".join(deployments)}


def _time(row: Mapping[str, Any], column: str) -> str | None:
    return show_time(row[column]) if column in row else None


def segment(name: str) -> str:
    """A name as a segment of a URI's path."""
    return quote(name, safe=_IN_A_PATH, errors="replace")
