"""The closed sets of a verdict: states of a deployment and of a module, flags, and IoT Hub's own counters."""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """The state of the deployment on one device."""

    NO_DEPLOYMENT = "no_deployment"
    """Nothing is desired of the device."""
    INVALID = "invalid"
    """The agent rejected the manifest. What ran before keeps running until it exits, and is not restarted."""
    PENDING = "pending"
    """The device has not taken the desired version."""
    AGENT_UNAVAILABLE = "agent_unavailable"
    """The agent said that it stops, so its earlier report no longer shows what runs."""
    EMPTY = "empty"
    """The agent says that it has no deployment, although the version holds one."""
    IN_PROGRESS = "in_progress"
    """The agent works on the version, or fails to. The twin does not show which."""
    MODULE_FAILED = "module_failed"
    """Every module was deployed and at least one is not in its desired status."""
    SUCCESSFUL = "successful"
    """Every module is what the deployment wants."""
    UNCLASSIFIED = "unclassified"
    """The agent reported something that no known agent reports."""


NOT_TAKEN: Final = (State.PENDING, State.INVALID, State.EMPTY)
"""In these states the reported section is from before the version."""


class ModuleState(StrEnum):
    """The state of one module of the deployment."""

    SETTLED = "settled"
    """Desired image, desired status."""
    PENDING = "pending"
    """The device has not taken the version that asks for it."""
    MISSING = "missing"
    """Desired and not on the device."""
    UPDATING = "updating"
    """On the device with another image."""
    WRONG_STATUS = "wrong_status"
    """The desired image, not in the desired status."""
    UNKNOWN = "unknown"
    """The device cannot say: its agent is unavailable, or the container runtime did not answer."""
    EXTRA = "extra"
    """On the device and not desired."""


class Flag(StrEnum):
    """Extra information that does not change the state."""

    AGENT_UNAVAILABLE = "agent_unavailable"
    """The version is not taken, and the agent said that it stops."""
    VERSION_REGRESSED = "version_regressed"
    """The device reports a later version than the hub desires: the identity was created again."""
    AGENT_STATUS_UNKNOWN = "agent_status_unknown"
    """The agent reports success, but its own status as unknown."""
    NOT_CREDITED = "not_credited"
    """Configurations target the device, but none is applied to it."""


class Portal(StrEnum):
    """The furthest of IoT Hub's own counters that counts the device."""

    APPLIED = "applied"
    """`appliedCount`: a configuration is Applied."""
    SUCCESSFUL = "successful"
    """`reportedSuccessfulCount`: applied, versions equal, code 200."""
    FAILED = "failed"
    """`reportedFailedCount`: applied, versions equal, any other code."""
