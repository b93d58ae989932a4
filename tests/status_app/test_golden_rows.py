"""Rows of each `Format`: this release reads older rows, and the release before can read new ones.

The files hold one device, as each release left it: all was well, then a module failed and got stuck.
"""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from app_over_azurite import START, TABLES, App, transitions
from asking import ask, listed
from azure.data.tables import EdmType, EntityProperty
from model import older_release
from test_schemas import validator

from status_app.events.cloud_event import cloud_event
from status_app.http import routes
from status_app.status_table.reader import DeviceReader
from status_app.status_table.rows import FORMAT, device_row, module_row, read_record
from status_app.storage.codecs import read_number
from status_core import GracePolicy, evaluate, parse_duration

FOLDER: Final = Path(__file__).parent / "golden_rows"
DEVICE: Final = "edge-01"
STUCK_AT: Final = datetime.fromisoformat("2024-05-02T10:25:00Z")
CARE: Final = timedelta(minutes=10)
BACKOFF: Final = "048"
SUCCESSFUL: Final = "003"


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    app = App(tables)
    await app.services.reconciler()  # it creates the tables
    yield app
    for name in TABLES:
        await app.client.delete_table(name)
    await app.close()


def golden(form: int) -> dict[str, dict[str, Any]]:
    """The rows of a format by RowKey, as the SDK reads them."""
    rows = json.loads((FOLDER / f"format_{form}.json").read_bytes())
    return {row["RowKey"]: {name: _value(value) for name, value in row.items()} for row in rows}


def _value(value: Any) -> Any:
    match value:
        case {"long": number}:
            return EntityProperty(number, EdmType.INT64)
        case {"time": text}:
            return datetime.fromisoformat(text)
    return value


def state(rows: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row for key, row in rows.items() if not key.startswith("transition:")}


async def store(app: App, rows: Mapping[str, Mapping[str, Any]], case: str = BACKOFF) -> None:
    """Put rows into the table, and the twin of the device into the hub."""
    for row in rows.values():
        await app.client.get_table_client("DeploymentStatus").upsert_entity(dict(row))
    device = app.put("d", case)
    app.hub.twins[DEVICE] = app.hub.twins.pop(device) | {"deviceId": DEVICE, "version": 207}
    app.now = STUCK_AT + timedelta(minutes=1)


def test_there_is_a_file_of_each_format() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == [f"format_{form + 1}.json" for form in range(FORMAT)]
    assert "Format" not in golden(1)["device"]
    assert golden(FORMAT)["device"]["Format"] == FORMAT


def test_the_present_format_is_written_as_it_was_read() -> None:
    rows = state(golden(FORMAT))
    record = read_record(rows)
    assert record is not None
    written = [device_row(DEVICE, record, GracePolicy(), 0)]
    written += [module_row(DEVICE, name, module) for name, module in record.modules.items()]
    assert {row["RowKey"]: row for row in written} == rows


async def test_what_the_release_before_announced_is_not_announced_again(app: App) -> None:
    await store(app, golden(1))
    await app.handle(app.event(DEVICE))
    rows = await app.rows(DEVICE)
    assert len(transitions(rows)) == 6
    app.report(DEVICE, timedelta(minutes=1), runtimeStatus="running")
    await app.handle(app.event(DEVICE))
    await app.flag_stuck(CARE)
    rows = await app.rows(DEVICE)
    assert rows["device"]["Format"] == FORMAT
    news = [(row["Sequence"].value, row["Kind"], row["FromState"], row["ToState"]) for row in transitions(rows)[6:]]
    assert news == [
        (7, "recovered", "settled", "settled"),
        (8, "module", "wrong_status", "settled"),
        (9, "device", "module_failed", "successful"),
    ]
    assert rows["module:m1"]["Stuck"] is False


@pytest.mark.parametrize("form", [1, 2])
async def test_the_api_and_events_show_rows_of_each_format(app: App, form: int) -> None:
    rows = golden(form)
    await store(app, rows)
    fleet = app.services.fleet()
    answer = (await ask(fleet, routes.device, deviceId=DEVICE)).json
    assert (answer["state"], answer["stuck"]) == ("module_failed", True)
    assert answer["announcedState"] == ("module_failed" if form > 1 else None)
    assert [module["stuck"] for module in answer["moduleStates"]] == [False, True]
    history = await listed(fleet, routes.transitions, path={"deviceId": DEVICE})
    assert [item["sequence"] for item in history] == list(range(len(history), 0, -1))
    for row in transitions(rows):
        event = json.loads(cloud_event(DEVICE, row))
        validator(event["dataschema"]).validate(event["data"])


def test_the_release_before_can_read_new_rows() -> None:
    """It takes the columns that it knows, by these steps, and no other."""
    rows, before = golden(FORMAT), golden(1)
    device = rows["device"]
    assert read_number(device["Sequence"]) == len(transitions(rows))
    for name in ("Deployments", "Targeted", "Flags"):
        assert isinstance(json.loads(device[name]), list)
    for key, row in state(rows).items():
        assert parse_duration(row["GracePeriod"])
        found = {name: type(row.get(name)) for name in before[key]}
        assert found == {name: type(value) for name, value in before[key].items()}
    always = set.intersection(*(set(row) for row in transitions(before)))
    for row in transitions(rows):
        assert always <= set(row)
        assert isinstance(json.loads(row["Evidence"]), list)


async def test_the_older_release_of_the_model_writes_what_that_release_wrote(app: App) -> None:
    table = app.client.get_table_client("DeploymentStatus")
    older = older_release.OlderCommit(table, hub="hub1", policy=GracePolicy(), history_limit=None)
    failed = START + timedelta(hours=1)
    for case, changed, now in (
        (SUCCESSFUL, START, START),
        (BACKOFF, failed, failed),
        (BACKOFF, failed, STUCK_AT + timedelta(minutes=1)),
    ):
        twin = app.hub.twins[app.put("d", case, version=207)]
        twin["properties"]["reported"]["$metadata"]["$lastUpdated"] = changed.isoformat()
        stored = await DeviceReader(table).read(DEVICE)
        await older.commit(older_release.changed(stored, evaluate(twin), now))
    assert comparable(await app.rows(DEVICE)) == comparable(golden(1))


def comparable(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rows without messages, whose words are others now, and without the time of the last read, which it did not keep
    where a timer flagged something.
    """
    found = {key: {name: row[name] for name in row if name != "Message"} for key, row in rows.items()}
    del found["device"]["ObservedAt"]
    return found
