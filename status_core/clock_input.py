"""What one look at a device says to its clocks: to those of its modules, and to its own."""

from enum import Enum, auto
from typing import Final

from status_core.reasons import Reason
from status_core.states import NOT_TAKEN, ModuleState, State
from status_core.status import DeploymentStatus
from status_core.twin import EDGE_AGENT


class ClockInput(Enum):
    """What one look says to a clock."""

    SETTLED = auto()
    """It is what was desired."""
    UNSETTLED = auto()
    """It is not."""
    NO_EVIDENCE = auto()
    """The report says nothing about the desired version: the clock runs on, and its window starts again."""
    LAGGING = auto()
    """The report shows what ran before the plan: the clock and its window run on."""
    OFF = auto()
    """Nobody manages it, so no clock runs."""


_NO_EVIDENCE: Final = (ModuleState.PENDING, ModuleState.UNKNOWN)
_UNMANAGED: Final = (State.INVALID, State.EMPTY, State.NO_DEPLOYMENT)
_REPORT_IS_OLD: Final = (*NOT_TAKEN, State.AGENT_UNAVAILABLE)
CAN_LAG: Final = (State.IN_PROGRESS, State.MODULE_FAILED)
"""States of a device that say nothing where its report lags; the others do not lag."""


def module_input(state: str, reason: str, device_state: str, *, is_lagging: bool = False) -> ClockInput:
    """What the state of a module says to its clock.

    "While a device has not taken the version, or its agent is unavailable, the device row is flagged, not each
    module: reported statuses from before the version say nothing about it."

    Args:
        state: State of the module.
        reason: Its reason.
        device_state: State of the device.
        is_lagging: The report shows what ran before the plan (notes on edgeAgent, rows 6 and 7: `DeploymentStatus`).
    """
    if device_state in _UNMANAGED:
        return ClockInput.UNSETTLED if reason == Reason.UNMANAGED else ClockInput.OFF
    if state == ModuleState.SETTLED:
        return ClockInput.SETTLED
    if state in _NO_EVIDENCE or (state == ModuleState.EXTRA and device_state in _REPORT_IS_OLD):
        return ClockInput.NO_EVIDENCE
    return ClockInput.LAGGING if is_lagging else ClockInput.UNSETTLED


def device_input(status: DeploymentStatus, *, is_lagging: bool) -> ClockInput:
    """What a look at a device says to its own clock.

    A device whose modules alone are unsettled is settled itself: each of them has its own clock.
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
