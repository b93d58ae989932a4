"""Dead letters: what is kept of an event, and what a replay does with it."""

import asyncio
import json
import random
import re
import sys
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from app_over_azurite import DELETED, SECRET, TABLES, App, transitions
from transition_hub import TRANSITIONS, running_hub, stored

from local.iothub import IotHub
from status_app.command_line import main
from status_app.commands.dead_letter_replay import replay_dead_letters
from status_app.errors import UnavailableError
from status_app.ingest.dead_letters import PAGE, DeadLetter, DeadLetters
from status_app.ingest.event_batch import IncomingEvent

ROOT: Final = Path(__file__).parents[2]
NOISE: Final = random.Random(1).randbytes(300_000)  # noqa: S311 (a body that does not get smaller)
HALF_A_DEVICE: Final = (
    r'{"system": {}, "application": {"opType": "updateTwin", "deviceId": "\ud800", "moduleId": "$edgeAgent"}}'
)
TELEMETRY: Final = {"iothub-message-schema": "telemetry", "opType": ""}
"""Properties of an event that a route sends by mistake: it is not of a twin."""

type Output = pytest.CaptureFixture[str]


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    app = App(tables)
    yield app
    for name in (*TABLES, "DeadLetter"):
        await app.client.delete_table(name)
    await app.close()


async def keep(app: App, *events: IncomingEvent, reason: str = "iothub_unavailable") -> DeadLetters:
    await app.client.create_table_if_not_exists("DeadLetter")
    letters = app.services.dead_letters()
    for event in events:
        await letters.keep(event, reason, "detail")
    return letters


async def kept(letters: DeadLetters) -> list[DeadLetter]:
    return [letter async for page in letters.pages() for letter in page]


async def replay(app: App, *, reason: str | None = None, dry_run: bool = False) -> tuple[bool, list[str]]:
    """Whether nothing is left, and the lines."""
    lines: list[str] = []
    letters, reconciler = app.services.dead_letters(), app.services.reconciler
    return await replay_dead_letters(letters, reconciler, lines.append, reason=reason, dry_run=dry_run), lines


async def edited(app: App, *changes: Mapping[str, Any]) -> list[DeadLetter]:
    """Keep an event for each change, and change its row as a person would; None removes a column. What is kept then."""
    events = [app.event(app.put(f"edited-{number}", "003")) for number in range(len(changes))]
    letters = await keep(app, *events)
    for letter, columns in zip(await kept(letters), changes, strict=True):
        row = {name: value for name, value in {**letter.row, **columns}.items() if value is not None}
        await app.client.get_table_client("DeadLetter").upsert_entity(row, mode="replace")
    return await kept(letters)


async def test_an_event_comes_back_as_it_was_kept(app: App) -> None:
    bodies = {
        "empty": b"",
        "text": b'{"version": 7}',
        "odd text": "\ufeff{\r\n\t\u00e9\u4e2d\x00 ~'%}".encode(),
        "parts": ("\u00e9" * 100_000).encode(),
        "the most text": b"x" * 400_000,
        "1 MB": b"x" * 1_000_000,
        "1 MB binary": b"\xff\x00" * 500_000,
        "utf-16": '{"version": 7}'.encode("utf-16"),
        "binary parts": NOISE,
    }
    events = [
        replace(app.event("d", body, zone="\u00e9'", **TELEMETRY), system_properties={"connection-device-id": "d"})
        for body in bodies.values()
    ]
    letters = await kept(await keep(app, *events))
    assert [name for name, event, letter in zip(bodies, events, letters, strict=True) if letter.event() != event] == []


async def test_an_event_that_is_not_of_a_twin_comes_back_without_the_secrets_of_a_manifest(app: App) -> None:
    manifest = {"version": 7, "content": {"modules": {"m": {"env": {"P": {"value": SECRET}}}}}}
    whole = json.dumps(manifest).encode()
    events = [app.event("d", body, **TELEMETRY) for body in (whole, whole[:-1], whole * 20_000)]
    bodies = [letter.event().body for letter in await kept(await keep(app, *events))]
    assert json.loads(bodies[0]) == json.loads(whole.replace(json.dumps({"P": {"value": SECRET}}).encode(), b'"***"'))
    assert all(body.startswith(b'{"version": 7, "content":') for body in bodies)
    assert not any(SECRET.encode() in body for body in bodies)


