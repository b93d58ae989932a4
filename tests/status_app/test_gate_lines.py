"""What the gate prints: on a terminal, in a log, and of many devices."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from status_app.commands.gate.lines import (
    NAMED_DEVICES,
    Progress,
    before_lines,
    device_lines,
    progress_line,
    timeout_lines,
)
from status_app.commands.gate.rule import Device, GateCriteria, Judgement, Snapshot, judge
from status_core import Counts, Threshold

STANDARD = GateCriteria()
NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def device(number: int, message: str = "Not in their desired status: vision.") -> Device:
    return Device(f"edge-{number}", "module_failed", "backoff", message, NOW, NOW + timedelta(minutes=number))


def shown(out: io.StringIO, *steps: tuple[int, str]) -> str:
    """What is printed of lines that are shown some seconds after the start."""
    clock = Clock()
    progress = Progress(out, clock)
    for seconds, line in steps:
        clock.now = NOW + timedelta(seconds=seconds)
        progress.show(line, timedelta(minutes=30) - timedelta(seconds=seconds))
    progress.print_lines(["the end"])
    return out.getvalue()


def test_a_log_gets_a_line_when_something_changed_and_a_heartbeat_once_a_minute() -> None:
    steps = [(0, "a"), (15, "a"), (30, "b"), (45, "b"), (75, "b"), (90, "b"), (105, "b"), (120, "a")]
    assert shown(io.StringIO(), *steps).splitlines() == [
        "08:00:00Z  30:00 left  a",
        "08:00:30Z  29:30 left  b",
        "08:01:30Z  28:30 left  b",
        "08:02:00Z  28:00 left  a",
        "the end",
    ]


def test_a_terminal_gets_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "32")
    out = shown(Terminal(), (0, "a"), (1, "x" * 100))
    assert out == "\r\x1b[K08:00:00Z  30:00 left  a\r\x1b[K08:00:01Z  29:59 left  xxxxxxxx\r\x1b[Kthe end\n"


def test_only_so_many_devices_are_named_as_can_be_read_and_the_others_are_counted() -> None:
    devices = [device(number) for number in range(NAMED_DEVICES + 3)]
    lines = list(device_lines(devices, 40))
    assert len(lines) == NAMED_DEVICES + 1
    assert lines[0] == (
        "  edge-0   module_failed  backoff  stuck since 2026-01-05 08:00:00Z  Not in their desired status: vision."
    )
    assert lines[-1] == f"  and {40 - NAMED_DEVICES} more"
    assert not list(device_lines([], 0))


def test_a_name_and_a_message_can_neither_add_a_line_nor_change_the_terminal() -> None:
    out = io.StringIO()
    hostile = Device("a\nPASSED\x1b[2J", "invalid", "config_rejected", "b\r\nPASSED " + "c" * 5000, NOW, None)
    Progress(out, Clock()).print_lines([*device_lines([hostile], 1)])
    (line,) = out.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 500


STATES = {"successful": 2, "pending": 1, "in_progress": 1}
REASONS = [
    ("successful", "as_desired", 2),
    ("pending", "waiting_for_device", 1),
    ("in_progress", "pull_timed_out", 1),
]
CAUSE = {
    "cause": "pull_timed_out: vision", "reason": "pull_timed_out", "devices": 1, "peers": None,
    "advice": "Check its network.",
}  # fmt: skip
SNAPSHOT = Snapshot(Counts(4, 2), states=STATES, reasons=REASONS)
GOOD = Snapshot(Counts(2, 2), states={"successful": 2})


def judged(snapshot: Snapshot, criteria: GateCriteria) -> Judgement:
    return judge(snapshot, criteria, asked=NOW, now=NOW)


@pytest.mark.parametrize(
    ("snapshot", "criteria", "line"),
    [
        (Snapshot(), STANDARD, "r2: on no device yet"),
        (SNAPSHOT, STANDARD, "r2: 2 of 4 successful, 1 pending, 1 in_progress"),
        (
            SNAPSHOT,
            GateCriteria(min_devices=9),
            "r2: 2 of 4 successful, 1 pending, 1 in_progress, waiting for at least 9 devices",
        ),
        (GOOD, STANDARD, "r2: 2 of 2 successful, stable since 08:00:00Z"),
        (
            Snapshot(Counts(2, 1, failing=1), states={"successful": 1, "module_failed": 1}, suspects=[device(1)]),
            GateCriteria(Threshold.parse("50%")),
            "r2: 1 failing (50% allowed), 1 of 2 successful, 1 module_failed, stable since 08:00:00Z",
        ),
        (
            Snapshot(Counts(3, 1, settling=1, waiting=1), states={"successful": 3}),
            STANDARD,
            "r2: 1 of 3 successful, 1 settling, 1 waiting for the version",
        ),
        (
            replace(GOOD, listed_at=NOW),
            STANDARD,
            "r2: 2 of 2 successful, stable since 08:00:00Z, the hub's list is from before the first question",
        ),
        (Snapshot(listed_at=NOW), STANDARD, "r2: on no device yet, the hub's list is from before the first question"),
    ],
)
def test_the_progress_line_shows_failures_first_and_then_how_far_it_is(
    snapshot: Snapshot, criteria: GateCriteria, line: str
) -> None:
    assert progress_line("r2", snapshot, judged(snapshot, criteria), criteria) == line


def test_a_device_that_was_stuck_before_is_named_and_not_counted() -> None:
    criteria, old = GateCriteria(new_only=True), replace(device(0), stuck_since=NOW - timedelta(minutes=5))
    snapshot = Snapshot(Counts(2, 1, failing=1), states={"successful": 1, "module_failed": 1}, suspects=[old])
    judgement = judged(snapshot, criteria)
    assert "1 stuck before" in progress_line("r2", snapshot, judgement, criteria)
    assert next(iter(before_lines(judgement))) == "1 device stuck before the wait began, and not counted:"


@pytest.mark.parametrize(
    ("snapshot", "causes", "missing"),
    [
        (SNAPSHOT, [], ["1 device pending: waiting_for_device", "1 device in_progress: pull_timed_out"]),
        (
            SNAPSHOT,
            [CAUSE],
            ["1 device: pull_timed_out: vision. Check its network.", "1 device pending: waiting_for_device"],
        ),
        (SNAPSHOT, [CAUSE] * 21, [*["1 device: pull_timed_out"] * 20, "There are more causes", "1 device pending"]),
        (Snapshot(), [], ["Check the name of the deployment"]),
        (GOOD, [], ["Only time was missing."]),
    ],
)
def test_a_timeout_lists_what_is_missing_by_cause_or_else_by_reason(
    snapshot: Snapshot, causes: list[dict[str, Any]], missing: list[str]
) -> None:
    lines = list(timeout_lines("r2", snapshot, judged(snapshot, STANDARD), STANDARD, timedelta(minutes=30), causes))
    assert lines[0].startswith("TIMED OUT after PT30M: r2: ")
    assert len(lines) == 1 + len(missing)
    assert all(part in line for part, line in zip(missing, lines[1:], strict=True))
