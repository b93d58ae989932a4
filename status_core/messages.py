"""One sentence a person can act on, for a device and for a module, with the agent's own words."""

from collections.abc import Sequence
from typing import Final

from status_core.comparison import Comparison
from status_core.reading import clean
from status_core.reasons import Reason
from status_core.rules import Verdict
from status_core.states import ModuleState, State
from status_core.twin import Twin

MESSAGE_LIMIT: Final = 1024
"""Characters of a message, the agent's description included."""
_QUOTED_LIMIT: Final = 200
_NAMED_MODULES: Final = 3

_DEVICE: Final[dict[Reason, str]] = {
    Reason.NOTHING_DESIRED: "No deployment asks anything of this device.",
    Reason.CONFIG_REJECTED: "The agent cannot read the manifest of version {version}; correct the deployment.",
    Reason.SCHEMA_VERSION_REJECTED: "The agent does not know the schemaVersion of version {version}; use 1.0 or 1.1.",
    Reason.NEVER_REPORTED: "The device has never reported a deployment; check that it is connected.",
    Reason.WAITING_FOR_DEVICE: "The device has not taken version {version} and is still at {taken}: it is offline, "
    "or busy and reports nothing meanwhile.",
    Reason.VERSION_REGRESSED: "The device reports version {taken}, later than the desired {version}: its identity was "
    "created anew and the agent has not read the new twin.",
    Reason.EMPTY_REPORTED: "The agent says that version {version} is empty, though it holds modules.",
    Reason.RUNTIME_UNREACHABLE: "The container runtime does not answer the agent; check iotedge and the container "
    "engine on the device. Its modules may be running.",
    Reason.PULL_FAILED: "An image of version {version} cannot be pulled; check its name, its tag and the registry's "
    "credentials.",
    Reason.PULL_TIMED_OUT: "A pull of version {version} takes longer than the agent waits; it probably goes on.",
    Reason.STEP_TIMED_OUT: "The container runtime answered too late; the agent tries again.",
    Reason.START_FAILED: "A module of version {version} cannot be started; check its ports, mounts and createOptions.",
    Reason.STOP_FAILED: "A module cannot be stopped or removed; the agent tries again.",
    Reason.CREATE_FAILED: "A module of version {version} cannot be created; check its createOptions.",
    Reason.IDENTITY_FAILED: "The identity of a module cannot be obtained; check the identity service on the device.",
    Reason.STATUS_UNREADABLE: "A container is in a status that the agent cannot read; look at it on the device.",
    Reason.PLAN_FAILED: "A step of version {version} failed; the agent tries again.",
    Reason.RETRYING: "An old agent (1.0.8.3 to 1.0.9) waits before it tries version {version} again.",
    Reason.STATUS_MISSING: "The agent took version {version} and has not said how it went.",
    Reason.AGENT_UPDATING: "The agent replaces itself by its image of version {version}.",
    Reason.AS_DESIRED: "Every module is what version {version} wants.",
    Reason.UNKNOWN_CODE: "The agent reports a code that is not known: {code}.",
}
_BY_STATE: Final[dict[State, str]] = {
    State.PENDING: "The device has not taken version {version}, and its agent said that it stops.",
    State.AGENT_UNAVAILABLE: "The agent said that it stops; what runs on the device is not known.",
    State.IN_PROGRESS: "The agent took version {version}; its report does not show the wanted images yet: {modules}.",
    State.MODULE_FAILED: "Not in their desired status: {modules}.",
}

_MODULE: Final[dict[ModuleState, str]] = {
    ModuleState.SETTLED: "{name} is as desired.",
    ModuleState.PENDING: "{name} waits for the device to take version {version}.",
    ModuleState.MISSING: "{name} is not on the device; it should run {image}.",
    ModuleState.UPDATING: "{name} runs {found} and should run {image}.",
    ModuleState.WRONG_STATUS: "{name} is {status} and should be {wanted}.",
    ModuleState.UNKNOWN: "What {name} does is not known: the agent does not say.",
    ModuleState.EXTRA: "{name} is on the device and not part of the deployment.",
}
_ADVICE: Final[dict[Reason, str]] = {
    Reason.BACKOFF: "It keeps exiting; look at its logs on the device.",
    Reason.EXITED: "It has exited; look at its logs on the device.",
    Reason.DEAD: "The container runtime could not remove it.",
    Reason.PULL_FAILED: "Its image cannot be pulled.",
    Reason.PULL_TIMED_OUT: "Its image is probably still being pulled.",
    Reason.START_FAILED: "It cannot be started.",
    Reason.CREATE_FAILED: "It cannot be created.",
    Reason.FINISHED: "It ran once and ended well.",
    Reason.RUNTIME_UNREACHABLE: "The container runtime does not answer.",
    Reason.AGENT_STOPPED: "The agent said that it stops.",
}


def device_message(
    twin: Twin, verdict: Verdict, description: str, comparisons: Sequence[Comparison], code: object
) -> str:
    """The sentence for a device.

    Args:
        twin: The twin that was judged.
        verdict: What was decided.
        description: The agent's own description, with no secret in it.
        comparisons: The modules that differ, most telling first.
        code: `lastDesiredStatus.code`, as evidence shows it.
    """
    template = _DEVICE.get(verdict.reason) or _BY_STATE[verdict.state]
    sentence = template.format(
        version=_shown(twin.desired_version),
        taken=_shown(twin.last_desired_version),
        modules=_name_all(comparisons),
        code="none" if code is None else code,
    )
    return _with_description(sentence, description)


def module_message(comparison: Comparison, state: ModuleState, reason: Reason, version: int | None) -> str:
    """The sentence for a module."""
    desired, reported = comparison.desired, comparison.reported
    sentence = _MODULE[state].format(
        name=_quoted(comparison.name),
        version=_shown(version),
        image=_quoted(desired.image if desired else None),
        found=_quoted(reported.image if reported else None),
        status=_status(comparison),
        wanted=_quoted(desired.status if desired else None),
    )
    advice = _ADVICE.get(reason)
    return clean(f"{sentence} {advice}" if advice else sentence, MESSAGE_LIMIT)


def _name_all(comparisons: Sequence[Comparison]) -> str:
    names = [
        f"{_quoted(item.name)} ({_status(item)})" if item.state is ModuleState.WRONG_STATUS else _quoted(item.name)
        for item in comparisons[:_NAMED_MODULES]
    ]
    more = len(comparisons) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _status(comparison: Comparison) -> str:
    reported = comparison.reported
    if reported is None:
        return "absent"
    status = _quoted(reported.runtime_status)
    return f"{status}, exit code {reported.exit_code}" if reported.exit_code else status


def _with_description(sentence: str, description: str) -> str:
    if not description.strip():
        return clean(sentence, MESSAGE_LIMIT)
    return clean(f'{sentence} The agent says: "{description.strip()}"', MESSAGE_LIMIT)


def _quoted(value: str | None) -> str:
    return "unknown" if value is None else clean(value, _QUOTED_LIMIT)


def _shown(number: int | None) -> str:
    return "unknown" if number is None else clean(str(number), _QUOTED_LIMIT)
