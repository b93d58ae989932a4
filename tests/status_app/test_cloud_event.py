"""The event of a row: always the same bytes, valid JSON and a valid address whatever the names are."""

import json
import re
import uuid
from typing import Any
from urllib.parse import unquote

import pytest
from azure.core.messaging import CloudEvent
from azure.data.tables.aio import TableServiceClient
from hypothesis import given
from hypothesis import strategies as st
from test_schemas import validator
from transition_rows import rows_of_every_kind, rows_of_one_device

from status_app.events.cloud_event import cloud_event

PATH = re.compile(r"/hubs/hub1/devices/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-F]{2})+")
ROW = rows_of_one_device("edge-01", 2)[1]


def event_of(device_id: str = "edge-01", **columns: Any) -> dict[str, Any]:
    """The event of a row with other columns."""
    event: dict[str, Any] = json.loads(cloud_event(device_id, {**ROW, **columns}))
    return event


def test_an_event_is_this() -> None:
    row = rows_of_one_device("edge 01/b", 2)[1]
    assert json.loads(cloud_event("edge 01/b", row)) == {
        "specversion": "1.0",
        "id": "hub1/edge 01/b/2",
        "source": "/hubs/hub1/devices/edge%2001%2Fb",
        "type": "edge.deployment.module.transitioned",
        "subject": "m1",
        "time": "2024-05-02T12:10:00.123456Z",
        "sequence": "0000000000000000002",
        "severity": "info",
        "dataschema": "urn:edge-deployment-status:2:edge.deployment.module.transitioned",
        "datacontenttype": "application/json",
        "data": {
            "hub": "hub1",
            "deviceId": "edge 01/b",
            "kind": "module",
            "module": "m1",
            "fromState": "settled",
            "toState": "wrong_status",
            "reason": "backoff",
            "message": row["Message"],
            "cause": row["Cause"],
            "evidence": json.loads(row["Evidence"]),
            "desiredVersion": 11,
            "deployments": ["at-scale1"],
            "cohorts": ["ring=canary"],
            "initial": False,
            "previousSince": "2024-05-02T09:10:00.123456Z",
            "since": "2024-05-02T12:10:00.123456Z",
            "stuckAt": "2024-05-02T12:25:00.123456Z",
            "restartCount": 4,
            "imageHash": f"sha256:{'ab' * 32}",
            "observedAt": "2024-05-02T12:10:00.123456Z",
            "durationSeconds": 10800.0,
        },
    }


async def test_a_row_gives_the_same_bytes_before_it_is_stored_and_after_it_was_read(tables: str) -> None:
    name = f"T{uuid.uuid4().hex}"
    async with TableServiceClient.from_connection_string(tables) as service:
        table = await service.create_table(name)
        for device_id, rows in list(rows_of_every_kind().items())[::8]:
            for row in rows:
                await table.create_entity(row)
            stored = {row["RowKey"]: row async for row in table.query_entities(f"PartitionKey eq '{device_id}'")}
            assert len(stored) == len(rows)
            for row in rows:
                assert cloud_event(device_id, stored[row["RowKey"]]) == cloud_event(device_id, row)
        await service.delete_table(name)