QUOTE: Final = {
    "version": 8,
    "properties": {"reported": {"$version": 5, "lastDesiredStatus": {"description": f"failed with {SECRET}"}}},
}
"""A patch that quotes a secret of another part of its twin."""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_nothing_of_a_twin_is_kept_but_ids_versions_and_sizes(app: App, encoding: str) -> None:
    body = json.dumps(QUOTE | {"deviceId": "d", "moduleId": "$edgeAgent"}).encode(encoding)
    kinds: list[dict[str, str]] = [
        {},
        {"iothub-message-schema": ""},
        {"opType": "mergeTwin"},
        {"opType": "createDeviceIdentity", "iothub-message-schema": "deviceLifecycleNotification"},
        TELEMETRY,  # the body shows that it is a twin
    ]
    letters = await kept(await keep(app, *(app.event("d", body, **properties) for properties in kinds)))
    assert SECRET not in str([letter.row for letter in letters])
    assert [letter.row["BodySize"].value for letter in letters] == [len(body)] * len(kinds)
    if encoding == "utf-8":
        section = len(json.dumps(QUOTE["properties"]["reported"]))  # type: ignore[index]  # a literal
        outline = {
            "deviceId": "d",
            "moduleId": "$edgeAgent",
            "version": 8,
            "reported": {"$version": 5, "characters": section},
        }
        assert [json.loads(letter.event().body) for letter in letters] == [outline] * len(kinds)


@pytest.mark.parametrize(
    "properties",
    [
        {"opType": "mergeTwin"},
        {"iothub-message-schema": ""},
        {"opType": "", "iothub-message-schema": "moduleLifecycleNotification"},
        {"opType": "deleteModuleIdentity", "iothub-message-schema": ""},
    ],
)
async def test_either_property_shows_that_an_event_is_of_a_twin(app: App, properties: dict[str, str]) -> None:
    event = app.event("d", json.dumps({"part": f"failed with {SECRET}"}).encode(), **properties)
    assert SECRET not in str([letter.row for letter in await kept(await keep(app, event))])


async def test_a_twin_event_that_cannot_be_read_stays_with_its_first_reason(app: App) -> None:
    bodies = [b"{", b"", b"[]", b'{"a": "\xff"}', json.dumps(QUOTE).encode()[:-9]]
    await app.handle(*(app.event("d", body) for body in bodies))
    letters = app.services.dead_letters()
    before = await kept(letters)
    assert [letter.name for letter in before if "Body" in letter.row] == []
    assert SECRET not in str([letter.row for letter in before])
    done, lines = await replay(app)
    assert not done
    stays = [f"{letter.name} - stays: {letter.row['Detail']}" for letter in before]
    assert lines == [*stays, f"0 processed, {len(bodies)} left"]
    assert [letter.row for letter in await kept(letters)] == [letter.row for letter in before]


async def test_a_replay_reads_a_device_that_only_the_body_names(app: App) -> None:
    device = app.put("d", "003")
    body = json.dumps({"deviceId": device, "moduleId": "$edgeAgent", **QUOTE}).encode()
    await keep(app, app.event("", body, moduleId=""))
    assert await replay(app) == (True, [f"{app.prefix}/1 {device} processed: changed", "1 processed, 0 left"])


