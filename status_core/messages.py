"""Messages for people about a device or module: what is wrong, what it means, what to do, and the agent's own words.

The meaning of a reason and the advice come from the table of reasons.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from status_core.codes import FAILED
from status_core.comparison import BACKOFF, RUNNING, Comparison
from status_core.descriptions import DESCRIPTION_LIMIT, Step
from status_core.lint import Finding
from status_core.reading import clean, scalar, shown
from status_core.reasons import Reason
from status_core.restarts import MOST_RESTARTS, next_restart, next_try, shown_time
from status_core.rules import Verdict
from status_core.states import ModuleState, State
from status_core.twin import DesiredModule, ReportedModule, Twin

MESSAGE_LIMIT: Final = 1024
"""Characters of a message, the agent's description included."""
_QUOTED_LIMIT: Final = 200
_NAMED_MODULES: Final = 3

_DEVICE: Final[dict[State, str]] = {
    State.INVALID: "The agent rejected version {version}.",
    State.PENDING: "The device has not taken version {version} and is still at {taken}.",
    State.EMPTY: "The agent took version {version}.",
    State.IN_PROGRESS: "Version {version} is not in force yet{modules}.",
    State.MODULE_FAILED: "Not in their desired status{modules}.",
    State.SUCCESSFUL: "Every module is as version {version} wants it.",
}
_IMPLIED_BY_STATE: Final = (Reason.AS_DESIRED, Reason.SETTLING, Reason.NOT_DESIRED)
_NOTHING_TO_DO: Final = (Reason.FINISHED, Reason.NOT_REPORTED)


class Details(NamedTuple):
    """What a device's message contains besides the verdict.

    Attributes:
        modules: The modules that keep it from its state, most severe first.
        left_alone: The modules that exited while nothing manages them.
        findings: The lint findings of its manifest.
        description: The agent's own words, with secrets blanked.
        now: The time in UTC; None if not known.
    """

    modules: Sequence[Comparison]
    left_alone: Sequence[Comparison]
    findings: Sequence[Finding]
    description: str
    now: datetime | None


def device_message(twin: Twin, verdict: Verdict, details: Details) -> str:
    """Write the message of a device."""
    lead = _DEVICE.get(verdict.state, "")
    if verdict.state is State.PENDING and twin.last_desired_version is None:
        lead = "The device has not taken version {version}."
    named = _name_all(details.modules)
    parts = [
        lead.format(
            version=_shown(twin.desired_version),
            taken=_shown(twin.last_desired_version),
            modules=f": {named}" if named else "",
        )
    ]
    if verdict.state in (State.INVALID, State.PENDING):
        parts.append(_findings(details.findings))
    if verdict.state is not State.SUCCESSFUL:
        parts += [_means(twin, verdict.reason), verdict.reason.advice]
    if verdict.state is State.MODULE_FAILED and details.modules:
        parts.append(_restarts(details.modules[0], verdict.reason))
    leading = verdict.explanation.leading if verdict.explanation is not None else None
    if leading is not None and leading.reason is verdict.reason and verdict.state is State.IN_PROGRESS:
        parts.append(retries(leading, twin.tried_since, details.now))
    if details.left_alone:
        parts.append(f"Exited, and not restarted while this lasts: {_name_all(details.left_alone)}.")
    parts.append(_words(twin, verdict, details.description))
    return clean(" ".join(filter(None, parts)), MESSAGE_LIMIT)


def module_message(  # noqa: PLR0913 (all keyword-only but the first two: the whole of what a sentence depends on)
    comparison: Comparison,
    state: ModuleState,
    *,
    reason: Reason,
    version: int | None,
    step: Step | None,
    tried_since: datetime | None,
    now: datetime | None,
) -> str:
    """Write the message of a module.

    Args:
        comparison: Its comparison.
        state: Its state.
        reason: Its reason.
        version: The desired version.
        step: The failed step behind the reason.
        tried_since: When that step first failed.
        now: The time in UTC; None if not known.
    """
    sentence = _sentence(comparison, state, reason, version)
    if reason in _IMPLIED_BY_STATE:
        return sentence
    if state in (ModuleState.PENDING, ModuleState.UNKNOWN):  # the device's message has the advice
        return f"{sentence} {reason.means}"
    parts = [sentence, reason.means]
    if state is ModuleState.WRONG_STATUS:
        parts.append(_restarts(comparison, reason))
    if reason not in _NOTHING_TO_DO:
        parts.append(reason.advice)
    if step is not None:
        parts.append(retries(step, tried_since, now))
    return clean(" ".join(filter(None, parts)), MESSAGE_LIMIT)


