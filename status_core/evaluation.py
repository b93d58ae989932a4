"""Turns a twin's JSON into the state of its deployment: read, compare, decide, explain."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from status_core.causes import Cause, agents_words, cause
from status_core.codes import OK
from status_core.comparison import (
    Comparison,
    Comparisons,
    compare_modules,
    is_left_alone,
    left_alone_evidence,
    most_severe,
)
from status_core.descriptions import Step
from status_core.documented import documented_rules
from status_core.lint import lint_twin
from status_core.messages import Details, device_message, module_message
from status_core.pending import runtime_wiped
from status_core.portal import portal_count
from status_core.reading import shown
from status_core.reasons import Reason
from status_core.rules import Verdict, decide
from status_core.secrets import collapse, masked
from status_core.states import NOT_TAKEN, Flag, ModuleState, State
from status_core.status import DeploymentStatus, ModuleStatus
from status_core.twin import EDGE_AGENT, IMAGE_LIMIT, NAME_LIMIT, Twin, read_twin

_UNMANAGED: Final = (State.INVALID, State.EMPTY, State.NO_DEPLOYMENT)
"""States in which the agent starts nothing, because it has no valid deployment."""

_NOT_EXITED: Final = (Reason.STILL_RUNNING, Reason.NEVER_STARTED)


def evaluate(source: Any, *, now: datetime | None = None) -> DeploymentStatus:
    """Judge one `$edgeAgent` module twin.

    Args:
        source: The twin's JSON, as a service-side read or query returns it. Any JSON value in any place is accepted.
        now: The time in UTC, used only in messages: when the agent tries a failed step again. Without it, messages
            explain how to work that out.

    Returns:
        The state of the deployment with its rule, reason and evidence. It holds no secret of the twin.
    """
    twin = read_twin(source)
    comparisons = compare_modules(twin)
    rule, verdict = decide(twin, comparisons)
    is_other = verdict.reason is Reason.NOT_EDGE_AGENT
    is_wiped = runtime_wiped(twin)
    judged = {} if is_other else {name: _judge(verdict, item, is_wiped=is_wiped) for name, item in comparisons.items()}
    description = masked(twin.description, source)
    steps = verdict.explanation.steps if verdict.explanation is not None else ()
    words = {step: agents_words(step, description, twin.device_id) for step in steps}
    is_accepted = is_other or twin.nothing_desired or (twin.version_taken and verdict.state is not State.INVALID)
    findings = lint_twin(source, is_accepted=is_accepted)
    unmanaged = [name for name, (_, reason, _) in judged.items() if reason is Reason.UNMANAGED]
    details = Details(
        modules=_blocking(comparisons, verdict),
        left_alone=[comparisons[name] for name in sorted(unmanaged)],
        findings=findings,
        description=collapse(description),
        now=now,
    )
    modules = {
        name: _module(twin, comparisons[name], *verdict_of_module, words=words, now=now)
        for name, verdict_of_module in judged.items()
    }
    return DeploymentStatus(
        device_id=twin.device_id,
        state=verdict.state,
        rule=rule,
        reason=verdict.reason,
        message=device_message(twin, verdict, details),
        desired_version=twin.desired_version,
        desired_at=twin.desired_updated,
        last_desired_version=twin.last_desired_version,
        status_code=twin.code,
        deployments=twin.applied,
        targeted=twin.targeted,
        flags=(*verdict.flags, *_flags(twin)),
        documented=() if is_other else documented_rules(source, twin),
        portal=None if is_other else portal_count(twin),
        evidence=verdict.evidence,
        modules=modules,
        agent_version=twin.agent_version,
        changed=twin.changed,
        reported_at=twin.reported_updated,
        is_lagging=twin.is_lagging,
        twin_version=twin.version,
        connection_state=_kept(twin.connection_state, NAME_LIMIT),
        last_activity=twin.last_activity,
        cause=_device_cause(verdict, details, modules, words),
        lint=findings,
    )


def _flags(twin: Twin) -> tuple[Flag, ...]:
    agent = twin.reported.get(EDGE_AGENT)
    is_unknown = twin.code == OK and agent is not None and agent.runtime_status == "unknown"
    return (
        *((Flag.AGENT_STATUS_UNKNOWN,) if is_unknown else ()),
        *((Flag.NOT_CREDITED,) if twin.has_configurations and not twin.applied else ()),
    )


def _judge(verdict: Verdict, comparison: Comparison, *, is_wiped: bool) -> tuple[ModuleState, Reason, Step | None]:
    """Return a module's state and reason, and the failed step behind the reason.

    The comparison decides, unless the device's state says that reports are out of date.
    """
    state, reason = comparison.state, comparison.reason
    if verdict.state in _UNMANAGED and is_left_alone(comparison.reported):
        return ModuleState.WRONG_STATUS, Reason.UNMANAGED, None
    if state is not ModuleState.EXTRA:
        if verdict.state in NOT_TAKEN:
            return ModuleState.PENDING, verdict.reason, None
        if verdict.state is State.AGENT_UNAVAILABLE or is_wiped:
            return ModuleState.UNKNOWN, verdict.reason, None
    if verdict.explanation is None or verdict.state is not State.IN_PROGRESS or state is ModuleState.SETTLED:
        return state, reason, None
    unnamed = verdict.explanation.unnamed if comparison.is_outstanding else None
    step = verdict.explanation.modules.get(comparison.name, unnamed)
    return (state, reason, None) if step is None else (state, step.reason, step)


def _module(  # noqa: PLR0913 (what a module's status is made of)
    twin: Twin,
    comparison: Comparison,
    state: ModuleState,
    reason: Reason,
    step: Step | None,
    *,
    words: Mapping[Step, str],
    now: datetime | None,
) -> ModuleStatus:
    desired, reported = comparison.desired, comparison.reported
    evidence = comparison.evidence
    if reason is Reason.UNMANAGED and reported is not None:
        evidence = (*evidence, left_alone_evidence(reported))
    return ModuleStatus(
        state=state,
        reason=reason,
        message=module_message(
            comparison,
            state,
            reason=reason,
            version=twin.desired_version,
            step=step,
            tried_since=twin.tried_since,
            now=now,
        ),
        desired_status=_kept(desired.status if desired else None, NAME_LIMIT),
        desired_image=_kept(desired.image if desired else None, IMAGE_LIMIT),
        runtime_status=_kept(reported.runtime_status if reported else None, NAME_LIMIT),
        reported_image=_kept(reported.image if reported else None, IMAGE_LIMIT),
        image_hash=_kept(reported.image_hash if reported else None, NAME_LIMIT),
        exit_code=reported.exit_code if reported else None,
        restart_count=reported.restart_count if reported else None,
        last_start=reported.last_start if reported else None,
        last_exit=reported.last_exit if reported else None,
        grace=desired.grace if desired else None,
        evidence=evidence,
        cause=_module_cause(comparison, state, reason, step=step, words=words),
    )


def _module_cause(
    comparison: Comparison, state: ModuleState, reason: Reason, *, step: Step | None, words: Mapping[Step, str]
) -> Cause | None:
    if state in (ModuleState.SETTLED, ModuleState.PENDING, ModuleState.UNKNOWN) or reason is Reason.NOT_DESIRED:
        return None
    desired, reported = comparison.desired, comparison.reported
    # What nobody manages ran the image of the last deployment that the agent accepted.
    part = reported if reason is Reason.UNMANAGED else desired or reported
    image = _kept(part.image if part else None, IMAGE_LIMIT)
    # A module that has not started, or is running, has no exit code of its own.
    has_exited = state is ModuleState.WRONG_STATUS and step is None and reason not in _NOT_EXITED
    exit_code = reported.exit_code if has_exited and reported is not None else None
    return cause(reason, comparison.name, image, exit_code, words[step] if step is not None else "")


def _device_cause(
    verdict: Verdict, details: Details, modules: dict[str, ModuleStatus], words: Mapping[Step, str]
) -> Cause | None:
    """Return the cause of the module that gives the device its reason, or else the device's own."""
    if verdict.state is State.SUCCESSFUL:
        return None
    if verdict.state is State.NO_DEPLOYMENT:
        return modules[details.left_alone[0].name].cause if details.left_alone else None
    leading = verdict.explanation.leading if verdict.explanation is not None else None
    if leading is not None and leading.reason is not verdict.reason:
        return cause(verdict.reason)  # the list of modules was wiped
    names = [item.name for item in details.modules]
    if leading is not None:
        # A step that names no module is about the only outstanding one.
        names = [leading.module] if leading.module is not None else names if len(names) == 1 else []
    for name in names:
        found = modules.get(name)
        if found is not None and found.reason is verdict.reason and found.cause is not None:
            return found.cause
    if leading is None:
        return cause(verdict.reason)
    return cause(verdict.reason, leading.module or "", words=words[leading])


def _blocking(comparisons: Comparisons, verdict: Verdict) -> Sequence[Comparison]:
    """Return the modules that keep the device from its desired state, most severe first."""
    if verdict.state is State.MODULE_FAILED:
        return most_severe(item for item in comparisons.values() if item.state is ModuleState.WRONG_STATUS)
    if verdict.state is not State.IN_PROGRESS:
        return ()
    named = verdict.explanation.modules if verdict.explanation is not None else {}
    failed = sorted((name for name in named if name in comparisons), key=lambda name: (named[name].reason.rank, name))
    return [comparisons[name] for name in failed] or most_severe(
        item for item in comparisons.values() if item.is_outstanding
    )


def _kept(value: str | None, limit: int) -> str | None:
    return None if value is None else shown(value, limit)
