"""What the gate prints: its progress and its outcome."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TextIO

from status_app.commands.fleet_status import Answer
from status_app.commands.gate.rule import Device, GateCriteria, Judgement, Snapshot
from status_app.commands.gate.snapshot import MORE_CAUSES, MOST_CAUSES
from status_app.commands.terminal import printable, printable_time
from status_core import State, format_duration

NAMED_DEVICES: Final = 20
"""Devices that a report names; further ones are only counted."""
HEARTBEAT: Final = timedelta(minutes=1)
"""How long a log may go without a new line: a silent command seems to hang."""

_MESSAGE_LIMIT: Final = 300
"""Characters of a message; `explain` shows all of it."""
_CLEAR_LINE: Final = "\r\x1b[K"


class Progress:
    """The progress of the gate. A terminal gets one line that is rewritten, a log a new line for each change.

    Args:
        out: Where to print.
        clock: Returns the time in UTC.
    """

    def __init__(self, out: TextIO, clock: Callable[[], datetime]) -> None:
        self._out = out
        self._clock = clock
        self._is_terminal = out.isatty()
        self._shown = ""
        self._shown_at: datetime | None = None
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        """The last progress, and the lines printed so far."""
        return [self._shown, *self._lines] if self._shown else self._lines

    def show(self, line: str, left: timedelta = timedelta(0)) -> None:
        """Show the progress. A log only gets what is new, or a heartbeat.

        Args:
            line: The progress, most important first: a terminal shows as much as fits.
            left: How long the gate still waits.
        """
        now = self._clock()
        minutes, seconds = divmod(max(0, round(left.total_seconds())), 60)
        text = printable(f"{now:%H:%M:%SZ}  {minutes}:{seconds:02} left  {line}")
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._print(f"{_CLEAR_LINE}{text[:width]}", end="")
        elif line != self._shown or self._shown_at is None or now - self._shown_at >= HEARTBEAT:
            self._print(text)
            self._shown_at = now
        self._shown = line

    def print_lines(self, lines: Sequence[str]) -> None:
        """Print lines that stay."""
        self._lines += lines
        for line in lines:
            self._print(f"{_CLEAR_LINE if self._is_terminal else ''}{printable(line)}")

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=self._out, flush=True)


def progress_line(name: str, snapshot: Snapshot, judgement: Judgement, criteria: GateCriteria) -> str:
    """Format the progress of a deployment as one line, failures first."""
    counts = snapshot.counts
    if not counts.devices:
        return f"{name}: on no device yet" if judgement.is_fresh else f"{name}: on no device yet{_STALE}"
    parts = [f"{judgement.failing} failing ({judgement.may_fail} allowed)"] if judgement.failing else []
    parts.append(f"{counts.successful} of {counts.devices} successful")
    states = [f"{count} {state}" for state, count in snapshot.states.items() if count and state != State.SUCCESSFUL]
    parts += [f"{counts.settling} settling"] if counts.settling else []
    parts += [f"{counts.waiting} waiting for the version"] if counts.waiting else []
    parts += states
    parts += [f"{len(judgement.before)} stuck before"] if judgement.before else []
    if counts.devices < criteria.min_devices:
        parts.append(f"waiting for at least {criteria.min_devices} devices")
    if judgement.stable_since is not None:
        parts.append(f"stable since {judgement.stable_since:%H:%M:%SZ}")
    return f"{name}: {', '.join(parts)}{'' if judgement.is_fresh else _STALE}"


_STALE: Final = ", the hub's list is from before the first question"


def passed_lines(name: str, snapshot: Snapshot, judgement: Judgement, causes: Sequence[Answer]) -> Iterator[str]:
    """Report a deployment that has succeeded, and its devices that fail, if some may."""
    since = "" if judgement.stable_since is None else f", since {printable_time(judgement.stable_since)}"
    yield f"PASSED: {snapshot.counts.successful} of {snapshot.counts.devices} devices of {name} are successful{since}."
    if judgement.failing:
        yield f"{_devices(judgement.failing)} failing, {judgement.may_fail} allowed:"
        yield from cause_lines(causes)
        yield from device_lines(judgement.failed, judgement.failing)
    yield from before_lines(judgement)


def failed_lines(name: str, snapshot: Snapshot, judgement: Judgement, causes: Sequence[Answer]) -> Iterator[str]:
    """Report a deployment that has failed: the causes, then the devices."""
    failing = judgement.failing
    yield f"FAILED: {failing} of {snapshot.counts.devices} devices of {name} are failing, {judgement.may_fail} allowed."
    yield from cause_lines(causes)
    yield from device_lines(judgement.failed, failing)
    if judgement.failed:
        yield f"python -m status_app explain {judgement.failed[0].device_id}   shows more about a device."
    yield from before_lines(judgement)


def before_lines(judgement: Judgement) -> Iterator[str]:
    """Yield the devices that were stuck before the wait began."""
    if judgement.before:
        yield f"{_devices(len(judgement.before))} stuck before the wait began, and not counted:"
        yield from device_lines(judgement.before, len(judgement.before))


def timeout_lines(  # noqa: PLR0913, PLR0917 (what was waited for, and the result)
    name: str,
    snapshot: Snapshot,
    judgement: Judgement,
    criteria: GateCriteria,
    timeout: timedelta,
    causes: Sequence[Answer],
) -> Iterator[str]:
    """Report a deployment that is not done in time: what is missing, by cause, or by reason if it has no cause."""
    yield f"TIMED OUT after {format_duration(timeout)}: {progress_line(name, snapshot, judgement, criteria)}."
    if not snapshot.counts.devices:
        yield "Check the name of the deployment and its target condition, and that the app receives twin changes."
    if judgement.stable_since is not None:
        yield "Only time was missing." if judgement.is_fresh else "Only a newer list from the hub was missing."
    yield from cause_lines(causes)
    explained = {cause["reason"] for cause in causes}
    for state, reason, count in snapshot.reasons:
        if state != State.SUCCESSFUL and reason not in explained:
            yield f"  {_devices(count)} {state}: {reason}"


def cause_lines(causes: Sequence[Answer]) -> Iterator[str]:
    """Yield a line per cause, as the API answers them: its devices, what the other devices show, and what to do."""
    for cause in causes[:MOST_CAUSES]:
        says = (cause["peers"] or {}).get("says")
        yield " ".join(filter(None, (f"  {_devices(cause['devices'])}: {cause['cause']}.", says, cause["advice"])))
    if len(causes) > MOST_CAUSES:
        yield f"  {MORE_CAUSES}"


def device_lines(devices: Sequence[Device], total: int) -> Iterator[str]:
    """Yield a line per device, in columns, then the number of further devices."""
    named = devices[:NAMED_DEVICES]
    cells = [
        (device.device_id, device.state, device.reason, f"{'stuck ' if device.stuck_since else ''}since")
        for device in named
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for device, row in zip(named, cells, strict=True):
        columns = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        message = printable(device.message, _MESSAGE_LIMIT)
        yield f"  {columns} {printable_time(device.wrong_since)}  {message}"
    if total > len(named):
        yield f"  and {total - len(named)} more"


def device_json(device: Device) -> dict[str, Any]:
    """Return a device as `--json` shows it."""
    return {
        "deviceId": device.device_id,
        "state": device.state,
        "reason": device.reason,
        "message": device.message,
        "since": device.since.isoformat(),
        "stuckSince": None if device.stuck_since is None else device.stuck_since.isoformat(),
    }


def _devices(count: int) -> str:
    return f"{count} device{'' if count == 1 else 's'}"