async def test_a_processed_event_leaves_the_table_and_any_other_stays_with_its_new_reason(app: App) -> None:
    good, down, gone = app.put("good", "003"), app.put("down", "003"), app.put("gone", "003")
    await app.handle(app.event(gone))
    del app.hub.twins[gone]
    app.hub.down.add(down)
    events = [
        app.event(good),
        app.event(down),
        app.event(gone),
        app.event("never-seen"),
        app.event("d", b"{", **TELEMETRY),
        app.event("leaf", b"{}", **DELETED),
        app.event("d", moduleId="$edgeHub"),
    ]
    letters = await keep(app, *events, reason="internal_error")
    done, lines = await replay(app)
    assert [line.removeprefix(f"{app.prefix}/") for line in lines] == [
        f"2 {good} processed: changed",
        f"3 {down} stays: iothub is unavailable: answer 503",
        f"4 {gone} processed: removed",
        "5 never-seen stays: device_not_found: neither the hub nor the table knows the device",
        "6 - stays: unknown_schema: iothub-message-schema is 'telemetry', opType None",
        "7 leaf processed: unchanged",
        "8 - processed: about other modules",
        "4 processed, 3 left",
    ]
    assert not done
    left = await kept(letters)
    assert [letter.reason for letter in left] == ["iothub_unavailable", "device_not_found", "unknown_schema"]
    assert left[0].row["Detail"] == "iothub is unavailable: answer 503"
    assert [letter.event() for letter in left] == [events[1], events[3], events[4]]
    assert (await app.rows(good))["device"]["State"] == "successful"

    app.hub.down.clear()
    assert await replay(app, reason="iothub_unavailable") == (
        True,
        [f"{app.prefix}/3 {down} processed: changed", "1 processed, 0 left"],
    )
    assert [letter.reason for letter in await kept(letters)] == ["device_not_found", "unknown_schema"]


async def test_many_events_are_reported_in_their_order_and_a_device_is_read_once_a_page(app: App) -> None:
    devices = [app.put(f"d{number}", "003") for number in range(3)]
    letters = await keep(app, *[app.event(devices[number % 3]) for number in range(2 * PAGE + 5)])
    done, lines = await replay(app)
    numbers = [int(line.partition(" ")[0].partition("/")[2]) for line in lines[:-1]]
    assert numbers == list(range(1, 2 * PAGE + 6))
    assert lines[-1] == f"{2 * PAGE + 5} processed, 0 left"
    assert sorted(app.hub.reads) == sorted(devices * 3)
    assert done
    assert await kept(letters) == []


async def test_a_dry_run_lists_events_and_changes_nothing(app: App) -> None:
    device = app.put("d", "003")
    letters = await keep(app, app.event(device), app.event("d", b"{", **TELEMETRY), app.event("d", moduleId="$edgeHub"))
    before = await kept(letters)
    done, lines = await replay(app, dry_run=True)
    assert [line.removeprefix(f"{app.prefix}/") for line in lines] == [
        f"1 {device} stays: would be read again (iothub_unavailable)",
        "2 - stays: unknown_schema: iothub-message-schema is 'telemetry', opType None",
        "3 - stays: about other modules",
        "0 processed, 3 left",
    ]
    assert not done
    assert app.hub.reads == []
    assert [letter.row.metadata for letter in await kept(letters)] == [letter.row.metadata for letter in before]


