"""Reasons for the state of a device or module: a closed set, documented in docs/states.md.

This is the only table of reasons. Messages, the `explain` command and docs/states.md take their texts from it.
"""

from enum import StrEnum
from typing import Final, Self


class Reason(StrEnum):
    """A one-word cause of a state, with its meaning and advice.

    The members are in order of rank: if several reasons keep a device from its state, the device gets the first in this
    list.

    Attributes:
        means: What it means, in one sentence.
        advice: What to do, in one sentence.
        is_hopeless: Whether only a person can fix it: neither time nor the agent's retries will.
        rank: Its place in the list; smaller is more severe.
    """

    means: str
    advice: str
    is_hopeless: bool
    rank: int

    def __new__(cls, word: str, means: str, advice: str, is_hopeless: bool = False) -> Self:
        """Create a member from one row of the table."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.means, member.advice, member.is_hopeless = means, advice, is_hopeless
        member.rank = len(cls.__members__)
        return member

    # The manifest
    NOT_EDGE_AGENT = (
        "not_edge_agent",
        "This is the twin of another module than $edgeAgent.",
        "Ask for the twin of $edgeAgent.",
    )
    CONFIG_REJECTED = (
        "config_rejected",
        "The agent cannot read the manifest (code 400).",
        "Correct the deployment: each module needs status, type docker and an image, and createOptions in JSON.",
        True,
    )
    SCHEMA_VERSION_REJECTED = (
        "schema_version_rejected",
        "The agent does not know the schemaVersion of the manifest (code 412).",
        "Use 1.0 or 1.1, or update the agent first.",
        True,
    )
    NOTHING_DESIRED = (
        "nothing_desired",
        "No deployment asks anything of this device.",
        "Target the device if it should have one.",
    )
    EMPTY_REPORTED = (
        "empty_reported",
        "The agent is running but calls the deployment empty (code 417), although it holds modules.",
        "Wait for the next report; if it stays, restart edgeAgent.",
    )
    REJECTED_BEFORE = (
        "rejected_before",
        "The agent's last answer rejected an earlier version, and the same answer about this one would not show.",
        "Check the manifest: it may be rejected too. A correct manifest is taken within a minute.",
    )

    # The device has not taken the version, or its agent is gone
    VERSION_REGRESSED = (
        "version_regressed",
        "The device reports a later version than the hub desires: its identity was created again.",
        "Restart edgeAgent, so that it reads its new twin.",
    )
    AGENT_STOPPED = (
        "agent_stopped",
        "The agent said that it is stopping (code 406), so what runs on the device is not known.",
        "Wait if the device or its runtime is being updated; otherwise start iotedge on the device.",
    )
    NEVER_REPORTED = (
        "never_reported",
        "The device has never reported a deployment.",
        "Check that it was provisioned and is connected.",
    )
    DEVICE_DISCONNECTED = (
        "device_disconnected",
        "IoT Hub says that the device is not connected.",
        "Check the power and the network of the device.",
    )
    WAITING_FOR_DEVICE = (
        "waiting_for_device",
        "The device has not answered: its agent is busy and reports nothing until a pull ends, or it is offline.",
        "Wait for the grace period, then check the connection and ping edgeAgent.",
    )

    # A step that failed: the runtime
    STATUS_UNREADABLE = (
        "status_unreadable",
        "A container is in a state that the agent cannot read, so it can do nothing and reports no module.",
        "Find the container on the device with docker ps -a, and remove it.",
    )
    RUNTIME_UNREACHABLE = (
        "runtime_unreachable",
        "The container runtime does not answer the agent. The modules may be running.",
        "Check iotedge and the container engine on the device.",
    )

    # A step that failed: pulls
    REGISTRY_REFUSED = (
        "registry_refused",
        "The registry refuses to give the image to the device.",
        "Check the credentials of the registry in the deployment, and what they allow.",
        True,
    )
    IMAGE_NOT_FOUND = (
        "image_not_found",
        "The registry has no such image, or the name of the image is not valid.",
        "Check the name and the tag of the image.",
        True,
    )
    WRONG_PLATFORM = (
        "wrong_platform",
        "The image is not built for the architecture or the operating system of the device.",
        "Build the image for this platform, or deploy one that is.",
        True,
    )
    DISK_FULL = (
        "disk_full",
        "The disk of the device is full.",
        "Free space on the device, for instance by removing images that nothing uses.",
    )
    REGISTRY_UNREACHABLE = (
        "registry_unreachable",
        "The device does not reach the registry.",
        "Check its network, DNS, proxy and certificates, and whether the registry is up.",
    )
    PULL_FAILED = (
        "pull_failed",
        "The image cannot be pulled, and the report does not say why.",
        "The cause is in the device's log: sudo iotedge system logs.",
    )

    # A step that failed: starts, and what comes before and after
    PORT_TAKEN = (
        "port_taken",
        "A port of the module is taken on the device.",
        "Find what listens on the port, or use another one in the createOptions.",
    )
    MOUNT_INVALID = (
        "mount_invalid",
        "A path or volume that the module mounts is not there, or cannot be mounted this way.",
        "Correct the binds and mounts in the createOptions, or create the path on the device.",
        True,
    )
    NETWORK_CONFLICT = (
        "network_conflict",
        "The module's place in the container network is taken, usually by what an earlier container left.",
        "Disconnect it on the device with docker network disconnect --force, or restart the container engine.",
    )
    START_FAILED = (
        "start_failed",
        "The module cannot be started.",
        "Check ports, mounts and devices in its createOptions; the device's log says more: sudo iotedge system logs.",
    )
    CREATE_FAILED = (
        "create_failed",
        "The container of the module cannot be created.",
        "Check its createOptions; the device's log says more: sudo iotedge system logs.",
    )
    UPDATE_FAILED = (
        "update_failed",
        "The container of the module could not be replaced, usually because the old one was not stopped or removed.",
        "Look at the container engine on the device; its log says more: sudo iotedge system logs.",
    )
    IDENTITY_FAILED = (
        "identity_failed",
        "The identity of a module cannot be obtained.",
        "Check the identity service on the device.",
    )
    RUNTIME_BUSY = (
        "runtime_busy",
        "The container runtime is too busy to take another request.",
        "Wait for the next try; if it gets stuck, look at the load of the device.",
    )
    PULL_TIMED_OUT = (
        "pull_timed_out",
        "A call to the container runtime timed out while an image is outstanding, so the pull probably goes on.",
        "Wait; if it gets stuck, check how fast the device's network is.",
    )
    STEP_TIMED_OUT = (
        "step_timed_out",
        "The container runtime answered too late, though every image is there.",
        "Wait for the next try; if it gets stuck, look at the load of the device.",
    )
    PLAN_FAILED = (
        "plan_failed",
        "A step failed, and the agent's words are not known here.",
        "Read the agent's words, and its logs.",
    )
    STOP_FAILED = (
        "stop_failed",
        "A container cannot be stopped or removed, which often passes by itself.",
        "Wait for the next try; if it gets stuck, remove the container on the device.",
    )
    RETRYING = (
        "retrying",
        "The agent is alive and waits between two tries, as agents 1.0.8.3 to 1.0.9 report it (code 406).",
        "Update the agent.",
    )
    STATUS_MISSING = (
        "status_missing",
        "The agent took the version and has not said how it went.",
        "Wait for the next report.",
    )
    SETTLING = (
        "settling",
        "The agent reports success next to what ran before, as in the first report after every plan.",
        "Wait for the next report; if it gets stuck, the agent skipped a module: read its logs.",
    )
    SKIPPED = (
        "skipped",
        "The agent reports success but left the module out, usually because it could not get the module's identity.",
        "Restart iotedge on the device; the agent's logs name the module.",
    )
    AGENT_NOT_UPDATED = (
        "agent_not_updated",
        "The agent should have replaced itself with its new image, and has not.",
        "Check that the device can pull the image, and read the agent's logs.",
    )
    AGENT_UPDATING = (
        "agent_updating",
        "The agent is replacing itself with its new image.",
        "Wait until the new agent reports.",
    )

    # A module that is not in its desired status
    GAVE_UP = (
        "gave_up",
        "The agent gave up on the module after 20 restarts and will not start it again.",
        "Read its logs; then restart it on the device, or deploy a version that changes it.",
        True,
    )
    UNMANAGED = (
        "unmanaged",
        "The module has exited, and without a valid deployment nothing starts it again.",
        "Give the device a deployment that its agent accepts, or start the module by hand.",
    )
    NEVER_STARTED = (
        "never_started",
        "The container was created but never started.",
        "Read the agent's logs: they say why a start fails.",
    )
    BACKOFF = (
        "backoff",
        "The module has exited, and the agent waits before it starts it again.",
        "Read the logs of the module.",
    )
    EXITED = (
        "exited",
        "The module has exited and is not running.",
        "Read the logs of the module; look at its exit code and its restartPolicy.",
    )
    DEAD = (
        "dead",
        "The container runtime could not remove the container.",
        "Remove it on the device.",
    )
    UNHEALTHY = (
        "unhealthy",
        "The module fails its health check.",
        "Read the logs of the module.",
    )
    STILL_RUNNING = (
        "still_running",
        "The module should be stopped but still runs.",
        "Wait; if it gets stuck, read the logs of the agent.",
    )
    STATUS_UNKNOWN = (
        "status_unknown",
        "The status of the module is unknown, or a word that no agent reports.",
        "Look at the module on the device.",
    )

    # Nothing is wrong
    NOT_DESIRED = (
        "not_desired",
        "The module is on the device and not part of the deployment.",
        "Wait until the agent removes it; without a deployment it stays.",
    )
    NOT_REPORTED = (
        "not_reported",
        "The report does not name the agent's own image.",
        "Do nothing: it does not hold the deployment back.",
    )
    FINISHED = (
        "finished",
        "The module runs once, and has finished successfully.",
        "Do nothing.",
    )
    AS_DESIRED = (
        "as_desired",
        "Image and status are as desired.",
        "Do nothing.",
    )

    UNKNOWN_CODE = (
        "unknown_code",
        "The code that the agent reports is not one of its six.",
        "Look at the version of the agent, and report it to this project.",
    )


UNVERIFIED: Final = "_unverified"
"""Suffix of the reason of something flagged as stuck while IoT Hub did not answer. The next read removes it."""


def known_reason(word: str) -> Reason | None:
    """Return the reason stored in a row, without `UNVERIFIED`; None if this release does not know it."""
    return _BY_WORD.get(word.removesuffix(UNVERIFIED))


def is_unverified(reason: str) -> bool:
    """Whether a reason belongs to a flag that was set without reading the twin."""
    return reason.endswith(UNVERIFIED)


_BY_WORD: Final = {reason.value: reason for reason in Reason}
