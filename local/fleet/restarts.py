"""How edgeAgent restarts what has exited: policy, cool-off, and when it gives up."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from local.fleet.containers import Container
from local.fleet.manifest import ModuleSpec

_MOST_RESTARTS: Final = 20
_COOL_OFF: Final = timedelta(seconds=10)
_LONGEST_COOL_OFF: Final = timedelta(minutes=5)
_HEALTHY_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a module was restarted, and when last."""

    count: int = 0
    last: datetime | None = None


def runtime_status(container: Container, spec: ModuleSpec | None, restarts: Restarts) -> str:
    """What is reported of a container: edged's word, or what the restart policy makes of it.

    Args:
        container: What runs, or does not.
        spec: The module in the accepted manifest; None: it is not in there.
        restarts: Of this module.
    """
    status = container.status
    if spec is None or spec.status != "running" or status == "running":
        return status
    restartable = spec.restart_policy == "always" or (status == "failed" and spec.restart_policy.startswith("on-"))
    if not restartable:
        return status
    return "failed" if restarts.count >= _MOST_RESTARTS else "backoff"


def cool_off_is_over(container: Container, restarts: Restarts, now: datetime) -> bool:
    """Whether a module in back-off may be started again."""
    cool_off = min(_COOL_OFF * 2**restarts.count, _LONGEST_COOL_OFF)
    return container.exited_at is None or now - container.exited_at >= cool_off


def has_healed(container: Container, restarts: Restarts, now: datetime) -> bool:
    """Whether a restarted module has run for so long that its restarts are forgotten."""
    running_since = container.started_at if container.state == "running" else None
    return restarts.count > 0 and running_since is not None and now - running_since >= _HEALTHY_AFTER
