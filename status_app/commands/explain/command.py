"""The command explain."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

from status_app.commands.exit_codes import ExitCode
from status_app.commands.explain.sentences import history, is_all_right, sentences
from status_app.commands.fleet_status import Answer, FleetStatus
from status_app.commands.terminal import printable

TRANSITIONS: Final = 8
"""How many of the last transitions are printed."""
LINE_LIMIT: Final = 2000
"""Characters of a line. A message has half as many."""


async def explain(
    fleet: FleetStatus, device_id: str, echo: Callable[[str], object], *, now: datetime, as_json: bool
) -> ExitCode:
    """Print what is wrong with a device, and what to do.

    Args:
        fleet: The source.
        device_id: The device.
        echo: Prints a line.
        now: The time in UTC.
        as_json: Print the API's answer instead of sentences; `null` for an unknown device.

    Returns:
        OK if nothing is wrong, FAILED if something is wrong or not done yet, UNKNOWN if the device is not known.

    Raises:
        UnavailableError: There is no answer now.
        RefusedError: Asking again is of no use.
    """
    device = await fleet.device(device_id)
    code = _code(device)
    if as_json:
        echo(json.dumps(device, indent=2))
        return code
    transitions = await fleet.transitions(device_id, TRANSITIONS)
    if device is not None:
        lines = [*sentences(device, transitions, now)]
    elif transitions:
        lines = [f"{device_id} is no longer in the hub.", *history(transitions)]
    else:
        lines = [f"{device_id} is not known. A device becomes known with its first twin change or the next resync."]
    for line in lines:
        echo(printable(line, LINE_LIMIT))
    return code


def _code(device: Answer | None) -> ExitCode:
    if device is None:
        return ExitCode.UNKNOWN
    return ExitCode.OK if is_all_right(device) else ExitCode.FAILED
