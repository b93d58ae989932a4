"""Why a device or a module is in its state: a closed set, documented in docs/states.md."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """One word for the cause of a state; the message says it in a sentence.

    The order is the order of severity: of several modules that keep a device from its state, the one whose
    reason stands first here gives the device its reason.
    """

    # The manifest
    CONFIG_REJECTED = "config_rejected"
    """Code 400: the agent cannot read the manifest."""
    SCHEMA_VERSION_REJECTED = "schema_version_rejected"
    """Code 412: the agent does not know the manifest's schemaVersion."""
    NOTHING_DESIRED = "nothing_desired"
    """The desired properties hold no deployment."""
    EMPTY_REPORTED = "empty_reported"
    """Code 417 for a version that is not empty."""

    # The device has not taken the version, or its agent is gone
    NEVER_REPORTED = "never_reported"
    """The device has never reported a version."""
    WAITING_FOR_DEVICE = "waiting_for_device"
    """The device is offline, busy with a plan, or pulling images: it reports nothing meanwhile."""
    VERSION_REGRESSED = "version_regressed"
    """The device reports a later version than the hub desires."""
    AGENT_STOPPED = "agent_stopped"
    """Code 406: the agent said that it stops."""

    # A plan that failed or goes on
    RUNTIME_UNREACHABLE = "runtime_unreachable"
    """The container runtime did not answer; the agent took every module off its report."""
    PULL_FAILED = "pull_failed"
    """An image could not be pulled."""
    START_FAILED = "start_failed"
    """A container could not be started."""
    STOP_FAILED = "stop_failed"
    """A container could not be stopped or removed."""
    CREATE_FAILED = "create_failed"
    """A container could not be created."""
    IDENTITY_FAILED = "identity_failed"
    """The identity of a module could not be obtained."""
    STATUS_UNREADABLE = "status_unreadable"
    """The container runtime reports a status that the agent does not know."""
    PULL_TIMED_OUT = "pull_timed_out"
    """A call to the container runtime timed out while an image is outstanding: probably still pulling."""
    STEP_TIMED_OUT = "step_timed_out"
    """A call to the container runtime timed out, though every image is there."""
    PLAN_FAILED = "plan_failed"
    """A step failed with a text that is not known here."""
    RETRYING = "retrying"
    """Code 406 without a description from an agent that is alive: an old agent between two tries."""
    STATUS_MISSING = "status_missing"
    """The version is taken, and `lastDesiredStatus` is not in the report."""
    SETTLING = "settling"
    """The agent reports success and the module list from before its plan, normal for one report."""
    AGENT_UPDATING = "agent_updating"
    """Only the agent's own image is not the desired one: it replaces itself."""

    # A module that is not in its desired status
    BACKOFF = "backoff"
    """The module keeps exiting, and the agent waits before the next start."""
    EXITED = "exited"
    """The module has exited and is not started again."""
    DEAD = "dead"
    """The container runtime could not remove the container."""
    UNHEALTHY = "unhealthy"
    """The module fails its health check."""
    STILL_RUNNING = "still_running"
    """The module is to be stopped and is not."""
    STATUS_UNKNOWN = "status_unknown"
    """The module's status is unknown, or not a word that an agent reports."""

    # Nothing is wrong
    NOT_DESIRED = "not_desired"
    """The module is not part of the deployment; the agent removes it."""
    NOT_REPORTED = "not_reported"
    """The agent's report does not name its own image."""
    FINISHED = "finished"
    """A job that runs once has ended well."""
    AS_DESIRED = "as_desired"
    """Image and status are the desired ones."""

    UNKNOWN_CODE = "unknown_code"
    """`lastDesiredStatus.code` is none of the six codes of the agent."""


UNVERIFIED: Final = "_unverified"
"""Ends the reason of what was flagged as stuck while IoT Hub did not answer, until a look can be taken."""


def is_unverified(reason: str) -> bool:
    """Whether a reason is of a flag that was set without a look."""
    return reason.endswith(UNVERIFIED)


SEVERITY: dict[Reason, int] = {reason: rank for rank, reason in enumerate(Reason)}
"""Rank of each reason; the smaller, the more severe."""
