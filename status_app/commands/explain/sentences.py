"""Explains a device in sentences: its state, since when, why, the evidence, and what to do next."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from status_app.commands.fleet_status import Answer
from status_app.commands.terminal import printable_time
from status_core import EDGE_AGENT, UNVERIFIED, Flag, ModuleState, Portal, Reason, State, ago, known_reason, steps

_AT_REST: Final = (State.SUCCESSFUL, State.NO_DEPLOYMENT)
_NAMED_EVIDENCE: Final = 5
"""Comparisons that are shown for a module; `--json` has the rest."""

_FLAGS: Final[Mapping[str, str]] = {
    Flag.AGENT_UNAVAILABLE: "The agent said that it is stopping.",
    Flag.VERSION_REGRESSED: "It reports a later version than the hub desires: its identity was created again.",
    Flag.AGENT_STATUS_UNKNOWN: "The agent reports success, but its own status as unknown.",
    Flag.NOT_CREDITED: "Deployments target it, but none of them is applied.",
}
_PORTAL_WHY: Final[Mapping[str, str]] = {
    Portal.APPLIED: "as applied, neither successful nor failed: they have no result for the desired version",
    Portal.SUCCESSFUL: "as successful: they look only at the agent's code, not at modules or images",
    Portal.FAILED: "as failed: the agent's code is not 200, as it is during a slow pull too",
}


def is_all_right(device: Answer) -> bool:
    """Whether the device needs no attention: successful, or without a deployment, and nothing is stuck."""
    return device["state"] in _AT_REST and not device["stuck"]


def sentences(device: Answer, transitions: Sequence[Answer], now: datetime) -> Iterator[str]:
    """Yield the lines that explain a device.

    Args:
        device: The device, as the API returns it.
        transitions: Its last transitions, newest first.
        now: The time in UTC.
    """
    yield from _state(device, now)
    yield from _deployments(device)
    yield from _counters(device)
    yield ""
    yield from _modules(device)
    if transitions:
        yield ""
        yield from history(transitions)
    yield ""
    yield from _next_steps(device)


def history(transitions: Sequence[Answer]) -> Iterator[str]:
    """Yield the last transitions, newest first."""
    yield "Last transitions:"
    for item in transitions:
        change = f"{item['fromState'] or 'nothing'} -> {item['toState'] or 'nothing'}"
        what = item["kind"] if item["kind"] in ("stuck", "recovered", "deleted") else change
        yield f"  {_time(item['at'])}  {item['module'] or 'device'}: {what} ({item['reason']})"


def _state(device: Answer, now: datetime) -> Iterator[str]:
    yield f"{device['deviceId']} is {device['state']} since {_since(device['since'], now)}: {device['reason']}."
    yield f"  {device['message']}"
    if device["state"] not in _AT_REST:
        yield from _evidence(device, EDGE_AGENT)
    if device["stuckSince"] is not None:
        yield f"Something on it has been stuck since {_since(device['stuckSince'], now)}."
    elif device["unsettledSince"] is not None and device["state"] not in _AT_REST:
        yield f"It has not been as desired since {_since(device['unsettledSince'], now)}; {_due(device)}."
    yield from (_FLAGS[flag] for flag in device["flags"] if flag in _FLAGS)
    if device["reason"].endswith(UNVERIFIED):
        yield "IoT Hub did not answer at the last read; this is the state from before."
    yield f"Last change {_since(device['at'], now)}; its twin was last read {_since(device['observedAt'], now)}."


def _deployments(device: Answer) -> Iterator[str]:
    if device["deployments"]:
        yield f"Applied: {', '.join(device['deployments'])}."
    else:
        yield "No deployment of the hub is applied; anything desired was set for this device alone."
    if device["targeted"]:
        yield f"Targeted only: {', '.join(device['targeted'])}."
    if device["desiredVersion"] is not None:
        taken = device["lastDesiredVersion"]
        reported = "no version" if taken is None else f"version {taken}"
        code = "" if device["statusCode"] is None else f", with code {device['statusCode']}"
        yield f"Version {device['desiredVersion']} is desired; the agent reports {reported}{code}."


def _counters(device: Answer) -> Iterator[str]:
    portal = device["portal"]
    if portal not in _PORTAL_WHY:
        yield "IoT Hub's own counters do not count it: no deployment is applied."
    elif portal == Portal.SUCCESSFUL and device["state"] == State.SUCCESSFUL:
        yield "IoT Hub's own counters count it as successful too."
    else:
        yield f"IoT Hub's own counters count it {_PORTAL_WHY[portal]}."


def _modules(device: Answer) -> Iterator[str]:
    counts = device["modules"]
    yield f"Modules: {counts['settled']} of {counts['total']} settled, {counts['stuck']} stuck."
    unknown = [module["module"] for module in device["moduleStates"] if _is_unknown(module)]
    if unknown:
        yield f"  {', '.join(unknown)}: not known; the device's report does not cover them."
    for module in device["moduleStates"]:
        if _is_settled(module):
            yield f"  {module['module']}: settled."
        elif not _is_unknown(module):
            stuck = f"stuck since {_time(module['stuckSince'])}" if module["stuck"] else _due(module)
            since = f"{module['state']} since {_time(module['since'])}"
            yield f"  {module['module']}: {since}, {module['reason']}, {stuck}."
            yield f"    {module['message']}"
            yield from _evidence(device, module["module"])


def _evidence(device: Answer, part: str) -> Iterator[str]:
    """Yield the comparisons that differ, or all if none does. The device's leave out those of its modules."""
    compared = device["evidence"].get(part) or []
    if part == EDGE_AGENT:
        shown = [module["module"] for module in device["moduleStates"] if not _is_settled(module)]
        paths = {item["path"] for name in shown for item in device["evidence"].get(name) or []}
        compared = [item for item in compared if item["path"] not in paths]
    differing = [item for item in compared if item["value"] != item["expected"]]
    for item in (differing or compared)[:_NAMED_EVIDENCE]:
        where = f" ({item['expectedPath']})" if item["expectedPath"] else ""
        yield f"    {item['path']} is {json.dumps(item['value'])}; compared with {json.dumps(item['expected'])}{where}"


