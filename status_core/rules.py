"""The rules that decide the state of a deployment, in order: the first that holds wins.

D is `properties.desired`, R `properties.reported`, V `D.$version`, L `R.lastDesiredVersion`, C
`R.lastDesiredStatus.code`. If a rule goes beyond reported_states_during_deployment.md, its docstring cites the part of
the agent behind it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from status_core.codes import CONFIG_EMPTY_ERROR, CONFIG_FORMAT_ERROR, FAILED, INVALID_SCHEMA_VERSION, OK, UNKNOWN
from status_core.comparison import Comparison, Comparisons, most_severe
from status_core.descriptions import Explanation
from status_core.evidence import code_evidence, fresh_evidence, version_evidence
from status_core.pending import explain_failure, reason_of_failure, why_not_taken, why_stopped
from status_core.reading import scalar
from status_core.reasons import Reason
from status_core.states import Flag, ModuleState, State
from status_core.status import Evidence
from status_core.twin import EDGE_AGENT, Twin


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule decided: the state, the reason, and the values that were compared.

    `explanation` is the parsed description of a code 500 that is about V, including its modules.
    """

    state: State
    reason: Reason
    evidence: tuple[Evidence, ...]
    flags: tuple[Flag, ...] = ()
    explanation: Explanation | None = None


type Rule = Callable[[Twin, Comparisons], Verdict | None]


def other_module(twin: Twin, _comparisons: Comparisons) -> Verdict | None:
    """The twin names another module than $edgeAgent, so no other rule applies."""
    if twin.module_id is None or twin.module_id == EDGE_AGENT:
        return None
    evidence = Evidence("moduleId", scalar(twin.module_id), EDGE_AGENT)
    return Verdict(State.UNCLASSIFIED, Reason.NOT_EDGE_AGENT, (evidence,))


def nothing_desired(twin: Twin, _comparisons: Comparisons) -> Verdict | None:
    """D holds nothing but `$` keys. This rule comes first: the modules of an earlier deployment keep running."""
    if not twin.nothing_desired:
        return None
    evidence = Evidence("properties.desired", "<empty>", "<deployment>")
    return Verdict(State.NO_DEPLOYMENT, Reason.NOTHING_DESIRED, (evidence,))


def rejected(twin: Twin, _comparisons: Comparisons) -> Verdict | None:
    """Document: "The IoT Edge runtime has received a deployment, but the deployment was invalid".

    The document asks for V == L. The agent throws before it stores the version (Core/Agent.cs, ReconcileAsync), so a
    rejection carries the previous one. It is about V if it was reported after D changed.
    """
    if twin.code not in (CONFIG_FORMAT_ERROR, INVALID_SCHEMA_VERSION):
        return None
    evidence = [code_evidence(twin), version_evidence(twin)]
    if not twin.version_taken:
        if not twin.is_fresh:
            return None
        evidence.append(fresh_evidence(twin))
    reason = Reason.CONFIG_REJECTED if twin.code == CONFIG_FORMAT_ERROR else Reason.SCHEMA_VERSION_REJECTED
    return Verdict(State.INVALID, reason, tuple(evidence))


def version_not_taken(twin: Twin, comparisons: Comparisons) -> Verdict | None:
    """Document: "The IoT Hub has applied a deployment, but the IoT Edge has not received and processed it".

    L is absent or differs from V. The rule never compares with `<`: an identity that was created again starts at 1.
    """
    if twin.version_taken:
        return None
    flags = []
    if twin.is_regressed:
        flags.append(Flag.VERSION_REGRESSED)
    if twin.code == UNKNOWN:
        flags.append(Flag.AGENT_UNAVAILABLE)
    why = why_not_taken(twin, comparisons)
    evidence = (version_evidence(twin), *why.evidence)
    return Verdict(State.PENDING, why.reason, evidence, tuple(sorted(flags)), why.explanation)


def agent_alive_without_a_result(twin: Twin, _comparisons: Comparisons) -> Verdict | None:
    """Agents 1.0.8.3 to 1.0.9 start each reconcile as 406, and show it while a failed step cools off.

    A stopping agent describes itself and reports every runtimeStatus as `unknown`, the default that a first report
    omits (IoTHub/reporters/IoTHubReporter.cs).
    """
    agent = twin.reported.get(EDGE_AGENT)
    status = agent.runtime_status if agent else None
    if twin.code != UNKNOWN or twin.description.strip() or status in (None, "unknown"):
        return None
    path = "properties.reported.systemModules.edgeAgent.runtimeStatus"
    evidence = (code_evidence(twin), Evidence(path, scalar(status), "unknown"))
    return Verdict(State.IN_PROGRESS, Reason.RETRYING, evidence)


