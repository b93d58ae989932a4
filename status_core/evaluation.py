"""From the JSON of a twin to the state of its deployment: read, compare, decide, say why."""

from typing import Any, Final

from status_core.comparison import Comparison, compare_modules, most_severe
from status_core.documented import documented_rules
from status_core.messages import device_message, module_message
from status_core.portal import portal_count
from status_core.reading import clean, scalar
from status_core.reasons import Reason
from status_core.rules import Verdict, decide, runtime_wiped
from status_core.secrets import redact
from status_core.states import NOT_TAKEN, Flag, ModuleState, State
from status_core.status import DeploymentStatus, ModuleStatus
from status_core.twin import NAME_LIMIT, Twin, read_twin

IMAGE_LIMIT: Final = 1024
"""Characters of an image reference that a status keeps."""


def evaluate(source: Any) -> DeploymentStatus:
    """Judge one `$edgeAgent` module twin.

    Args:
        source: The twin as JSON values, as a service-side read or query gives it. Total: any JSON value in any
            place gives a status.

    Returns:
        The state of the deployment, with the rule, the reason and the evidence. It holds no secret of the twin.
    """
    twin = read_twin(source)
    comparisons = compare_modules(twin)
    rule, verdict = decide(twin, comparisons)
    description = redact(twin.description, source)
    modules = {name: _module(twin, verdict, comparison) for name, comparison in comparisons.items()}
    not_credited = (Flag.NOT_CREDITED,) if twin.has_configurations and not twin.applied else ()
    times = [time for time in (twin.desired_updated, twin.reported_updated) if time]
    return DeploymentStatus(
        device_id=twin.device_id,
        state=verdict.state,
        rule=rule,
        reason=verdict.reason,
        message=device_message(twin, verdict, description, _telling(comparisons, verdict), scalar(twin.raw_code)),
        desired_version=twin.desired_version,
        last_desired_version=twin.last_desired_version,
        status_code=twin.code,
        deployments=twin.applied,
        targeted=twin.targeted,
        flags=(*verdict.flags, *not_credited),
        documented=documented_rules(source, twin),
        portal=portal_count(twin),
        evidence=verdict.evidence,
        modules=modules,
        agent_version=twin.agent_version,
        changed=max(times, default=None),
        twin_version=twin.version,
    )


def _module(twin: Twin, verdict: Verdict, comparison: Comparison) -> ModuleStatus:
    state, reason = _module_state(twin, verdict, comparison)
    desired, reported = comparison.desired, comparison.reported
    return ModuleStatus(
        state=state,
        reason=reason,
        message=module_message(comparison, state, reason, twin.desired_version),
        desired_status=_kept(desired.status if desired else None, NAME_LIMIT),
        desired_image=_kept(desired.image if desired else None, IMAGE_LIMIT),
        runtime_status=_kept(reported.runtime_status if reported else None, NAME_LIMIT),
        reported_image=_kept(reported.image if reported else None, IMAGE_LIMIT),
        exit_code=reported.exit_code if reported else None,
        grace=desired.grace if desired else None,
        evidence=comparison.evidence,
    )


def _module_state(twin: Twin, verdict: Verdict, comparison: Comparison) -> tuple[ModuleState, Reason]:
    """What the comparison says, unless the device's own state takes the ground from under it."""
    if comparison.state is ModuleState.EXTRA:
        return comparison.state, comparison.reason
    if verdict.state in NOT_TAKEN:
        return ModuleState.PENDING, verdict.reason
    if verdict.state is State.AGENT_UNAVAILABLE or runtime_wiped(twin):
        return ModuleState.UNKNOWN, verdict.reason
    explanation = verdict.explanation
    if explanation is None or comparison.state is ModuleState.SETTLED:
        return comparison.state, comparison.reason
    name = comparison.name.lower().removeprefix("$")
    unnamed = comparison.reason if explanation.modules else explanation.reason
    return comparison.state, explanation.modules.get(name, unnamed)


def _telling(comparisons: dict[str, Comparison], verdict: Verdict) -> list[Comparison]:
    """The modules that the device's message names, most severe first."""
    failed = verdict.state is State.MODULE_FAILED
    return most_severe(
        item
        for item in comparisons.values()
        if (item.state is ModuleState.WRONG_STATUS if failed else item.is_outstanding)
    )


def _kept(value: str | None, limit: int) -> str | None:
    return None if value is None else clean(value, limit)
