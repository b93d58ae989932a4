"""How much an event matters, so that a filter needs no list of states and reasons."""

from enum import StrEnum

from status_core import Kind, Milestone, Reason, State, known_reason


class Severity(StrEnum):
    """How much an event matters."""

    ERROR = "error"
    """Somebody has to act: something is stuck, a manifest was rejected, or a deployment has begun to fail."""
    WARNING = "warning"
    """Somebody may have to act: a device is away, a deployment stalls, or a person alone can change the reason."""
    INFO = "info"
    """All else."""


def transition_severity(kind: str, to_state: str, reason: str) -> Severity:
    """The severity of a transition of a device or a module, by the words of its row."""
    known = known_reason(reason)
    if kind == Kind.STUCK:
        return Severity.WARNING if known is Reason.DEVICE_DISCONNECTED else Severity.ERROR
    if kind not in (Kind.DEVICE, Kind.MODULE):
        return Severity.INFO
    if to_state == State.INVALID:
        return Severity.ERROR
    return Severity.WARNING if known is not None and known.is_hopeless else Severity.INFO


def milestone_severity(milestone: str) -> Severity:
    """The severity of a milestone of a deployment."""
    if milestone in (Milestone.FIRST_FAILURE, Milestone.THRESHOLD_EXCEEDED):
        return Severity.ERROR
    return Severity.WARNING if milestone == Milestone.STALLED else Severity.INFO
