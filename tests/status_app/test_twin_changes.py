"""Batches of notifications against real tables: what is written, skipped, dead-lettered and raised."""

import copy
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from app_over_azurite import DELETED, SECRET, App, transitions

from status_app.reconcile.twin_changes import MAX_RETRIES, BatchError

CREATED = "createModuleIdentity"


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    """An app that leaves its rows to the next test: each names its own devices."""
    app = App(tables)
    yield app
    await app.services.close()
    await app.client.close()


async def test_a_twin_change_becomes_a_state_its_modules_and_its_history(app: App) -> None:
    device = app.put("one", "048")
    await app.handle(app.event(device))
    rows = await app.rows(device)
    assert rows["device"]["State"] == "module_failed"
    assert rows["device"]["Reason"] == "backoff"
    assert rows["device"]["Deployments"] == '["at-scale1"]'
    assert rows["module:m1"]["State"] == "wrong_status"
    assert rows["module:$edgeHub"]["State"] == "settled"
    assert "module:$edgeAgent" not in rows
    history = transitions(rows)
    assert [row["Sequence"].value for row in history] == [1], "the first state of a device is one transition"
    assert rows["device"]["Sequence"].value == 1
    assert {row["EventId"] for row in history} == {f"hub1/{device}/1"}


async def test_the_same_batch_again_reads_no_twin_and_writes_nothing(app: App) -> None:
    devices = [app.put(f"d{number}", "003") for number in range(10)]
    events = [app.event(device) for device in devices]
    await app.handle(*events)
    before = await app.etags()
    assert sorted(app.hub.reads) == sorted(devices)
    app.hub.reads.clear()
    app.now += timedelta(minutes=1)
    await app.handle(*events)
    assert app.hub.reads == []
    assert await app.etags() == before


async def test_a_module_row_changes_where_the_row_of_its_device_does_not(app: App) -> None:
    device = app.put("recreated", "056")
    await app.handle(app.event(device))
    app.put("recreated", "058")  # with the same version and time
    await app.handle(app.event(device, **{"iothub-message-schema": "moduleLifecycleNotification", "opType": CREATED}))
    assert (await app.rows(device))["module:m1"]["ExitCode"].value == 137


async def test_several_events_of_a_device_are_one_read(app: App) -> None:
    device = app.put("often", "003")
    await app.handle(*[app.event(device) for _ in range(5)])
    assert app.hub.reads == [device]


async def test_only_the_module_that_changed_gets_a_transition(app: App) -> None:
    device = app.put("m", "003")
    await app.handle(app.event(device))
    app.report(device, timedelta(minutes=1), runtimeStatus="backoff")
    await app.handle(app.event(device))
    new = transitions(await app.rows(device))[1:]
    assert [(row["Kind"], row["Module"], row["FromState"], row["ToState"]) for row in new] == [
        ("module", "m1", "settled", "wrong_status"),
        ("device", "", "successful", "module_failed"),
    ]


async def test_a_deleted_device_leaves_its_history_and_a_new_life_counts_on(app: App) -> None:
    device = app.put("gone", "003")
    await app.handle(app.event(device))
    twin = app.hub.twins.pop(device)
    await app.handle(app.event(device, b"{}", **DELETED))
    rows = await app.rows(device)
    assert all(key.startswith("transition:") for key in rows)
    assert transitions(rows)[-1]["Kind"] == "deleted"
    app.hub.twins[device] = twin | {"version": 1}
    app.now += timedelta(minutes=1)
    await app.handle(app.event(device))
    history = transitions(await app.rows(device))
    assert [row["Sequence"].value for row in history] == list(range(1, len(history) + 1))
    assert await app.dead_letters() == []


async def test_a_change_larger_than_a_transaction_is_written_whole(app: App) -> None:
    device = app.put("large", "003")
    modules = {
        f"m{number}": {"settings": {"image": "x:1"}, "status": "running", "restartPolicy": "always"}
        for number in range(80)
    }
    app.hub.twins[device]["properties"]["desired"]["modules"] = modules
    await app.handle(app.event(device))
    rows = await app.rows(device)
    assert sum(key.startswith("module:m") for key in rows) == 80
    history = transitions(rows)
    assert [row["Sequence"].value for row in history] == list(range(1, len(history) + 1))
    assert rows["device"]["Sequence"].value == len(history)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_body"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b"[1]", "not_an_object"),
        (b"[" * 100_000, "not_json"),
        (b"x" * 1_000_000, "not_json"),
    ],
    ids=["empty", "broken", "not utf-8", "a list", "nested", "a megabyte"],
)
async def test_a_bad_body_is_dead_lettered_and_its_neighbors_are_not_affected(
    app: App, body: bytes, reason: str
) -> None:
    device = app.put("good", "003")
    await app.handle(app.event("bad", body), app.event(device))
    assert [row["Reason"] for row in await app.dead_letters()] == [reason]
    assert (await app.rows(device))["device"]["State"] == "successful"


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"iothub-message-schema": "telemetry", "opType": ""}, "unknown_schema"),
        ({"opType": "deleteTwin"}, "unknown_operation"),
        ({"deviceId": ""}, "no_device_id"),
        ({"deviceId": "x" * 129}, "device_id_too_long"),
        ({"deviceId": "never-seen"}, "device_not_found"),
    ],
)
async def test_an_event_that_names_nothing_known_is_dead_lettered(
    app: App, properties: dict[str, str], reason: str
) -> None:
    await app.handle(app.event("any", b"{}", **properties))
    assert [row["Reason"] for row in await app.dead_letters()] == [reason]