async def test_an_event_that_is_kept_again_during_its_replay_is_not_lost(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = app.event(app.put("d", "003"))
    letters = await keep(app, event)
    read = app.hub.read

    async def read_and_keep(device_id: str, *_: Any) -> Any:
        await letters.keep(event, "internal_error", "KeyError")
        return await read(device_id)

    monkeypatch.setattr(app.hub, "read", read_and_keep)
    done, lines = await replay(app)
    assert lines[0].endswith("stays: its row was rewritten meanwhile")
    assert not done
    assert [letter.reason for letter in await kept(letters)] == ["internal_error"]


async def test_an_event_that_another_replay_took_is_processed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = await keep(app, app.event(app.put("d", "003")))
    read = app.hub.read

    async def read_and_forget(device_id: str, *_: Any) -> Any:
        await letters.forget((await kept(letters))[0])
        return await read(device_id)

    monkeypatch.setattr(app.hub, "read", read_and_forget)
    assert (await replay(app))[0]


async def test_a_bug_is_named_only_by_its_type_and_the_rest_goes_on(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = app.put("bad", "003"), app.put("good", "003")
    letters = await keep(app, app.event(bad), app.event(good))
    read = app.hub.read

    async def read_or_fail(device_id: str, *_: Any) -> Any:
        if device_id == bad:
            raise KeyError(SECRET)
        return await read(device_id)

    monkeypatch.setattr(app.hub, "read", read_or_fail)
    _, lines = await replay(app)
    assert lines == [
        f"{app.prefix}/1 {bad} stays: internal_error: KeyError",
        f"{app.prefix}/2 {good} processed: changed",
        "1 processed, 1 left",
    ]
    assert [letter.reason for letter in await kept(letters)] == ["internal_error"]


async def test_an_event_that_fails_as_it_did_before_leaves_its_row_untouched(app: App) -> None:
    letters = await keep(app, app.event("never-seen"))
    await replay(app)
    before = await kept(letters)
    assert [letter.reason for letter in before] == ["device_not_found"]
    await replay(app)
    assert [letter.row.metadata for letter in await kept(letters)] == [letter.row.metadata for letter in before]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnavailableError("tables", "answer 503"), "tables is unavailable: answer 503"),
        (KeyError(SECRET), "internal_error: KeyError"),
    ],
)
async def test_an_event_that_cannot_be_taken_out_of_the_table_is_reported_and_the_rest_goes_on(
    app: App, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    letters = await keep(app, *[app.event(app.put(name, "003")) for name in ("a", "b")])
    forget = DeadLetters.forget

    async def forget_or_fail(self: DeadLetters, letter: DeadLetter) -> None:
        if letter.name.endswith("/1"):
            raise error
        await forget(self, letter)

    monkeypatch.setattr(DeadLetters, "forget", forget_or_fail)
    _, lines = await replay(app)
    assert lines[0].endswith(f"stays: {message}")
    assert lines[2] == "1 processed, 1 left"
    assert [letter.name for letter in await kept(letters)] == [f"{app.prefix}/1"]


UNREADABLE: Final[list[tuple[dict[str, Any], str]]] = [
    ({"Properties": None}, "Properties is missing"),
    ({"Properties": 5}, "Properties has the wrong type"),
    ({"Properties": '{"application": {"opType": "upd'}, "Properties is not JSON"),
    ({"Properties": "[" * 30_000}, "Properties is not JSON"),
    ({"Properties": "[]"}, "Properties.application is missing"),
    ({"Properties": '{"application": [], "system": {}}'}, "Properties.application has the wrong type"),
    ({"Properties": '{"application": {}}'}, "Properties.system is missing"),
    ({"PartitionId": None}, "PartitionId is missing"),
    ({"SequenceNumber": "twelve"}, "SequenceNumber has the wrong type"),
    ({"Body": None}, "Body is missing"),
    ({"Body": b"{}"}, "Body has the wrong type"),
    ({"Body01": 5}, "Body01 has the wrong type"),
    ({"BodyEncoding": None}, "BodyEncoding is neither text nor deflate nor none"),
    ({"BodyEncoding": SECRET}, "BodyEncoding is neither text nor deflate nor none"),
    ({"BodyEncoding": "deflate"}, "Body has the wrong type"),
    ({"BodyEncoding": "deflate", "Body": b"no stream"}, "Body cannot be inflated"),
    ({"BodyEncoding": "deflate", "Body": zlib.compress(b"{}")[:-5]}, "Body cannot be inflated"),
]
"""Changes of a row, and what is wrong with it then."""


async def test_a_row_that_cannot_be_read_is_reported_and_stays_as_it_is(app: App) -> None:
    before = await edited(app, *(columns for columns, _ in UNREADABLE))
    good = app.put("good", "003")
    letters = await keep(app, app.event(good))
    done, lines = await replay(app)
    assert [line.removeprefix(f"{app.prefix}/") for line in lines] == [
        *(f"{number} - stays: unreadable row: {problem}" for number, (_, problem) in enumerate(UNREADABLE, 1)),
        f"{len(UNREADABLE) + 1} {good} processed: changed",
        f"1 processed, {len(UNREADABLE)} left",
    ]
    assert not done
    left = [(letter.row, letter.row.metadata["etag"]) for letter in await kept(letters)]
    assert left == [(letter.row, letter.row.metadata["etag"]) for letter in before]


async def test_a_column_that_a_replay_does_not_need_may_be_wrong(app: App) -> None:
    changes: list[dict[str, Any]] = [
        {"Reason": 5},
        {"Detail": None, "Reason": None},
        {"EnqueuedTime": "soon"},
        {"Extra": 1},
        {"SequenceNumber": 1},
    ]
    await edited(app, *changes)
    assert (await replay(app, dry_run=True))[1][-1] == f"0 processed, {len(changes)} left"
    assert (await replay(app))[1][-1] == f"{len(changes)} processed, 0 left"


async def test_keys_that_a_person_made_are_printed_as_they_are(app: App) -> None:
    await edited(app, {"PartitionKey": "~FF\u00e9", "RowKey": "mine", "Properties": "{}"})
    _, lines = await replay(app)
    assert "~FF\\xe9/mine - stays: unreadable row: Properties.application is missing" in lines


async def test_a_device_id_cannot_change_the_terminal_or_add_a_line(app: App) -> None:
    letters = await keep(app, app.event("a\n\x1b[2Jb\u202e\u00e9"))
    _, lines = await replay(app)
    assert lines[0].isascii()
    assert lines[0].isprintable()
    assert len(await kept(letters)) == 1


async def test_half_a_character_in_a_row_is_no_more_than_a_wrong_one(app: App) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"Body": "\ud800"}, "not_utf8: byte 0 of 3"),
        ({"Properties": r'{"application": {"opType": "\ud800"}, "system": {}}'}, "unknown_schema: "),
        ({"Properties": HALF_A_DEVICE}, "device_not_found: "),
    ]
    await edited(app, *(columns for columns, _ in cases))
    _, lines = await replay(app)
    assert all(f" stays: {reason}" in line for line, (_, reason) in zip(lines, cases, strict=False))
    assert lines[3] == "0 processed, 3 left"


