"""Scenario files through the real app: when something becomes stuck, when it recovers, and what heals."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from few_shards import few_shards

from local.replay import replay
from local.scenario import read_scenario

type Result = Mapping[str, list[Any]]

FOLDER: Final = Path(__file__).parent / "scenarios"
TURNS: Final[Mapping[str, list[str]]] = {
    # Up for ten seconds of each minute, the timer once in each phase.
    "crash_loop": ["edge-01 stuck camera 08:16:00 backoff"],
    # The module's own label sets an hour; the timer comes at 17, 60 and 61 minutes.
    "slow_pull": ["edge-01 stuck camera 09:01:00 pull_failed"],
    # Two modules of a new version, and a device that never takes it.
    "device_off": ["edge-02 stuck  08:16:00 waiting_for_device"],
    # Version 2, ten minutes in, touches vision alone.
    "version_leaves_a_module_alone": [
        "edge-01 stuck camera 08:16:00 backoff",
        "edge-01 stuck vision 08:25:00 skipped",
    ],
    # Five reasons, then it runs; the timer comes a second before the end of the window, at its end, and later.
    "recovery": ["edge-01 stuck camera 08:16:00 status_unknown", "edge-01 recovered camera 08:30:00 as_desired"],
    "lost_notifications": [
        "lost-delete deleted  08:30:00 deleted",
        "lost-failure stuck camera 08:18:00 backoff",
        "lost-recreated stuck  08:19:00 never_reported",
        "lost-version stuck  08:18:00 waiting_for_device",
    ],
    # Two runs of the timer get no answer, the next two do.
    "hub_does_not_answer": ["edge-01 stuck camera 08:16:00 backoff_unverified"],
    "event_hub_refuses": [],
    # Three devices take a version; one fails, gets stuck, and recovers.
    "deployment": ["edge-02 stuck camera 08:15:00 backoff", "edge-02 recovered camera 08:35:00 as_desired"],
}


def play(name: str, tables: str) -> Result:
    """Replay a scenario over a table service without any table."""
    with few_shards():
        return asyncio.run(replay(read_scenario((FOLDER / f"{name}.jsonl").read_text()), tables))


@pytest.fixture(scope="module")
def results(accounts: Iterator[str]) -> Mapping[str, Result]:
    """The result of each scenario."""
    return {name: play(name, next(accounts)) for name in TURNS}


def history(result: Result) -> dict[str, list[Any]]:
    """The transition rows of each device, oldest first."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in result["rows"]:
        if row["RowKey"].startswith("transition:"):
            found[row["PartitionKey"]].insert(0, row)
    return found


def state(result: Result, device: str, key: str) -> Any:
    return next(row for row in result["rows"] if (row["PartitionKey"], row["RowKey"]) == (device, key))


def test_each_file_is_played() -> None:
    assert sorted(TURNS) == sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@pytest.mark.parametrize("name", TURNS)
def test_what_becomes_stuck_recovers_or_goes_is_announced_once_at_its_time(
    results: Mapping[str, Result], name: str
) -> None:
    announced = [
        f"{device} {row['Kind']} {row['Module']} {row['At'][11:19]} {row['Reason']}"
        for device, rows in history(results[name]).items()
        for row in rows
        if row["Kind"] not in ("device", "module")
    ]
    assert announced == TURNS[name]


@pytest.mark.parametrize("name", TURNS)
def test_each_transition_is_there_once_in_order_and_is_published_in_order(
    results: Mapping[str, Result], name: str
) -> None:
    result = results[name]
    ids: dict[str, list[str]] = defaultdict(list)
    for event in result["events"]:
        if "deviceId" in event["data"]:
            ids[event["data"]["deviceId"]].append(event["id"])
    for device, rows in history(result).items():
        assert [row["Sequence"] for row in rows] == list(range(1, len(rows) + 1))
        assert [row["At"] for row in rows] == sorted(row["At"] for row in rows)
        assert list(dict.fromkeys(ids[device])) == [row["EventId"] for row in rows]
    assert result["deadLetters"] == []