def _next_steps(device: Answer) -> Iterator[str]:
    if is_all_right(device):
        yield "There is nothing to do."
        return
    if device["state"] in _AT_REST:
        yield "Wait: what was stuck is as desired again, and recovers once that has lasted for its whole window."
        return
    yield "What to do:"
    about: dict[str, list[Answer]] = {device["reason"]: []}
    for module in device["moduleStates"]:
        if not _is_settled(module) and not _is_unknown(module):
            about.setdefault(module["reason"], []).append(module)
    for reason in sorted(about, key=_severity):
        names = [module["module"] for module in about[reason]]
        yield f"  {reason}{f' ({", ".join(names)})' if names else ''}:"
        name, image = (names[0], about[reason][0]["desiredImage"]) if names else ("MODULE", None)
        yield from (f"    {n}. {step}" for n, step in enumerate(steps(reason, device["deviceId"], name, image), 1))


def _is_settled(module: Answer) -> bool:
    return module["state"] == ModuleState.SETTLED and not module["stuck"]


def _is_unknown(module: Answer) -> bool:
    """Whether it has the device's state because the report does not cover it."""
    return module["state"] in (ModuleState.PENDING, ModuleState.UNKNOWN) and not module["stuck"]


def _severity(reason: str) -> int:
    known = known_reason(reason)
    return known.rank if known is not None else len(Reason)


def _due(part: Answer) -> str:
    return "no deadline" if part["stuckAt"] is None else f"stuck from {_time(part['stuckAt'])} on"


def _time(text: str) -> str:
    return printable_time(datetime.fromisoformat(text))


def _since(text: str, now: datetime) -> str:
    """Format a time, and how long ago it was."""
    return f"{_time(text)} ({ago(datetime.fromisoformat(text), now)})"