async def test_a_reason_with_a_quotation_mark_chooses_nothing(app: App) -> None:
    await keep(app, app.event("d", b"{"))
    assert await replay(app, reason="x' or RowKey ge '") == (True, ["nothing to replay"])


async def test_without_a_table_there_is_nothing_to_replay(app: App) -> None:
    assert await replay(app) == (True, ["nothing to replay"])
    assert "DeadLetter" not in [table.name async for table in app.client.list_tables()]


async def command(environment: dict[str, str], *arguments: str) -> tuple[int | None, str, str]:
    """The exit code, the output and the errors of the command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "status_app", "replay-dead-letters", *arguments,
        cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_replays_against_a_hub_and_its_exit_code_shows_whether_events_are_left(
    app: App, tables: str, tmp_path: Path
) -> None:
    hub = IotHub(tmp_path)
    await hub.start()
    try:
        environment = {
            "STATUS_TABLES": tables,
            "IOT_HUB": hub.connection_string,
            "REQUESTS_CA_BUNDLE": str(hub.ca_file),
        }
        device, late = app.put("d", "003"), app.put("late", "003")
        hub.registry.put(app.hub.twins[device])
        await keep(app, app.event(device), app.event(late), reason="internal_error")
        listed = await command(environment, "--dry-run", "--reason", "internal_error")
        assert (listed[0], listed[1].count("would be read again"), listed[2]) == (1, 2, "")
        assert hub.reads.total() == 0
        asks = "events: reads the twins of their devices, writes their state, deletes processed events\n"
        assert await command(environment) == (1, f"2 {asks}", "")  # without a terminal nobody can answer yes
        assert hub.reads.total() == 0
        found = "device_not_found: neither the hub nor the table knows the device"
        assert await command(environment, "--yes") == (
            1,
            (
                f"2 {asks}{app.prefix}/1 {device} processed: changed\n"
                f"{app.prefix}/2 {late} stays: {found}\n1 processed, 1 left\n"
            ),
            "",
        )
        hub.registry.put(app.hub.twins[late])
        assert await command(environment, "--yes") == (
            0,
            f"1 {asks}{app.prefix}/2 {late} processed: changed\n1 processed, 0 left\n",
            "",
        )
        assert await command(environment) == (0, "nothing to replay\n", "")
    finally:
        await hub.stop()
    assert (await app.rows(late))["device"]["State"] == "successful"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("IOT_HUB", "", "IOT_HUB is not set"),
        ("STABLE_AFTER", "soon", "STABLE_AFTER is 'soon'"),
        ("STATUS_TABLES", f"AccountKey={SECRET}", "STATUS_TABLES is neither"),
    ],
)
def test_a_wrong_setting_is_named_and_the_exit_code_is_that_of_a_wrong_use(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    for key, good in {"STATUS_TABLES": "https://a.example", "IOT_HUB": "hub1", name: value}.items():
        monkeypatch.setenv(key, good)
    assert main(["replay-dead-letters"]) == 64
    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert SECRET not in printed.err
    assert printed.out == ""


async def test_a_command_with_other_settings_than_the_apps_loses_no_event_and_trims_no_history(
    app: App, tables: str, tmp_path: Path
) -> None:
    hub = IotHub(tmp_path)
    await hub.start()
    environment = {
        "STATUS_TABLES": tables,
        "IOT_HUB": hub.connection_string,
        "REQUESTS_CA_BUNDLE": str(hub.ca_file),
        "HISTORY_LIMIT": "1",
        "GRACE_DEFAULT": "PT1H",
    }
    name = hub.connection_string.partition("HostName=")[2].partition(";")[0].partition(".")[0].partition(":")[0]
    try:
        async with running_hub() as namespace:
            settings = {"IOT_HUB": f"{name}.azure-devices.net", "GRACE_DEFAULT": "PT20M"}
            settings |= {"Transitions": namespace.connection_string(), "TRANSITIONS_HUB": TRANSITIONS}
            writer = app.another(**settings)
            device = app.put("d", "003")
            await (await writer.twin_changes()).handle([app.event(device)], attempt=0)
            app.report(device, timedelta(minutes=1), runtimeStatus="backoff", exitCode=1)
            await (await writer.twin_changes()).handle([app.event(device)], attempt=0)
            await app.another(**settings, HISTORY_LIMIT="1").twin_changes()  # whose settings the command takes
            app.report(device, timedelta(minutes=1), runtimeStatus="failed", exitCode=1)
            hub.registry.put(app.hub.twins[device])
            await keep(app, app.event(device), reason="internal_error")
            before = transitions(await app.rows(device))
            assert (await command(environment, "--yes"))[0] == 0
            rows = await app.rows(device)
            assert len(transitions(rows)) > len(before) > 1
            assert transitions(rows)[: len(before)] == before, "nothing is trimmed"
            module = rows["module:m1"]
            assert module["StuckAt"] - module["UnsettledSince"] == timedelta(minutes=20)
            await (await writer.flag_stuck()).run()
            sent = [body for body in stored(namespace) if b'"deviceId"' in body]
            assert len(sent) == len(transitions(rows))
    finally:
        await hub.stop()
    other = environment | {"IOT_HUB": "other.azure-devices.net"}
    code, _, error = await command(other, "--yes")
    assert (code, error) == (64, f"IOT_HUB is 'other', but the tables in STATUS_TABLES belong to {name!r}\n")


async def test_a_table_service_that_refuses_the_key_or_does_not_answer_is_reported(tables: str) -> None:
    refused = re.sub("AccountKey=[^;]+", "AccountKey=aHVudGVyMg==", tables)
    assert await command({"STATUS_TABLES": refused, "IOT_HUB": "hub1"}) == (
        1,
        "",
        "tables is unavailable: answer 403\n",
    )
    silent = re.sub(r"127.0.0.1:\d+", "127.0.0.1:1", tables)
    assert await command({"STATUS_TABLES": silent, "IOT_HUB": "hub1"}) == (
        1,
        "",
        "tables is unavailable: ServiceRequestError\n",
    )


def test_the_docs_list_every_reason_of_the_code_and_no_other() -> None:
    code = "".join(path.read_text() for path in (ROOT / "status_app").rglob("*.py"))
    reasons = set(re.findall(r'BadEventError\(\s*"(\w+)"', code))
    services = re.findall(r"`(\w+)`", (UnavailableError.__doc__ or "").partition("service:")[2])
    reasons |= {f"{service}_unavailable" for service in services}
    page = (ROOT / "docs" / "dead-letters.md").read_text().partition("\n## Reasons\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:3] == "| `"]
    assert sorted(row[0].strip("`") for row in rows) == sorted(reasons | {"internal_error"})
    assert all(len(row) == 3 and all(row) for row in rows)