@pytest.mark.parametrize("name", TURNS)
def test_a_row_is_stuck_where_its_last_flag_is_stuck(results: Mapping[str, Result], name: str) -> None:
    result = results[name]
    stuck: set[tuple[str, str]] = set()
    for device, rows in history(result).items():
        for row in rows:
            place = device, f"module:{row['Module']}" if row["Module"] else "device"
            change: Callable[[Any], None] = stuck.add if row["Kind"] == "stuck" else stuck.discard
            if row["Kind"] in ("stuck", "recovered", "deleted"):
                change(place)
    flagged = {(row["PartitionKey"], row["RowKey"]) for row in result["rows"] if row.get("Stuck")}
    assert flagged == stuck


def test_a_crash_loop_keeps_its_clock_and_a_flapping_reason_moves_none(results: Mapping[str, Result]) -> None:
    loop = state(results["crash_loop"], "edge-01", "module:camera")
    assert (loop["UnsettledSince"], loop["StuckSince"]) == ("2026-01-05T08:01:00Z", "2026-01-05T08:16:00Z")
    news = [(row["Kind"], row["ToState"]) for row in history(results["recovery"])["edge-01"]]
    assert news == [
        ("device", "successful"),
        ("module", "wrong_status"),
        ("device", "module_failed"),
        ("stuck", "wrong_status"),
        ("recovered", "settled"),
        ("module", "settled"),
        ("device", "successful"),
    ]


def test_a_crash_loop_is_few_news_and_never_called_successful_again(
    results: Mapping[str, Result], accounts: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTORY_LIMIT", "8")
    for result in (results["crash_loop"], play("crash_loop", next(accounts))):
        rows = history(result)["edge-01"]
        assert max(len(rows), len(result["events"])) <= 12
        assert [row["Initial"] for row in rows if row["ToState"] == "successful"] == [True]
        assert [row["Module"] for row in rows if row["Kind"] == "stuck"] == ["camera"]


def test_the_modules_of_a_device_that_is_off_are_not_flagged(results: Mapping[str, Result]) -> None:
    rows = [row for row in results["device_off"]["rows"] if row["RowKey"].startswith("module:")]
    assert [(row["State"], row["Stuck"]) for row in rows] == [("pending", False)] * 2


def test_what_was_lost_is_healed_with_the_times_of_the_hub(results: Mapping[str, Result]) -> None:
    result = results["lost_notifications"]
    since = {
        device: state(result, device, "device")["Since"][11:19] for device in history(result).keys() - {"lost-delete"}
    }
    assert since == {
        "lost-failure": "08:03:00",
        "lost-new": "08:00:00",
        "lost-recreated": "08:04:00",
        "lost-settled": "08:03:00",
        "lost-version": "08:03:00",
    }


def test_a_flag_that_could_not_be_verified_gets_its_plain_reason_with_the_next_answer(
    results: Mapping[str, Result],
) -> None:
    assert state(results["hub_does_not_answer"], "edge-01", "module:camera")["Reason"] == "backoff"


def test_states_are_written_on_time_while_the_event_hub_refuses(results: Mapping[str, Result]) -> None:
    rows = history(results["event_hub_refuses"])["edge-01"]
    assert all(row["ObservedAt"] == row["At"] for row in rows)
    assert len(rows) == 13


def test_a_deployment_starts_fails_stalls_and_is_completed_each_once_at_its_time(
    results: Mapping[str, Result],
) -> None:
    announced = [
        (event["type"], event["time"][11:19], event["data"]["version"], event["data"]["states"])
        for event in results["deployment"]["events"]
        if "deviceId" not in event["data"]
    ]
    assert announced == [
        ("edge.deployment.started", "08:00:30", 1, {"pending": 3}),
        ("edge.deployment.first_failure", "08:18:00", 1, {"module_failed": 1, "successful": 2}),  # it is stuck
        ("edge.deployment.stalled", "08:21:00", 1, {"module_failed": 1, "successful": 2}),
        ("edge.deployment.completed", "08:35:00", 1, {"successful": 3}),
    ]
