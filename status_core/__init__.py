"""The state of an IoT Edge deployment on a device. Pure: standard library only, no clock, no I/O.

The rules come from reported_states_during_deployment.md; docs/states.md lists states, rules and reasons.
"""

from status_core.advance import advance
from status_core.blanking import REDACTED, Blanker
from status_core.causes import Cause
from status_core.clock_input import ClockInput, module_input
from status_core.clocks import Clock
from status_core.durations import format_duration, parse_duration
from status_core.evaluation import evaluate
from status_core.events import DeploymentEvent, DeviceEvent, Event
from status_core.grace import BY_REASON, STABLE_AFTER, GracePolicy
from status_core.lint import Finding
from status_core.listing import NO_LIST, Listing, Listings, read_listings
from status_core.messages import MESSAGE_LIMIT
from status_core.news import News
from status_core.reading import clean, scalar, timestamp
from status_core.reasons import UNVERIFIED, Reason, known_reason
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, ModuleVerdict
from status_core.remedies import steps
from status_core.restarts import ago
from status_core.rollout import INDIVIDUAL, Counts, Milestone, Rollout, progress, tally
from status_core.rules import RULES
from status_core.secrets import secret_values
from status_core.standing import Standing, standing
from status_core.states import Flag, ModuleState, Portal, State
from status_core.status import DeploymentStatus, Evidence, ModuleStatus
from status_core.stuck import flag_unverified
from status_core.threshold import NONE_MAY_FAIL, Threshold
from status_core.transitions import ABSENT, DELETED_REASON, REMOVED_REASON, Change, Kind, Transition, deletion
from status_core.twin import EDGE_AGENT, NAME_LIMIT, NAMES_LIMIT

__all__ = [
    "ABSENT",
    "BY_REASON",
    "DELETED_REASON",
    "EDGE_AGENT",
    "INDIVIDUAL",
    "MESSAGE_LIMIT",
    "NAMES_LIMIT",
    "NAME_LIMIT",
    "NONE_MAY_FAIL",
    "NO_LIST",
    "REDACTED",
    "REMOVED_REASON",
    "RULES",
    "STABLE_AFTER",
    "UNVERIFIED",
    "Blanker",
    "Cause",
    "Change",
    "Clock",
    "ClockInput",
    "Counts",
    "DeploymentEvent",
    "DeploymentStatus",
    "DeviceEvent",
    "DeviceRecord",
    "DeviceVerdict",
    "Event",
    "Evidence",
    "Finding",
    "Flag",
    "GracePolicy",
    "Kind",
    "Listing",
    "Listings",
    "Milestone",
    "ModuleRecord",
    "ModuleState",
    "ModuleStatus",
    "ModuleVerdict",
    "News",
    "Portal",
    "Reason",
    "Rollout",
    "Standing",
    "State",
    "Threshold",
    "Transition",
    "advance",
    "ago",
    "clean",
    "deletion",
    "evaluate",
    "flag_unverified",
    "format_duration",
    "known_reason",
    "module_input",
    "parse_duration",
    "progress",
    "read_listings",
    "scalar",
    "secret_values",
    "standing",
    "steps",
    "tally",
    "timestamp",
]
