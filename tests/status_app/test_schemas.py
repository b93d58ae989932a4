"""schemas/ agrees with the code, and every event is valid by its schema."""

import json
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call
from azure.core.messaging import CloudEvent
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # as above
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from transition_rows import HUB, START, rows_of_every_kind

from status_app.events.cloud_event import SCHEMAS, cloud_event
from status_app.events.deployment_event import deployment_event
from status_app.status_table.rows import EVIDENCE_LIMIT
from status_core import (
    ABSENT,
    DELETED_REASON,
    REMOVED_REASON,
    UNVERIFIED,
    Counts,
    GracePolicy,
    Kind,
    Milestone,
    ModuleState,
    Reason,
    State,
    Threshold,
    progress,
)

FOLDER = Path(__file__).parents[2] / "schemas"
FILES = {path.stem: json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}
TYPES = sorted(FILES.keys() - {"definitions"})
ASYNCAPI = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())
ASYNCAPI_URI = "file:///schemas/asyncapi.yaml"

DEVICE_STATES, MODULE_STATES, REASONS = set(State), set(ModuleState), set(Reason)
UNVERIFIED_REASONS = {reason + UNVERIFIED for reason in Reason}
WORDS: dict[str, tuple[Kind, set[Any], set[Any], set[Any]]] = {
    "device.transitioned": (Kind.DEVICE, DEVICE_STATES | {ABSENT}, DEVICE_STATES, REASONS),
    "device.stuck": (Kind.STUCK, DEVICE_STATES, DEVICE_STATES, REASONS | UNVERIFIED_REASONS),
    "device.recovered": (Kind.RECOVERED, DEVICE_STATES, DEVICE_STATES, REASONS),
    "device.deleted": (Kind.DELETED, DEVICE_STATES, {ABSENT}, {DELETED_REASON}),
    "module.transitioned": (
        Kind.MODULE,
        MODULE_STATES | {ABSENT},
        MODULE_STATES | {ABSENT},
        REASONS | {REMOVED_REASON},
    ),
    "module.stuck": (Kind.STUCK, MODULE_STATES, MODULE_STATES, REASONS | UNVERIFIED_REASONS),
    "module.recovered": (Kind.RECOVERED, MODULE_STATES, MODULE_STATES, REASONS | {REMOVED_REASON}),
}


REGISTRY: Registry[Any] = Registry().with_resources(
    [
        (ASYNCAPI_URI, DRAFT202012.create_resource(ASYNCAPI)),
        *((SCHEMAS + name, Resource.from_contents(schema)) for name, schema in FILES.items()),
        *((f"file:///schemas/{name}.json", Resource.from_contents(schema)) for name, schema in FILES.items()),
    ]
)


def validator(uri: str) -> Any:
    """A validator of the schema at a URI."""
    return Draft202012Validator({"$ref": uri}, registry=REGISTRY)


def words(schema: dict[str, Any]) -> set[Any]:
    """Every value that a property may have, of a schema that is closed."""
    if "$ref" in schema:
        return words(REGISTRY.resolver(SCHEMAS + "definitions").lookup(schema["$ref"]).contents)
    if "anyOf" in schema:
        return set().union(*(words(part) for part in schema["anyOf"]))
    return set(schema["enum"]) if "enum" in schema else {schema["const"]}


