"""What one look at a device says to its clocks: to those of its modules, and to its own."""

from typing import Final

from status_core.clocks import Sight
from status_core.states import NOT_TAKEN, ModuleState, State
from status_core.status import DeploymentStatus
from status_core.twin import EDGE_AGENT

_MODULE_SIGHTS: Final[dict[str, Sight]] = {
    ModuleState.SETTLED: Sight.SETTLED,
    ModuleState.PENDING: Sight.UNSAID,
    ModuleState.UNKNOWN: Sight.UNSAID,
}
_REPORT_IS_OLD: Final = (*NOT_TAKEN, State.AGENT_UNAVAILABLE)


def module_sight(state: str, device_state: str) -> Sight:
    """What the state of a module says to its clock: nothing, while the report is from before the version.

    "While a device has not taken the version, or its agent is unavailable, the device row is flagged, not each
    module: reported statuses from before the version say nothing about it."
    """
    if state == ModuleState.EXTRA:
        if device_state == State.NO_DEPLOYMENT:  # nothing removes what no deployment follows
            return Sight.SETTLED
        return Sight.UNSAID if device_state in _REPORT_IS_OLD else Sight.UNSETTLED
    return _MODULE_SIGHTS.get(state, Sight.UNSETTLED)


def device_sight(status: DeploymentStatus) -> Sight:
    """What a look at a device says to its own clock.

    A device whose modules alone are unsettled is settled itself: each of them has its own clock.
    """
    if status.state in (State.SUCCESSFUL, State.MODULE_FAILED, State.NO_DEPLOYMENT):
        return Sight.SETTLED
    if status.state is State.IN_PROGRESS:
        agent = status.modules.get(EDGE_AGENT)
        agent_settled = agent is None or agent.state is ModuleState.SETTLED
        modules = (module for name, module in status.modules.items() if name != EDGE_AGENT)
        if agent_settled and any(module_sight(module.state, status.state) is Sight.UNSETTLED for module in modules):
            return Sight.SETTLED
    return Sight.UNSETTLED
