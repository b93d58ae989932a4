"""Reports a transition: as a log line, and as a count in the metrics."""

from status_app.telemetry.logs import log
from status_app.telemetry.meters import TRANSITIONS, record
from status_core import NAME_LIMIT, Transition, clean

_log = log(__name__)


def report_transition(device_id: str, transition: Transition) -> None:
    """Report a committed transition."""
    change = transition.change
    left, entered = change.from_state or "absent", change.to_state or "absent"
    _log.info(
        "device %r %s: %s -> %s (%s)",
        device_id,
        f"{change.kind} {clean(change.module, NAME_LIMIT)}".rstrip(),  # a change of the device itself names no module
        left,
        entered,
        change.reason,
        extra={"deployments": list(transition.deployments)},
    )
    record(TRANSITIONS, 1, {"kind": change.kind, "from": left, "to": entered, "reason": change.reason})