@cache
def events() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Rows of every kind, each beside its event."""
    return [
        (row, json.loads(cloud_event(device_id, row)))
        for device_id, rows in rows_of_every_kind().items()
        for row in rows
    ]


@cache
def deployment_events() -> list[dict[str, Any]]:
    """The events of a deployment of nine devices, one in each state, that stalls, is completed and leaves them."""
    events, rollout, policy = [], None, GracePolicy(threshold=Threshold.parse("20%"))
    for hours, successful in enumerate((1, 1, 9, 0)):
        counts = Counts(9, successful, 0, 0 if successful == 9 else 2) if successful else Counts()
        states: dict[str, int] = dict.fromkeys(map(str, State), 1) if successful == 1 else {State.SUCCESSFUL: 9}
        known: tuple[Any, ...] = rollout.reached if rollout else ()
        rollout = progress(rollout, counts, START + hours * timedelta(hours=1), policy)
        added = rollout.reached[len(known) :]
        events += [json.loads(deployment_event(HUB, "camera 2/b", rollout, reached, states)) for reached in added]
    return events


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_a_schema_whose_id_leads_to_its_name(name: str) -> None:
    Draft202012Validator.check_schema(FILES[name])
    assert FILES[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert FILES[name]["$id"] == SCHEMAS + name


def test_there_is_a_schema_for_each_type_of_event_and_each_type_occurs() -> None:
    types = {event["type"] for _, event in events()}
    milestones = {event["type"] for event in deployment_events()}
    assert {f"edge.deployment.{name}" for name in WORDS} == types
    assert {f"edge.deployment.{milestone}" for milestone in Milestone} == milestones
    assert set(TYPES) == types | milestones


@pytest.mark.parametrize("name", WORDS)
def test_a_schema_holds_the_words_of_the_code_and_no_other(name: str) -> None:
    kind, left, entered, reasons = WORDS[name]
    properties = FILES[f"edge.deployment.{name}"]["properties"]
    assert words(properties["kind"]) == {kind}
    assert words(properties["fromState"]) == left
    assert words(properties["toState"]) == entered
    assert words(properties["reason"]) == reasons
    assert ("module" in properties) == name.startswith("device.")


@pytest.mark.parametrize(
    ("name", "enum"), [("kind", Kind), ("state", State), ("moduleState", ModuleState), ("reason", Reason)]
)
def test_the_words_are_in_the_order_of_the_code(name: str, enum: type[StrEnum]) -> None:
    assert list(enum) == FILES["definitions"]["$defs"][name]["enum"]


def test_every_event_of_real_rows_is_valid_by_the_message_of_its_type() -> None:
    for event in [*(event for _, event in events()), *deployment_events()]:
        validator(f"{ASYNCAPI_URI}#/components/messages/{event['type']}/payload/schema").validate(event)


def test_an_event_has_what_the_schema_names_and_nothing_more() -> None:
    data = FILES["definitions"]["$defs"]["data"]
    envelope = ASYNCAPI["components"]["schemas"]["cloudEvent"]
    for _, event in events():
        assert list(event["data"]) == list(data["properties"]) == data["required"]
        assert set(envelope["required"]) <= set(event) <= {*envelope["required"], "subject"}
    assert data["properties"]["evidence"]["maxItems"] == EVIDENCE_LIMIT
    deployment = FILES["definitions"]["$defs"]["deployment"]
    for event in deployment_events():
        assert list(event["data"]) == list(deployment["properties"]) == deployment["required"]
        assert set(event) == {*envelope["required"], "subject"}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("toState", "done"),
        ("fromState", None),
        ("reason", "as_desired_unverified"),
        ("kind", "module"),
        ("module", "m1"),
        ("observedAt", "2026-01-01T12:00:00Z"),
        ("durationSeconds", -1),
    ],
)
def test_a_value_that_the_code_never_gives_is_no_valid_event(place: str, value: Any) -> None:
    event = next(event for _, event in events() if event["type"] == "edge.deployment.device.transitioned")
    assert not validator(event["dataschema"]).is_valid({**event["data"], place: value})


@pytest.mark.parametrize(
    ("place", "value"),
    [("states", {"done": 1}), ("states", {"pending": 0}), ("version", 0), ("devices", -1), ("failing", None)],
)
def test_a_value_that_the_code_never_gives_is_no_valid_event_of_a_deployment(place: str, value: Any) -> None:
    for event in deployment_events():
        assert not validator(event["dataschema"]).is_valid({**event["data"], place: value})


def test_the_sdk_reads_every_event() -> None:
    for row, event in events():
        read = CloudEvent[dict[str, Any]].from_dict(event)
        assert (read.id, read.time, read.data) == (row["EventId"], row["At"], event["data"])
        assert read.extensions == {"sequence": f"{row['Sequence'].value:019d}", "severity": event["severity"]}
    for number, event in enumerate(deployment_events(), 1):
        read = CloudEvent[dict[str, Any]].from_dict(event)
        assert (read.id, read.source) == (event["id"], "/hubs/hub1/deployments/camera%202%2Fb/1")
        assert (read.subject, read.data) == ("camera 2/b", event["data"])
        assert read.extensions == {"sequence": f"{number:019d}", "severity": event["severity"]}


def test_the_asyncapi_document_has_one_message_for_each_type_and_its_references_lead_somewhere() -> None:
    messages = ASYNCAPI["components"]["messages"]
    assert sorted(messages) == sorted(ASYNCAPI["channels"]["transitions"]["messages"]) == TYPES
    for name, message in messages.items():
        properties = message["payload"]["schema"]["properties"]
        assert message["name"] == properties["type"]["const"] == name
        assert message["title"] == FILES[name]["title"]
        assert properties["dataschema"]["const"] == FILES[name]["$id"]
        assert properties["data"]["$ref"] == f"./{name}.json"
    for key, part in walk(ASYNCAPI):
        if "$ref" in part:
            found = REGISTRY.resolver(ASYNCAPI_URI).lookup(part["$ref"]).contents
            assert found
            assert found is messages.get(key, found)


def walk(value: Any, key: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every object in a JSON value, with the key that it is under."""
    if isinstance(value, list):
        return [found for part in value for found in walk(part, key)]
    if not isinstance(value, dict):
        return []
    return [(key, value), *(found for name, part in value.items() for found in walk(part, name))]
