"""The command explain."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

from status_app.commands.exit_codes import ExitCode
from status_app.commands.explain.sentences import history, is_all_right, sentences
from status_app.commands.fleet_status import Answer, FleetStatus
from status_app.commands.terminal import printed

TRANSITIONS: Final = 8
"""The last transitions that are told."""
LINE_LIMIT: Final = 2000
"""Characters of a line: a message has half as many."""


async def explain(
    fleet: FleetStatus, device_id: str, tell: Callable[[str], object], *, now: datetime, as_json: bool
) -> ExitCode:
    """Tell what is wrong with a device, and what to do.

    Args:
        fleet: What is asked.
        device_id: The device.
        tell: Takes each line.
        now: The time, in UTC.
        as_json: Tell the API's answer in the place of sentences; `null` of a device that is not known.

    Returns:
        OK: nothing is wrong; FAILED: something is, or is not done yet; UNKNOWN: the device is not known.

    Raises:
        UnavailableError: There is no answer now.
        RefusedError: There is no use in asking.
    """
    device = await fleet.device(device_id)
    code = _code(device)
    if as_json:
        tell(json.dumps(device, indent=2))
        return code
    transitions = await fleet.transitions(device_id, TRANSITIONS)
    if device is not None:
        lines = [*sentences(device, transitions, now)]
    elif transitions:
        lines = [f"{device_id} is no longer in the hub.", *history(transitions)]
    else:
        lines = [f"{device_id} is not known. A device is from its first twin change, or from the next resync on."]
    for line in lines:
        tell(printed(line, LINE_LIMIT))
    return code


def _code(device: Answer | None) -> ExitCode:
    if device is None:
        return ExitCode.UNKNOWN
    return ExitCode.OK if is_all_right(device) else ExitCode.FAILED