def agent_stopped(twin: Twin, comparisons: Comparisons) -> Verdict | None:
    """Document: the code "will be set to `406` when $edgeAgent shuts down"."""
    if twin.code != UNKNOWN:
        return None
    return Verdict(State.AGENT_UNAVAILABLE, why_stopped(twin, comparisons), (code_evidence(twin),))


def empty_reported(twin: Twin, _comparisons: Comparisons) -> Verdict | None:
    """Document: "ConfigEmptyError - no deployment has been send to IoT Edge", of a version that holds one."""
    if twin.code != CONFIG_EMPTY_ERROR:
        return None
    return Verdict(State.EMPTY, Reason.EMPTY_REPORTED, (code_evidence(twin),))


def plan_failed(twin: Twin, comparisons: Comparisons) -> Verdict | None:
    """Document: "One of the steps that the IoT Edge runtime attempted to apply the current desired state failed".

    The document also asks for another image. A failed start has none, nor has a failure of the agent's or edgeHub's own
    image (Core/Agent.cs reports 500 for any failed step, and retries it).
    """
    if twin.code != FAILED:
        return None
    outstanding = any(item.is_outstanding for item in comparisons.values())
    explanation = explain_failure(twin, comparisons, image_outstanding=outstanding)
    evidence = (code_evidence(twin), *_evidence_of(_unsettled(comparisons)))
    return Verdict(State.IN_PROGRESS, reason_of_failure(twin, explanation), evidence, explanation=explanation)


def status_missing(twin: Twin, _comparisons: Comparisons) -> Verdict | None:
    """The version is taken and `lastDesiredStatus` is absent, for the length of one patch."""
    if not twin.status_missing:
        return None
    evidence = Evidence("properties.reported.lastDesiredStatus", None, "<object>")
    return Verdict(State.IN_PROGRESS, Reason.STATUS_MISSING, (evidence,))


def images_outstanding(twin: Twin, comparisons: Comparisons) -> Verdict | None:
    """Code 200 and a desired module is missing or has another image, or edgeAgent has another image.

    The first report after a plan holds the modules from before it (Core/Agent.cs takes the snapshot first), and a 200
    can hide a plan that skipped modules. This rule is not in the document.
    """
    if twin.code != OK:
        return None
    outstanding = [item for item in comparisons.values() if item.is_outstanding]
    if not outstanding:
        return None
    reason = most_severe(outstanding)[0].reason
    return Verdict(State.IN_PROGRESS, reason, (code_evidence(twin), *_evidence_of(outstanding)))


def wrong_status(twin: Twin, comparisons: Comparisons) -> Verdict | None:
    """Document: it "has successfuly deployed all modules, but the modules went into an incorrect state".

    edgeHub is judged by `runtimeStatus`: its `status` is an echo of desired (Docker/DockerEnvironment.cs).
    """
    if twin.code != OK:
        return None
    wrong = [item for item in comparisons.values() if item.state is ModuleState.WRONG_STATUS]
    if not wrong:
        return None
    reason = most_severe(wrong)[0].reason
    return Verdict(State.MODULE_FAILED, reason, (code_evidence(twin), *_evidence_of(wrong)))


def as_desired(twin: Twin, _comparisons: Comparisons) -> Verdict | None:
    """Document: "completed all deployment reconciliation steps, and all modules have come into the correct state"."""
    if twin.code != OK:
        return None
    return Verdict(State.SUCCESSFUL, Reason.AS_DESIRED, (version_evidence(twin), code_evidence(twin)))


def unknown_code(twin: Twin) -> Verdict:
    """Anything else: no known agent reports it (Core/DeploymentStatusCode.cs holds six codes)."""
    return Verdict(State.UNCLASSIFIED, Reason.UNKNOWN_CODE, (code_evidence(twin),))


RULES: Final[tuple[Rule, ...]] = (
    other_module,
    nothing_desired,
    rejected,
    version_not_taken,
    agent_alive_without_a_result,
    agent_stopped,
    empty_reported,
    plan_failed,
    status_missing,
    images_outstanding,
    wrong_status,
    as_desired,
)


def decide(twin: Twin, comparisons: Comparisons) -> tuple[str, Verdict]:
    """Return the id of the first rule that holds, and its verdict. There is always exactly one state."""
    for rule in RULES:
        verdict = rule(twin, comparisons)
        if verdict is not None:
            return rule.__name__, verdict
    return unknown_code.__name__, unknown_code(twin)


def _unsettled(comparisons: Comparisons) -> Iterable[Comparison]:
    return [item for item in comparisons.values() if item.state not in (ModuleState.SETTLED, ModuleState.EXTRA)]


def _evidence_of(items: Iterable[Comparison]) -> Iterable[Evidence]:
    """Return the last comparison of each module: the one that failed."""
    return (item.evidence[-1] for item in items)
