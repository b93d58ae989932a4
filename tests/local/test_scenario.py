"""Scenario files: what each line means, replayed through the real app, and how a line without a meaning is refused."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.replay import replay
from local.scenario import ScenarioError, read_scenario
from status_app.events import publisher
from status_app.iothub import twins
from status_app.iothub.breaker import PROBES
from status_app.reconcile import twin_changes

CASES = Path(__file__).parents[1] / "cases"
AT = "2024-05-02T09:05:00Z"
"""Soon after the times of the cases, so that nothing in them is stuck yet."""
SOON = "2024-05-02T09:06:00Z"
LATER = "2024-05-02T12:00:00Z"


def twin(case: str, device: str) -> Any:
    path = next(CASES.glob(f"{case}_*.json"))
    return json.loads(path.read_bytes())["twin"] | {"deviceId": device}


def line(at: str = AT, **content: Any) -> str:
    return json.dumps({"at": at, **content})


def fault(**content: Any) -> str:
    return line(fault=content)


@pytest.fixture
def empty(accounts: Iterator[str]) -> str:
    """A table service without any table."""
    return next(accounts)


async def replayed(tables: str, *lines: str, **options: Any) -> dict[str, list[Any]]:
    return await replay(read_scenario("\n".join(lines)), tables, **options)


def states(result: dict[str, list[Any]]) -> dict[str, str]:
    return {row["PartitionKey"]: row["State"] for row in result["rows"] if row["RowKey"] == "device"}


def events_of(result: dict[str, list[Any]], device: str) -> list[str]:
    """The types of a device's events, without what they have in common, and their numbers."""
    events = [event for event in result["events"] if event["data"].get("deviceId") == device]
    return [f"{int(event['sequence'])} {event['type'].removeprefix('edge.deployment.')}" for event in events]


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the host about functions that raised."""
    return [record.getMessage().partition(":")[0] for record in caplog.records if record.name == "local.host"]


async def test_every_kind_of_line_has_its_effect(empty: str) -> None:
    result = await replayed(
        empty,
        line(twin=twin("003", "sure"), repeat=3),
        line(twin=twin("003", "lost"), notify=False),
        line(twin=twin("003", "stays-lost"), notify=False),
        line(delete="stays-lost"),
        line(twin=twin("003", "hinted"), body={}),
        line(twin=twin("003", "garbled"), body="{", repeat=2),
        line(delete="hinted", repeat=2),
        line(delete="never-seen"),
        line(raw="gar\ud800bage", properties={"opType": "updateTwin"}, repeat=3),
        "",
        line(twin=twin("048", "late")),
        line(LATER, run="flag_stuck"),
        line(LATER, run="resync"),
    )
    assert states(result) == {
        "sure": "successful",
        "lost": "successful",
        "garbled": "successful",
        "late": "module_failed",
    }
    assert sorted(letter["Reason"] for letter in result["deadLetters"]) == ["not_json"] * 2 + ["not_utf8"] * 3
    assert events_of(result, "sure") == events_of(result, "lost") == ["1 device.transitioned"]
    assert events_of(result, "hinted") == ["1 device.transitioned", "2 device.deleted"]
    assert events_of(result, "late") == ["1 device.transitioned", "2 module.stuck"]
    assert events_of(result, "never-seen") == events_of(result, "stays-lost") == []
    of_devices = [event["data"] for event in result["events"] if "deviceId" in event["data"]]
    observed = [data["observedAt"] for data in of_devices if data["deviceId"] != "lost"]
    assert observed == sorted(observed)
    # What a query gives may be ten minutes old.
    assert {row["ObservedAt"] for row in result["rows"] if "ObservedAt" in row} == {AT, LATER, "2024-05-02T11:50:00Z"}


async def test_an_empty_scenario_has_an_empty_result(empty: str) -> None:
    nothing: dict[str, list[Any]] = {"rows": [], "events": [], "deadLetters": [], "deployments": [], "notices": []}
    assert await replayed(empty, "") == nothing


async def test_what_a_function_raises_is_logged_and_the_replay_goes_on(
    empty: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = await replayed(
        empty,
        line(twin=twin("003", "lost"), notify=False),
        fault(service="tables", op="write", status=403),
        line(twin=twin("003", "sure")),
        fault(service="iothub", op="query", status=503, count=twins.RETRY.attempts),
        line(run="resync"),
        line(run="resync"),
    )
    assert refusals(caplog) == ["on_twin_changes failed in attempt 1", "resync failed in attempt 1"]
    assert states(result) == {"lost": "successful", "sure": "successful"}


async def test_calls_fail_as_often_as_the_fault_counts(empty: str, caplog: pytest.LogCaptureFixture) -> None:
    attempts = twins.RETRY.attempts * PROBES  # then the hub is not asked for a while, by the clock of the scenario
    caplog.set_level(logging.ERROR)
    result = await replayed(
        empty,
        fault(service="iothub", op="read", cut=True, count=2),
        fault(service="iothub", op="read", status=429, retryAfter=3600, count=attempts - 2),
        fault(service="tables", op="read", cut=True),
        line(twin=twin("003", "unread")),
        fault(service="iothub", op="read", count=attempts - 1),
        line(SOON, twin=twin("003", "read")),
        fault(service="transitions", op="send", count=publisher.RETRY.attempts - 1),
        line(SOON, twin=twin("003", "sent")),
        fault(service="transitions", op="write", status=429, count=1),
        fault(service="transitions", op="send", status=500, count=publisher.RETRY.attempts - 1),
        line(SOON, twin=twin("003", "unsent")),
    )
    assert [letter["Reason"] for letter in result["deadLetters"]] == ["iothub_unavailable"]
    assert states(result) == {"read": "successful", "sent": "successful", "unsent": "successful"}
    assert {event["data"]["deviceId"] for event in result["events"]} == {"read", "sent"}
    assert refusals(caplog) == [
        f"on_twin_changes failed in attempt {number}" for number in (*range(1, twin_changes.MAX_RETRIES + 1), 1)
    ]


def test_times_are_utc_and_lines_end_where_json_lines_do() -> None:
    text = f"{line('2024-05-02T11:05:00+02:00', raw='a\u2028b\x85c')}\r\n \n{line('2024-05-02T09:05', delete='d')}\n"
    text = text.replace("\\u2028", "\u2028").replace("\\u0085", "\x85")
    steps = list(read_scenario(text))
    assert [(step.line, step.kind) for step in steps] == [(1, "raw"), (3, "delete")]
    assert {step.at for step in steps} == {datetime(2024, 5, 2, 9, 5, tzinfo=UTC)}
    assert steps[0].content["raw"] == "a\u2028b\x85c"


STEPS = "a step has one of twin, delete, device, raw, deployments, settings, run, fault"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes, column 2"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ("[]", "a step is a JSON object"),
        ('{"delete": "d"}', "`at` takes an ISO 8601 time"),
        (line("noon", delete="d"), "`at` takes an ISO 8601 time"),
        (line("0001-01-01T00:00:00+10:00", delete="d"), "`at` takes an ISO 8601 time"),
        ('{"at": 5, "delete": "d"}', "`at` takes an ISO 8601 time"),
        (line(), STEPS),
        (line(send="d"), STEPS),
        (line(delete="d", run="resync"), STEPS),
        (line(twin="d"), "`twin` takes a twin with its deviceId"),
        (line(twin={}), "`twin` takes a twin with its deviceId"),
        (line(twin={"deviceId": ""}), "`twin` takes a twin with its deviceId"),
        (line(twin={"deviceId": "\ud800"}), "`twin` takes a twin with its deviceId"),
        (line(twin={"deviceId": "d"}, properties={}), "`twin` takes nothing but at, twin, notify, repeat, body"),
        (line(delete=5), "`delete` takes a device id"),
        (line(delete="d", notfy=False), "`delete` takes nothing but at, delete, notify, repeat, body"),
        (line(delete="d", notify=0), "`notify` takes true or false"),
        (line(delete="d", repeat=0), "`repeat` takes a whole number from 1 to 10000"),
        (line(delete="d", repeat=10_001), "`repeat` takes a whole number from 1 to 10000"),
        (line(delete="d", repeat=1.5), "`repeat` takes a whole number from 1 to 10000"),
        (line(delete="d", repeat=True), "`repeat` takes a whole number from 1 to 10000"),
        (line(raw={}), "`raw` takes a text"),
        (line(raw="", properties=[]), "`properties` takes an object of texts"),
        (line(raw="", properties={"a": 1}), "`properties` takes an object of texts"),
        (line(raw="", properties={"\ud800": ""}), "`properties` takes an object of texts"),
        (line(raw="", notify=True), "`raw` takes nothing but at, raw, properties, repeat"),
        (line(run="all"), "`run` takes flag_stuck or resync"),
        (line(run=["resync"]), "`run` takes flag_stuck or resync"),
        (line(run="resync", repeat=2), "`run` takes nothing but at, run"),
        (line(fault="tables"), "`fault` takes an object with service, op, status and count"),
        (fault(), "`service` takes tables or iothub or transitions"),
        (fault(service=["tables"], op="read"), "`service` takes tables or iothub or transitions"),
        (fault(service="tables"), "`op` of tables takes read or write"),
        (fault(service="tables", op="query"), "`op` of tables takes read or write"),
        (fault(service="iothub", op="write"), "`op` of iothub takes read or query"),
        (fault(service="transitions", op="read"), "`op` of transitions takes send or write"),
        (fault(service="tables", op="read", status=200), "`status` takes the HTTP status of a refusal, such as 429 or"),
        (fault(service="tables", op="read", status=599), "`status` takes the HTTP status of a refusal, such as 429 or"),
        (fault(service="tables", op="read", status=[]), "`status` takes the HTTP status of a refusal, such as 429 or"),
        (fault(service="tables", op="read", count=0), "`count` takes a whole number from 1 to 1000000000"),
        (fault(service="tables", op="read", count="2"), "`count` takes a whole number from 1 to 1000000000"),
        (fault(service="tables", op="read", retryAfter=-1), "`retryAfter` takes seconds from 0 to 3600"),
        (fault(service="tables", op="read", retryAfter=float("nan")), "`retryAfter` takes seconds from 0 to 3600"),
        (fault(service="tables", op="read", cut="yes"), "`cut` takes true or false"),
        (
            fault(service="tables", op="read", delay=1),
            "`fault of tables` takes nothing but service, op, status, count, retryAfter, cut",
        ),
        (fault(service="notify", op="write"), "`op` of notify takes send"),
        (fault(service="notify", op="send", status=200), "`status` takes the HTTP status of a refusal, such as 429 or"),
        (fault(service="notify", op="send", code=1), "`fault of notify` takes nothing but service, op, status, count"),
        (
            fault(service="transitions", op="send", cut=True),
            "`fault of transitions` takes nothing but service, op, status, count",
        ),
    ],
    ids=lambda text: text[:60],
)
def test_a_line_that_is_no_step_is_refused_with_its_number_and_what_it_takes(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        list(read_scenario(f"{line(delete='d')}\n\n{text}"))
    assert str(raised.value).startswith(f"line 3: {message}")
