"""What the gate prints: on a terminal, in a log, and of many devices."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from status_app.commands.gate.lines import NAMED_DEVICES, Progress, device_lines, progress_line, timeout_lines
from status_app.commands.gate.rule import Device, GateCriteria, Look, judge

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
        progress.show(line)
    progress.say(["the end"])
    return out.getvalue()


def test_a_log_gets_a_line_when_something_changed_and_a_heartbeat_once_a_minute() -> None:
    steps = [(0, "a"), (15, "a"), (30, "b"), (45, "b"), (75, "b"), (90, "b"), (105, "b"), (120, "a")]
    assert shown(io.StringIO(), *steps).splitlines() == [
        "08:00:00Z  a",
        "08:00:30Z  b",
        "08:01:30Z  b",
        "08:02:00Z  a",
        "the end",
    ]


def test_a_terminal_gets_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out = shown(Terminal(), (0, "a"), (1, "x" * 100))
    assert out == "\r\x1b[K08:00:00Z  a\r\x1b[K08:00:01Z  xxxxxxxx\r\x1b[Kthe end\n"


def test_no_more_devices_are_named_than_can_be_read_and_the_others_are_counted() -> None:
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
    Progress(out, Clock()).say([*device_lines([hostile], 1)])
    (line,) = out.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 500


LOOK = Look(devices=4, states={"successful": 2, "pending": 1, "in_progress": 1}, reasons=[
    ("successful", "as_desired", 2), ("pending", "waiting_for_device", 1), ("in_progress", "pull_timed_out", 1),
])  # fmt: skip


@pytest.mark.parametrize(
    ("look", "criteria", "line"),
    [
        (Look(), STANDARD, "r2: credited on no device yet"),
        (LOOK, STANDARD, "r2: 2 of 4 devices successful, 1 pending, 1 in_progress"),
        (LOOK, GateCriteria(min_devices=9),
         "r2: 2 of 4 devices successful, 1 pending, 1 in_progress, at least 9 devices are waited for"),
        (Look(devices=2, states={"successful": 2}), STANDARD, "r2: 2 of 2 devices successful, stable since 08:00:00Z"),
        (Look(devices=2, states={"successful": 1, "module_failed": 1}, suspects=[device(1)]), GateCriteria(1),
         "r2: 1 of 2 devices successful, 1 module_failed, 1 failed or stuck (1 may), stable since 08:00:00Z"),
        (Look(devices=1, states={"successful": 1}, suspects=[Device("d", "successful", "", "", NOW, NOW)]), STANDARD,
         "r2: 0 of 1 devices successful, 1 recovering"),
    ],
)  # fmt: skip
def test_the_progress_line_says_how_far_it_is(look: Look, criteria: GateCriteria, line: str) -> None:
    assert progress_line("r2", look, judge(None, look, criteria, NOW), criteria) == line


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (LOOK, ["1 device pending: waiting_for_device", "1 device in_progress: pull_timed_out"]),
        (Look(), ["Check the name of the deployment"]),
        (Look(devices=2, states={"successful": 2}), ["Nothing is missing but the stability window of PT1M"]),
    ],
)
def test_at_the_timeout_it_is_said_what_is_missing(look: Look, told: list[str]) -> None:
    lines = list(timeout_lines("r2", look, judge(None, look, STANDARD, NOW), STANDARD, timedelta(minutes=30)))
    assert lines[0].startswith("TIMED OUT after PT30M: r2: ")
    assert len(lines) == 1 + len(told)
    assert all(part in line for part, line in zip(told, lines[1:], strict=True))
