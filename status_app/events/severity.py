"""The severity of an event, so that a filter needs no list of states and reasons."""

from enum import StrEnum

from status_core import Kind, Milestone, Reason, State, known_reason


class Severity(StrEnum):
    """How serious an event is."""

    ERROR = "error"
    """Someone must act: something is stuck, a manifest was rejected, or a deployment began to fail."""
    WARNING = "warning"
    """Someone may have to act: a device is away, a deployment stalled, or only a person can fix the reason."""
    INFO = "info"
    """Everything else."""


def transition_severity(kind: str, to_state: str, reason: str) -> Severity:
    """Return the severity of a transition of a device or a module."""
    known = known_reason(reason)
    if kind == Kind.STUCK:
        return Severity.WARNING if known is Reason.DEVICE_DISCONNECTED else Severity.ERROR
    if kind not in (Kind.DEVICE, Kind.MODULE):
        return Severity.INFO
    if to_state == State.INVALID:
        return Severity.ERROR
    return Severity.WARNING if known is not None and known.is_hopeless else Severity.INFO


def milestone_severity(milestone: str) -> Severity:
    """Return the severity of a milestone of a deployment."""
    if milestone in (Milestone.FIRST_FAILURE, Milestone.THRESHOLD_EXCEEDED):
        return Severity.ERROR
    return Severity.WARNING if milestone == Milestone.STALLED else Severity.INFO
