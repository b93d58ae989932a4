"""What the gate prints: its progress, and what it came to."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TextIO

from status_app.commands.fleet_status import Answer
from status_app.commands.gate.look import MOST_CAUSES
from status_app.commands.gate.rule import Device, GateCriteria, Judgement, Look
from status_app.commands.terminal import printed, printed_time
from status_core import State, format_duration

NAMED_DEVICES: Final = 20
"""Devices that a report names; the others are counted."""
HEARTBEAT: Final = timedelta(minutes=1)
"""A log without a new line for so long looks like a command that hangs."""

_MESSAGE_LIMIT: Final = 300
"""Characters of a message; `explain` has the whole of it."""
_CLEAR_LINE: Final = "\r\x1b[K"


class Progress:
    """The progress of the gate: on a terminal one line that is rewritten, else a line when something has changed.

    Args:
        out: Where it is printed.
        clock: The time, in UTC.
    """

    def __init__(self, out: TextIO, clock: Callable[[], datetime]) -> None:
        self._out = out
        self._clock = clock
        self._is_terminal = out.isatty()
        self._shown = ""
        self._shown_at: datetime | None = None
        self._said: list[str] = []

    @property
    def said(self) -> list[str]:
        """How far it was at last, and the lines that stay."""
        return [self._shown, *self._said] if self._shown else self._said

    def show(self, line: str, left: timedelta = timedelta(0)) -> None:
        """Show how far it is; in a log only what is new, or a heartbeat.

        Args:
            line: How far it is, what matters most first: a terminal shows as much as its width holds.
            left: How long the gate still waits.
        """
        now = self._clock()
        minutes, seconds = divmod(max(0, round(left.total_seconds())), 60)
        told = printed(f"{now:%H:%M:%SZ}  {minutes}:{seconds:02} left  {line}")
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._print(f"{_CLEAR_LINE}{told[:width]}", end="")
        elif line != self._shown or self._shown_at is None or now - self._shown_at >= HEARTBEAT:
            self._print(told)
            self._shown_at = now
        self._shown = line

    def say(self, lines: Sequence[str]) -> None:
        """Print lines that stay."""
        self._said += lines
        for line in lines:
            self._print(f"{_CLEAR_LINE if self._is_terminal else ''}{printed(line)}")

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=self._out, flush=True)


def progress_line(name: str, look: Look, judgement: Judgement, criteria: GateCriteria) -> str:
    """How far a deployment is, in a line: what fails stands first."""
    counts = look.counts
    if not counts.devices:
        return f"{name}: on no device yet" if judgement.is_fresh else f"{name}: on no device yet{_STALE}"
    parts = [f"{judgement.failing} failing ({judgement.may_fail} may)"] if judgement.failing else []
    parts.append(f"{counts.successful} of {counts.devices} successful")
    states = [f"{count} {state}" for state, count in look.states.items() if count and state != State.SUCCESSFUL]
    parts += [f"{counts.settling} settling"] if counts.settling else []
    parts += [f"{counts.waiting} waiting for the version"] if counts.waiting else []
    parts += states
    parts += [f"{len(judgement.before)} stuck before"] if judgement.before else []
    if counts.devices < criteria.min_devices:
        parts.append(f"at least {criteria.min_devices} devices are waited for")
    if judgement.stable_since is not None:
        parts.append(f"stable since {judgement.stable_since:%H:%M:%SZ}")
    return f"{name}: {', '.join(parts)}{'' if judgement.is_fresh else _STALE}"


_STALE: Final = ", the hub's list is from before the first question"


def passed_lines(name: str, look: Look, judgement: Judgement, causes: Sequence[Answer]) -> Iterator[str]:
    """Report a deployment that has come through, and the devices of it that fail, if some may."""
    since = "" if judgement.stable_since is None else f", since {printed_time(judgement.stable_since)}"
    yield f"PASSED: {look.counts.successful} of {look.counts.devices} devices of {name} are successful{since}."
    if judgement.failing:
        yield f"{_devices(judgement.failing)} failing; {judgement.may_fail} may:"
        yield from cause_lines(causes)
        yield from device_lines(judgement.failed, judgement.failing)
    yield from before_lines(judgement)


def failed_lines(name: str, look: Look, judgement: Judgement, causes: Sequence[Answer]) -> Iterator[str]:
    """Report a deployment that has failed: for which causes, and on which devices."""
    failing = judgement.failing
    yield f"FAILED: {failing} of {look.counts.devices} devices of {name} are failing; {judgement.may_fail} may."
    yield from cause_lines(causes)
    yield from device_lines(judgement.failed, failing)
    if judgement.failed:
        yield f"python -m status_app explain {judgement.failed[0].device_id}   says more of a device."
    yield from before_lines(judgement)


def before_lines(judgement: Judgement) -> Iterator[str]:
    """The devices that were stuck before the wait began."""
    if judgement.before:
        yield f"{_devices(len(judgement.before))} stuck before the wait began, and not counted:"
        yield from device_lines(judgement.before, len(judgement.before))


def timeout_lines(  # noqa: PLR0913, PLR0917 (what was waited for, and what it came to)
    name: str,
    look: Look,
    judgement: Judgement,
    criteria: GateCriteria,
    timeout: timedelta,
    causes: Sequence[Answer],
) -> Iterator[str]:
    """Report a deployment that is not done in time: what is missing, by cause or else by reason."""
    yield f"TIMED OUT after {format_duration(timeout)}: {progress_line(name, look, judgement, criteria)}."
    if not look.counts.devices:
        yield "Check the name of the deployment and its target condition, and that the app receives twin changes."
    if judgement.stable_since is not None:
        yield f"Nothing is missing but {'time' if judgement.is_fresh else 'a newer list of the hub'}."
    yield from cause_lines(causes)
    explained = {cause["reason"] for cause in causes}
    for state, reason, count in look.reasons:
        if state != State.SUCCESSFUL and reason not in explained:
            yield f"  {_devices(count)} {state}: {reason}"


def cause_lines(causes: Sequence[Answer]) -> Iterator[str]:
    """A line for each cause, as the API answers them: its devices, what peers say of it, and what to do."""
    for cause in causes[:MOST_CAUSES]:
        says = (cause["peers"] or {}).get("says")
        yield " ".join(filter(None, (f"  {_devices(cause['devices'])}: {cause['cause']}.", says, cause["advice"])))
    if len(causes) > MOST_CAUSES:
        yield "  There are more causes: edge-status causes lists all of them."


def device_lines(devices: Sequence[Device], total: int) -> Iterator[str]:
    """A line for each device, as far as they can be read, in columns; then how many more there are."""
    named = devices[:NAMED_DEVICES]
    cells = [
        (device.device_id, device.state, device.reason, f"{'stuck ' if device.stuck_since else ''}since")
        for device in named
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for device, row in zip(named, cells, strict=True):
        columns = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        message = printed(device.message, _MESSAGE_LIMIT)
        yield f"  {columns} {printed_time(device.wrong_since)}  {message}"
    if total > len(named):
        yield f"  and {total - len(named)} more"


def device_json(device: Device) -> dict[str, Any]:
    """A device, as `--json` has it."""
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
