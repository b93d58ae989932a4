"""Compares one module as desired with the same module as reported, whether or not the device took the version."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from status_core.images import same_image
from status_core.reading import scalar, word
from status_core.reasons import Reason
from status_core.states import ModuleState
from status_core.status import Evidence
from status_core.twin import EDGE_AGENT, DesiredModule, ReportedModule, Twin

RUNNING: Final = "running"
STOPPED: Final = "stopped"
FAILED: Final = "failed"
BACKOFF: Final = "backoff"
NEVER: Final = "never"

_NOT_RUNNING: Final = (BACKOFF, STOPPED, FAILED)
_UNMET: Final[Mapping[str | None, Reason]] = {
    BACKOFF: Reason.BACKOFF,
    STOPPED: Reason.EXITED,
    FAILED: Reason.EXITED,
    "dead": Reason.DEAD,
    "unhealthy": Reason.UNHEALTHY,
}


class Comparison(NamedTuple):
    """What differs between a desired and a reported module, with the values that were compared."""

    name: str
    desired: DesiredModule | None
    reported: ReportedModule | None
    state: ModuleState
    reason: Reason
    evidence: tuple[Evidence, ...]

    @property
    def is_outstanding(self) -> bool:
        """Whether the device does not have the desired image."""
        return self.state in (ModuleState.MISSING, ModuleState.UPDATING)


type Comparisons = Mapping[str, Comparison]


def most_severe(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Sort comparisons, most severe reason first."""
    return sorted(comparisons, key=lambda item: (item.reason.rank, item.name))


def compare_modules(twin: Twin) -> dict[str, Comparison]:
    """Compare each module that is desired or reported, sorted by name because twin keys have no order."""
    names = sorted(twin.desired.keys() | twin.reported.keys())
    return {name: _compare(name, twin.desired.get(name), twin.reported.get(name)) for name in names}


def _compare(name: str, desired: DesiredModule | None, reported: ReportedModule | None) -> Comparison:
    if desired is None:
        return Comparison(name, desired, reported, ModuleState.EXTRA, Reason.NOT_DESIRED, ())
    evidence: tuple[Evidence, ...] = (_image_evidence(desired, reported),)
    if not same_image(desired.image, reported.image if reported else None):
        state, reason = _other_image(name, reported)
    elif name == EDGE_AGENT:  # only its image counts: it reports, so it runs
        state, reason = ModuleState.SETTLED, Reason.AS_DESIRED
    elif reported is None:
        state, reason = ModuleState.MISSING, Reason.SETTLING
    else:
        evidence = (*evidence, _status_evidence(desired, reported))
        state, reason = _status(desired, reported)
    return Comparison(name, desired, reported, state, reason, evidence)


def _other_image(name: str, reported: ReportedModule | None) -> tuple[ModuleState, Reason]:
    if reported is None or reported.image is None:
        if name == EDGE_AGENT:  # it reports, so only its image is unknown
            return ModuleState.UNKNOWN, Reason.NOT_REPORTED
        return ModuleState.MISSING, Reason.SETTLING
    return ModuleState.UPDATING, Reason.AGENT_UPDATING if name == EDGE_AGENT else Reason.SETTLING


def _status(desired: DesiredModule, reported: ReportedModule) -> tuple[ModuleState, Reason]:
    """Compare the status of a module that has the desired image. Returns its state and reason.

    A desired `stopped` is met by `failed` too: a process that ends by SIGTERM or SIGKILL reports `failed` with exit
    code 143 or 137 (edgelet-docker/src/module.rs).
    """
    status = reported.runtime_status
    if desired.status == RUNNING and _is_finished_job(desired.restart_policy, reported):
        return ModuleState.SETTLED, Reason.FINISHED
    if status == desired.status or (desired.status == STOPPED and status == FAILED):
        return ModuleState.SETTLED, Reason.AS_DESIRED
    if status == RUNNING:
        return ModuleState.WRONG_STATUS, Reason.STILL_RUNNING
    if desired.status == RUNNING and status in _NOT_RUNNING:
        # `failed` under a policy that restarts it means that 20 restarts failed (Core/RestartPolicyManager.cs).
        if status == FAILED and desired.restart_policy != NEVER and (reported.restart_count or 0) > 0:
            return ModuleState.WRONG_STATUS, Reason.GAVE_UP
        if reported.never_started:
            return ModuleState.WRONG_STATUS, Reason.NEVER_STARTED
    return ModuleState.WRONG_STATUS, _UNMET.get(status, Reason.STATUS_UNKNOWN)


def is_left_alone(reported: ReportedModule | None) -> bool:
    """Whether a module should run according to the last accepted deployment, and does not.

    Without a valid deployment the agent starts nothing. A reported `unknown` is no evidence.
    """
    return (
        reported is not None
        and word(reported.status) == RUNNING
        and reported.runtime_status not in (None, RUNNING, "unknown")
        and not _is_finished_job(word(reported.restart_policy), reported)
    )


def left_alone_evidence(reported: ReportedModule) -> Evidence:
    """Return the values that `is_left_alone` compares."""
    path = reported.path
    status = scalar(word(reported.status))
    return Evidence(f"{path}.runtimeStatus", scalar(reported.runtime_status), status, f"{path}.status")


def _is_finished_job(restart_policy: str | None, reported: ReportedModule) -> bool:
    """Whether a run-once module ended well, which the agent leaves stopped (HealthRestartPlanner.cs)."""
    return (
        reported.runtime_status == STOPPED
        and reported.exit_code == 0
        and restart_policy == NEVER
        and reported.last_start is not None
    )


def _image_evidence(desired: DesiredModule, reported: ReportedModule | None) -> Evidence:
    path = f"{desired.path}.settings.image"
    found = reported.image if reported else None
    return Evidence(path.replace("desired", "reported", 1), scalar(found), scalar(desired.image), path)


def _status_evidence(desired: DesiredModule, reported: ReportedModule) -> Evidence:
    return Evidence(
        f"{reported.path}.runtimeStatus",
        scalar(reported.runtime_status),
        scalar(desired.status),
        f"{desired.path}.status",
    )
