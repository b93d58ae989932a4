"""What the gate prints: its progress, and what it came to."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, TextIO

from status_app.commands.gate.rule import Device, GateCriteria, Judgement, Look
from status_app.commands.terminal import printed, printed_time
from status_core import State, format_duration

NAMED_DEVICES: Final = 20
"""Devices that a report names; the others are counted."""
HEARTBEAT: Final = timedelta(minutes=1)
"""A log without a new line for so long looks like a command that hangs."""

_MESSAGE_LIMIT: Final = 300
"""Characters of a message; `explain` tells the whole of it."""
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

    def show(self, line: str) -> None:
        """Show how far it is; in a log only what is new, or a heartbeat."""
        now = self._clock()
        told = printed(f"{now:%H:%M:%SZ}  {line}")
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._print(f"{_CLEAR_LINE}{told[:width]}", end="")
        elif line != self._shown or self._shown_at is None or now - self._shown_at >= HEARTBEAT:
            self._print(told)
            self._shown_at = now
        self._shown = line

    def say(self, lines: Sequence[str]) -> None:
        """Print lines that stay."""
        for line in lines:
            self._print(f"{_CLEAR_LINE if self._is_terminal else ''}{printed(line)}")

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=self._out, flush=True)


def progress_line(deployment: str, look: Look, judgement: Judgement, criteria: GateCriteria) -> str:
    """How far a deployment is, in a line."""
    if not look.devices:
        return f"{deployment}: credited on no device yet"
    parts = [f"{deployment}: {judgement.successful} of {look.devices} devices successful"]
    parts += [f"{count} {state}" for state, count in look.states.items() if count and state != State.SUCCESSFUL]
    if judgement.recovering:
        parts.append(f"{judgement.recovering} recovering")
    if judgement.failed:
        parts.append(f"{len(judgement.failed)} failed or stuck ({criteria.max_failed} may)")
    if look.devices < criteria.min_devices:
        parts.append(f"at least {criteria.min_devices} devices are waited for")
    if judgement.stable_since is not None:
        parts.append(f"stable since {judgement.stable_since:%H:%M:%SZ}")
    return ", ".join(parts)


def passed_lines(deployment: str, look: Look, judgement: Judgement, criteria: GateCriteria) -> Iterator[str]:
    """What is said of a deployment that has come through."""
    window = format_duration(criteria.stable_after)
    yield f"PASSED: {judgement.successful} of {look.devices} devices of {deployment} are successful, for {window}."
    if judgement.failed:
        yield f"{_devices(len(judgement.failed))} failed or stuck; {criteria.max_failed} may:"
        yield from device_lines(judgement.failed, len(judgement.failed))


def failed_lines(deployment: str, look: Look, judgement: Judgement, criteria: GateCriteria) -> Iterator[str]:
    """What is said of a deployment that has not come through: which devices, and why."""
    count = len(judgement.failed)
    yield f"FAILED: {count} of {look.devices} devices of {deployment} failed or are stuck; {criteria.max_failed} may."
    yield from device_lines(judgement.failed, count)
    yield f"python -m status_app explain {judgement.failed[0].device_id}   says more of a device."


def timeout_lines(
    deployment: str, look: Look, judgement: Judgement, criteria: GateCriteria, timeout: timedelta
) -> Iterator[str]:
    """What is said of a deployment that is not done in time: what is missing, by its cause."""
    yield f"TIMED OUT after {format_duration(timeout)}: {progress_line(deployment, look, judgement, criteria)}."
    if not look.devices:
        yield "Check the name of the deployment and its target condition, and that the app receives twin changes."
    if judgement.stable_since is not None:
        yield f"Nothing is missing but the stability window of {format_duration(criteria.stable_after)}."
    for state, reason, count in look.reasons:
        if state != State.SUCCESSFUL:
            yield f"  {_devices(count)} {state}: {reason}"


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


def _devices(count: int) -> str:
    return f"{count} device{'' if count == 1 else 's'}"
