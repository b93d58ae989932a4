"""What the state of an IoT Edge deployment on a device is: pure, standard library only, no clock, no I/O.

The rules come from reported_states_during_deployment.md; docs/states.md lists states, rules and reasons.
"""

from status_core.advance import advance
from status_core.clocks import Clock
from status_core.durations import format_duration, parse_duration
from status_core.evaluation import evaluate
from status_core.grace import GracePolicy
from status_core.reasons import Reason
from status_core.record import DeviceRecord, ModuleRecord
from status_core.states import Flag, ModuleState, Portal, State
from status_core.status import DeploymentStatus, Evidence, ModuleStatus
from status_core.stuck import flag
from status_core.transitions import Change, Kind, Transition, deletion

__all__ = [
    "Change",
    "Clock",
    "DeploymentStatus",
    "DeviceRecord",
    "Evidence",
    "Flag",
    "GracePolicy",
    "Kind",
    "ModuleRecord",
    "ModuleState",
    "ModuleStatus",
    "Portal",
    "Reason",
    "State",
    "Transition",
    "advance",
    "deletion",
    "evaluate",
    "flag",
    "format_duration",
    "parse_duration",
]