async def test_other_events_of_the_hub_are_counted_by_their_names_and_not_dead_lettered(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="status_app")
    sent = app.event("d", b"21.5", **{"iothub-message-schema": "", "opType": "", "deviceId": "", "moduleId": ""})
    jobs = {"message-source": "deviceJobLifecycleEvents"}
    connected = {"iothub-message-schema": "deviceConnectionStateNotification", "opType": "deviceConnected"}
    await app.handle(
        app.event("d", moduleId="$edgeHub"),
        app.event("d", moduleId=""),
        replace(sent, system_properties={"message-source": "Telemetry", "connection-device-id": "d"}),
        replace(sent, system_properties={"message-source": "Telemetry", "connection-device-id": "e"}),
        replace(sent, system_properties=jobs),
        app.event("d", b'{"sequenceNumber": "1"}', **connected),
        app.event("d", b'[{"op": "add"}]', **{"iothub-message-schema": "digitalTwinChangeNotification"}),
    )
    assert app.hub.reads == []
    assert await app.dead_letters() == []
    counts = (
        "{'other modules': 1, 'device twins': 1, 'telemetry': 2, 'jobs': 1, 'connection states': 1, 'digital twins': 1}"
    )
    assert counts in caplog.text


async def test_a_hub_that_is_down_fails_the_batch_after_the_rest_and_dead_letters_on_the_last_attempt(app: App) -> None:
    good, bad = app.put("good", "003"), app.put("bad", "003")
    app.hub.down.add(bad)
    events = [app.event(bad), app.event(good)]
    with pytest.raises(BatchError):
        await app.handle(*events)
    assert (await app.rows(good))["device"]["State"] == "successful"
    assert await app.dead_letters() == []
    await app.handle(*events, attempt=MAX_RETRIES)
    assert [row["Reason"] for row in await app.dead_letters()] == ["iothub_unavailable"]


async def test_device_and_module_names_that_no_key_can_hold_get_rows(app: App) -> None:
    device = app.put("odd/\\#?%'~\u0007", "003")
    modules = app.hub.twins[device]["properties"]["desired"]["modules"]
    modules["a/b#c"] = modules["m1"]
    modules["long" * 300] = modules["m1"]
    await app.handle(app.event(device))
    app.now += timedelta(minutes=1)
    app.hub.twins[device] = app.hub.twins[device] | {"version": 8}
    await app.handle(app.event(device))
    rows = await app.rows(device)
    assert rows["module:a~2Fb~23c"]["State"] == "missing"
    assert len(transitions(rows)) == rows["device"]["Sequence"].value == 1


async def test_no_secret_is_in_any_row_or_log(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="status_app")
    device = app.put("secret", "030")
    twin = app.hub.twins[device] = copy.deepcopy(app.hub.twins[device])
    for section in ("desired", "reported"):
        module = twin["properties"][section]["modules"]["m1"]
        module["env"] = {"P": {"value": SECRET}}
        module["settings"]["createOptions"] = json.dumps({"Env": [f"T={SECRET}"]})
        twin["properties"][section]["runtime"]["settings"]["registryCredentials"] = {"r": {"password": SECRET}}
    twin["properties"]["reported"]["lastDesiredStatus"]["description"] = f"failed with {SECRET}"
    broken = app.event("bad", json.dumps(twin).encode()[:-1])
    unreadable = app.event("bad", json.dumps(twin).encode("utf-16"))
    whole = app.event("never-seen", json.dumps(twin).encode())
    await app.handle(app.event(device), broken, unreadable, whole)
    seen = json.dumps([await app.rows(device), await app.dead_letters()], default=str)
    assert len(await app.dead_letters()) == 3
    assert SECRET not in seen
    assert SECRET not in caplog.text
