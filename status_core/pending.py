"""Why a device has not taken the version, and what a code 500 is about: the first known cause."""

from dataclasses import dataclass
from typing import Final

from status_core.codes import CONFIG_EMPTY_ERROR, CONFIG_FORMAT_ERROR, FAILED, INVALID_SCHEMA_VERSION, UNKNOWN
from status_core.comparison import Comparisons
from status_core.descriptions import DESCRIPTION_LIMIT, Explanation, explain
from status_core.evidence import code_evidence, fresh_evidence
from status_core.reading import word
from status_core.reasons import Reason
from status_core.states import ModuleState
from status_core.status import Evidence
from status_core.twin import EDGE_AGENT, Twin

DISCONNECTED: Final = "Disconnected"
"""IoT Hub's word for a device that is not connected. It lags by minutes at most."""


@dataclass(frozen=True, slots=True)
class Why:
    """A reason, the values compared for it, and the explanation of a code 500 that is about the version."""

    reason: Reason
    evidence: tuple[Evidence, ...] = ()
    explanation: Explanation | None = None


def why_not_taken(twin: Twin, comparisons: Comparisons) -> Why:
    """Return the first known cause of a device that has not taken the version.

    A report from before the version is no evidence about it.
    """
    if twin.is_regressed:
        return Why(Reason.VERSION_REGRESSED)
    if twin.code == UNKNOWN:
        return Why(why_stopped(twin, comparisons), (code_evidence(twin),))
    answer = _answer(twin, comparisons) if twin.is_fresh else None
    if answer is not None:
        return answer
    if twin.code in (CONFIG_FORMAT_ERROR, INVALID_SCHEMA_VERSION):
        # Another rejection with the same text changes nothing in the report.
        return Why(Reason.REJECTED_BEFORE, (code_evidence(twin),))
    return _silence(twin)


def why_stopped(twin: Twin, comparisons: Comparisons) -> Reason:
    """Return why the agent stopped. It also stops to be replaced by another image.

    An agent that stopped before the version arrived is not being replaced.
    """
    agent = comparisons.get(EDGE_AGENT)
    if agent is None or agent.state is not ModuleState.UPDATING:
        return Reason.AGENT_STOPPED
    return Reason.AGENT_STOPPED if twin.is_stale and not twin.version_taken else Reason.AGENT_UPDATING


def explain_failure(twin: Twin, comparisons: Comparisons, *, image_outstanding: bool) -> Explanation:
    """Explain the description of a code 500."""
    images = {module.image for section in (twin.desired, twin.reported) for module in section.values() if module.image}
    description = twin.description[:DESCRIPTION_LIMIT]
    return explain(description, image_outstanding=image_outstanding, modules=comparisons, images=images)


def reason_of_failure(twin: Twin, explanation: Explanation) -> Reason:
    """Return the reason of a code 500. A wiped list of modules outranks the text, except the text that explains it."""
    if runtime_wiped(twin) and explanation.reason is not Reason.STATUS_UNREADABLE:
        return Reason.RUNTIME_UNREACHABLE
    return explanation.reason


def runtime_wiped(twin: Twin) -> bool:
    """Whether the agent could not list the containers: it then nulls every module and reports itself as type `Unknown`.

    The modules may well be running (IoTHub/reporters/IoTHubReporter.cs).
    """
    agent = twin.reported.get(EDGE_AGENT)
    if twin.code != FAILED or agent is None or word(agent.kind) != "unknown":
        return False
    return all(name.startswith("$") for name in twin.reported)


def _answer(twin: Twin, comparisons: Comparisons) -> Why | None:
    """Return what the agent said about the version after it arrived."""
    evidence = (code_evidence(twin), fresh_evidence(twin))
    if twin.code == CONFIG_EMPTY_ERROR:
        return Why(Reason.EMPTY_REPORTED, evidence)
    if twin.code != FAILED or not twin.description.strip():
        return None
    explanation = explain_failure(twin, comparisons, image_outstanding=False)
    if explanation.names_a_step:  # of the plan of version L
        return None
    return Why(reason_of_failure(twin, explanation), evidence, explanation)


def _silence(twin: Twin) -> Why:
    if twin.last_desired_version is None and twin.code == CONFIG_EMPTY_ERROR:
        return Why(Reason.EMPTY_REPORTED, (code_evidence(twin),))
    if twin.last_desired_version is None:
        return Why(Reason.NEVER_REPORTED)
    if twin.connection_state == DISCONNECTED:
        return Why(Reason.DEVICE_DISCONNECTED, (Evidence("connectionState", DISCONNECTED, "Connected"),))
    return Why(Reason.WAITING_FOR_DEVICE)
