"""How edgeAgent restarts exited modules: policy, cool-off, and when it gives up.

Source: Azure/iotedge, edge-agent, Core/RestartPolicyManager.cs and Core/planner/HealthRestartPlanner.cs.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_MOST_RESTARTS: Final = 20
_COOL_OFF: Final = timedelta(seconds=10)
_LONGEST_COOL_OFF: Final = timedelta(minutes=5)
_HEALTHY_AFTER: Final = timedelta(minutes=10)


class StatusError(Exception):
    """The agent does not understand a status."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """The stored restarts of a module, until it is healthy or created again.

    Attributes:
        last: When the agent planned the last restart.
    """

    count: int
    last: datetime


def judged_status(status: str, policy: str, count: int) -> str:
    """Return the status that the agent reports for a module that should run.

    Args:
        status: Edged's status of its container.
        policy: Its restart policy.
        count: How often it was restarted.

    Raises:
        StatusError: Edged's status is `unknown`. One such container leaves the agent without any module.
    """
    if status == "unknown":
        raise StatusError("ModuleStatus unknown is not a valid status. (Parameter 'status')")
    restartable = policy == "always" or (status == "failed" and policy.startswith("on-"))
    if status == "running" or not restartable:
        return status
    return "failed" if count >= _MOST_RESTARTS else "backoff"


def cool_off_is_over(exited_at: datetime | None, count: int, now: datetime) -> bool:
    """Whether a module in back-off can be started again. One that has never run can at any time."""
    return exited_at is None or now - exited_at > min(_COOL_OFF * 2**count, _LONGEST_COOL_OFF)


def has_healed(started_at: datetime | None, now: datetime) -> bool:
    """Whether a running module has run long enough to forget its restarts."""
    return started_at is not None and now - started_at > _HEALTHY_AFTER