@given(st.text(min_size=1, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_name_gives_valid_json_a_valid_source_and_an_event_that_the_sdk_reads(
    device_id: str, module: str, deployment: str
) -> None:
    written = cloud_event(device_id, {**ROW, "Module": module, "Deployments": json.dumps([deployment])})
    event = json.loads(written.decode("utf-8"))
    assert PATH.fullmatch(event["source"])
    assert unquote(event["source"]).removeprefix("/hubs/hub1/devices/") == device_id
    assert (event["data"]["deviceId"], event["data"]["module"]) == (device_id, module)
    assert CloudEvent[Any].from_dict(event).subject == (module or None)


def test_half_a_surrogate_pair_is_a_question_mark() -> None:
    path = "properties.desired.modules.\ud800"
    evidence = json.dumps([{"path": path, "value": None, "expected": "\udfff", "expectedPath": None}])
    event = event_of("d\ud800", Module="m\udc00", Kind="module", EventId="hub1/d\ud800/1", Evidence=evidence)
    assert (event["id"], event["source"], event["subject"]) == ("hub1/d?/1", "/hubs/hub1/devices/d%3F", "m?")
    assert event["data"]["evidence"][0]["path"] == "properties.desired.modules.?"


@pytest.mark.parametrize(
    ("deployments", "subject"), [([], None), (["one"], "one"), (["base-layer", "camera"], "base-layer camera")]
)
def test_the_subject_of_an_event_about_the_device_is_its_credited_deployments(
    deployments: list[str], subject: str | None
) -> None:
    event = event_of(Kind="device", Module="", Deployments=json.dumps(deployments))
    assert event.get("subject") == subject
    assert event["data"]["deployments"] == deployments


@pytest.mark.parametrize(
    ("kind", "module", "name"),
    [
        ("device", "", "device.transitioned"),
        ("module", "m1", "module.transitioned"),
        ("module", "", "module.transitioned"),
        ("stuck", "m1", "module.stuck"),
        ("stuck", "", "device.stuck"),
        ("recovered", "m1", "module.recovered"),
        ("recovered", "", "device.recovered"),
        ("deleted", "", "device.deleted"),
    ],
)
def test_the_type_names_the_change_and_whether_it_is_of_a_device_or_a_module(kind: str, module: str, name: str) -> None:
    assert event_of(Kind=kind, Module=module)["type"] == f"edge.deployment.{name}"


@pytest.mark.parametrize(
    ("kind", "state", "reason", "severity"),
    [
        ("stuck", "wrong_status", "backoff", "error"),
        ("stuck", "wrong_status", "backoff_unverified", "error"),
        ("stuck", "unclassified", "a_reason_of_tomorrow", "error"),
        ("stuck", "pending", "device_disconnected", "warning"),
        ("stuck", "pending", "device_disconnected_unverified", "warning"),
        ("device", "invalid", "config_rejected", "error"),
        ("device", "in_progress", "image_not_found", "warning"),
        ("module", "wrong_status", "gave_up", "warning"),
        ("device", "pending", "device_disconnected", "info"),
        ("module", "wrong_status", "backoff", "info"),
        ("recovered", "invalid", "config_rejected", "info"),
        ("deleted", "", "deleted", "info"),
    ],
)
def test_the_severity_follows_from_kind_state_and_reason(kind: str, state: str, reason: str, severity: str) -> None:
    assert event_of(Kind=kind, ToState=state, Reason=reason)["severity"] == severity


def test_only_the_first_transition_of_a_device_is_initial() -> None:
    initial, later = (json.loads(cloud_event("edge-01", row)) for row in rows_of_one_device("edge-01", 2))
    assert (initial["data"]["initial"], later["data"]["initial"]) == (True, False)


def test_a_row_of_the_release_before_gives_an_event_that_fits_the_schema() -> None:
    added = ("Cause", "Initial", "PreviousSince", "Since", "StuckAt", "RestartCount", "ImageHash", "Cohorts")
    for row in (row for rows in rows_of_every_kind().values() for row in rows):
        before = {name: value for name, value in row.items() if name not in added}
        event = json.loads(cloud_event("edge-01", before))
        validator(event["dataschema"]).validate(event["data"])
        found = {name: event["data"][name[0].lower() + name[1:]] for name in added}
        assert found == dict.fromkeys(added) | {"Initial": False, "Cohorts": []}


def test_an_unknown_version_is_null() -> None:
    row = {name: value for name, value in ROW.items() if name != "DesiredVersion"}
    assert json.loads(cloud_event("edge-01", row))["data"]["desiredVersion"] is None
