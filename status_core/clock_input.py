"""What one sample of a device contributes to its clocks: those of its modules and its own."""

from enum import Enum, auto
from typing import Final

from status_core.reasons import Reason
from status_core.states import NOT_TAKEN, ModuleState, State
from status_core.status import DeploymentStatus
from status_core.twin import EDGE_AGENT


class ClockInput(Enum):
    """What one sample means for a clock."""

    SETTLED = auto()
    """It is as desired."""
    UNSETTLED = auto()
    """It is not as desired."""
    NO_EVIDENCE = auto()
    """The report does not cover the desired version. The clock runs on, and its window starts over."""
    LAGGING = auto()
    """The report shows what ran before the plan. The clock and its window run on."""
    OFF = auto()
    """Nothing manages it, so no clock runs."""


_NO_EVIDENCE: Final = (ModuleState.PENDING, ModuleState.UNKNOWN)
_UNMANAGED: Final = (State.INVALID, State.EMPTY, State.NO_DEPLOYMENT)
_REPORT_IS_OLD: Final = (*NOT_TAKEN, State.AGENT_UNAVAILABLE)
CAN_LAG: Final = (State.IN_PROGRESS, State.MODULE_FAILED)
"""Device states that mean nothing in a lagging report. Other states are never lagging."""


def module_input(state: str, reason: str, device_state: str, *, is_lagging: bool = False) -> ClockInput:
    """Return what the state of a module means for its clock.

    While a device has not taken the version, or its agent is unavailable, only the device is flagged: the reported
    statuses are from before the version.

    Args:
        state: State of the module.
        reason: Its reason.
        device_state: State of the device.
        is_lagging: The report shows what ran before the plan.
    """
    if device_state in _UNMANAGED:
        return ClockInput.UNSETTLED if reason == Reason.UNMANAGED else ClockInput.OFF
    if state == ModuleState.SETTLED:
        return ClockInput.SETTLED
    if state in _NO_EVIDENCE or (state == ModuleState.EXTRA and device_state in _REPORT_IS_OLD):
        return ClockInput.NO_EVIDENCE
    return ClockInput.LAGGING if is_lagging else ClockInput.UNSETTLED


def device_input(status: DeploymentStatus, *, is_lagging: bool) -> ClockInput:
    """Return what a sample of a device means for the device's own clock.

    If only its modules are unsettled, the device itself is settled: each module has its own clock.
    """
    if status.state is State.NO_DEPLOYMENT:
        return ClockInput.OFF
    if is_lagging and status.state in CAN_LAG:
        return ClockInput.LAGGING
    if status.state in (State.SUCCESSFUL, State.MODULE_FAILED):
        return ClockInput.SETTLED
    if status.state is State.IN_PROGRESS:
        agent = status.modules.get(EDGE_AGENT)
        agent_settled = agent is None or agent.state is ModuleState.SETTLED
        modules = (module for name, module in status.modules.items() if name != EDGE_AGENT)
        if agent_settled and any(module.state not in (ModuleState.SETTLED, *_NO_EVIDENCE) for module in modules):
            return ClockInput.SETTLED
    return ClockInput.UNSETTLED