def _sentence(comparison: Comparison, state: ModuleState, reason: Reason, version: int | None) -> str:
    name, desired, reported = _quoted(comparison.name), comparison.desired, comparison.reported
    match state:
        case ModuleState.SETTLED:
            what = f"{name} is as desired."
        case ModuleState.PENDING:
            what = f"{name} waits for the device to take version {_shown(version)}."
        case ModuleState.UNKNOWN:
            what = f"What {name} does is not known: the agent does not say."
        case ModuleState.EXTRA:
            what = f"{name} is on the device and not part of the deployment."
        case ModuleState.WRONG_STATUS:
            wanted = RUNNING if reason is Reason.UNMANAGED or desired is None else _quoted(desired.status)
            what = f"{name} is {_status(reported, ' ({})')} and should be {wanted}."
        case ModuleState.MISSING:
            what = f"{name} is not on the device; it should run {_image(desired)}."
        case _:
            what = f"{name} runs {_image(reported)} and should run {_image(desired)}."
    return what


def retries(step: Step, failed_since: datetime | None, now: datetime | None) -> str:
    """Say when the agent tries a failed step again. Empty if it does so in its next cycle."""
    if not step.is_cooled_off:
        return ""
    at = next_try(failed_since, now) if failed_since is not None and now is not None else None
    if at is not None:
        when = f"The agent tries again about {shown_time(at)}"
    elif failed_since is not None:
        when = (
            f"It first failed about {shown_time(failed_since)}, and each wait is twice the one before: the next try is "
            "about as far ahead as that is back"
        )
    else:
        when = "The agent waits twice as long after each try"
    return f"{when}. A restart of edgeAgent, or a version that changes the module, makes it try at once."


def _means(twin: Twin, reason: Reason) -> str:
    if reason is Reason.UNKNOWN_CODE:
        code = scalar(twin.raw_code)
        return f"{reason.means.removesuffix('.')}: {'none' if code is None else code}."
    if reason is Reason.NOT_EDGE_AGENT:
        return f"This is the twin of {_quoted(twin.module_id)}, not of $edgeAgent."
    return reason.means


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"In the manifest: {findings[0]}{more}."


def _words(twin: Twin, verdict: Verdict, description: str) -> str:
    """Quote the agent's own words if they are about this version, or name the version that they are about."""
    description = description.strip()
    if not description or not (twin.version_taken or twin.is_fresh):
        return ""
    is_about_another = verdict.state is State.PENDING and twin.code == FAILED and verdict.explanation is None
    about = (
        f"About version {_shown(twin.last_desired_version)} the agent says" if is_about_another else "The agent says"
    )
    length = len(twin.description)
    cut = f", in {length:,} characters of which {DESCRIPTION_LIMIT:,} were read" if length > DESCRIPTION_LIMIT else ""
    return f'{about}{cut}: "{description}"'


def _restarts(comparison: Comparison, reason: Reason) -> str:
    """Say how often the agent restarted a module, and when it restarts it next, if it manages the module."""
    reported = comparison.reported
    if reported is None or reported.never_started:
        return ""
    count = reported.restart_count or 0
    if reported.runtime_status == BACKOFF and reason is not Reason.UNMANAGED:
        at = next_restart(count, reported.last_exit)
        if count == 0:
            return f"It is started again about {shown_time(at)}." if at is not None else ""
        when = f", the next about {shown_time(at)}" if at is not None else ""
        return f"Restart {count} of {MOST_RESTARTS}{when}."
    if reported.last_exit is None or comparison.reason is Reason.STILL_RUNNING:
        return ""
    after = f", after {count} restart{'' if count == 1 else 's'}" if count else ""
    return f"It exited about {shown_time(reported.last_exit)}{after}."


def _name_all(comparisons: Sequence[Comparison]) -> str:
    names = [_name(item) for item in comparisons[:_NAMED_MODULES]]
    more = len(comparisons) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _name(comparison: Comparison) -> str:
    """Name a module, with its status if that is what is wrong with it."""
    name = _quoted(comparison.name)
    shows_status = comparison.state in (ModuleState.WRONG_STATUS, ModuleState.EXTRA, ModuleState.SETTLED)
    return f"{name} ({_status(comparison.reported, ', {}')})" if shows_status else name


def _status(reported: ReportedModule | None, form: str) -> str:
    """Write a status, with a nonzero exit code in the given form."""
    status, exit_code = _quoted(reported.runtime_status if reported else None), reported.exit_code if reported else None
    return status + form.format(f"exit code {exit_code}") if exit_code else status


def _image(module: DesiredModule | ReportedModule | None) -> str:
    return _quoted(module.image if module else None)


def _quoted(value: str | None) -> str:
    return "unknown" if value is None else shown(value, _QUOTED_LIMIT)


def _shown(number: int | None) -> str:
    return "unknown" if number is None else clean(str(number), _QUOTED_LIMIT)
