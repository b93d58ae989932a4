"""The modules on a device as its agent sees them: containers, combined with the last accepted manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from local.fleet.containers import Container, ContainerRuntime
from local.fleet.manifest import EDGE_AGENT, ModuleSpec
from local.fleet.restarts import Restarts, judged_status


@dataclass(frozen=True, slots=True)
class ObservedModule:
    """One module.

    Attributes:
        container: A copy of its container.
        accepted: The module in the manifest; None if it is not there.
        restarts: Its restarts, if any are stored.
        status: The value for `runtimeStatus`.
    """

    container: Container
    accepted: ModuleSpec | None
    restarts: Restarts | None
    status: str

    @property
    def restart_count(self) -> int:
        """The number of restarts."""
        return self.restarts.count if self.restarts else 0


def observe(
    runtime: ContainerRuntime, accepted: Mapping[str, ModuleSpec], restarts: Mapping[str, Restarts]
) -> dict[str, ObservedModule]:
    """Return the modules by name, including edgeAgent.

    Raises:
        StatusError: The state of a container is unknown.
    """
    return {name: _observe(name, runtime, accepted.get(name), restarts.get(name)) for name in runtime.containers}


def _observe(
    name: str, runtime: ContainerRuntime, accepted: ModuleSpec | None, restarts: Restarts | None
) -> ObservedModule:
    status, count = runtime.status(name), restarts.count if restarts else 0
    if name == EDGE_AGENT:
        status = judged_status(status, "always", count)
    elif accepted is not None and accepted.status == "running":
        status = judged_status(status, accepted.restart_policy, count)
    return ObservedModule(replace(runtime.containers[name]), accepted, restarts, status)
