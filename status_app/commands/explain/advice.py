"""What a person can do about each reason, as steps with the commands that exist for them.

`{device}`, `{module}` and `{image}` are filled in and quoted for a shell; `{container}` is the module as the device
names it. HUB is the reader's own. Commands of `iotedge` and `docker` run on the device, those of `az` anywhere.
"""

import shlex
from collections.abc import Mapping
from typing import Final

from status_core import UNVERIFIED, Reason

_DEVICE: Final = "az iot hub device-identity show --hub-name HUB --device-id {device}"
_TAGS: Final = "az iot hub device-twin show --hub-name HUB --device-id {device}"
_TWIN: Final = "az iot hub module-twin show --hub-name HUB --device-id {device} --module-id '$edgeAgent'"
_PING: Final = (
    "az iot hub invoke-module-method --hub-name HUB --device-id {device} --module-id '$edgeAgent' --method-name ping"
)
_RESTART_AGENT: Final = "Restart the agent, on the device: `sudo iotedge restart edgeAgent`"
_AGENT_LOGS: Final = "Read the agent's logs, on the device: `sudo iotedge logs edgeAgent --tail 200`"
_MODULE_LOGS: Final = "Read the module's logs, on the device: `sudo iotedge logs {container} --tail 200`"
_WAIT: Final = "Wait: it normally passes by itself. Go on if it is stuck."
_CHECK: Final = "Let the device check itself: `sudo iotedge check`"
_SERVICES: Final = "See whether its services run, on the device: `sudo iotedge system status`"
_IS_CONNECTED: Final = f"See whether the hub counts it as connected (`connectionState`): `{_DEVICE}`"
_IS_THERE: Final = f"See whether the agent answers: `{_PING}`"
_CORRECT: Final = "Correct the deployment: IoT Hub edits none, so create one with another id and a higher priority."

ADVICE: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.CONFIG_REJECTED: (
        f"Read what the agent was sent: `{_TWIN}`",
        "Look for a module without `status`, a `type` that is not docker, or an image name that is none.",
        _CORRECT,
    ),
    Reason.SCHEMA_VERSION_REJECTED: (
        "Set `schemaVersion` of `$edgeAgent` to 1.0, or to 1.1 where every agent of the fleet is 1.0.10 or later.",
        "Else update the agent on the device first, by a deployment in schema 1.0 that changes its image alone.",
        _CORRECT,
    ),
    Reason.NOTHING_DESIRED: (
        "Nothing, if the device is to have no deployment.",
        f"Else compare the deployment's target condition with the device's tags: `{_TAGS}`",
    ),
    Reason.EMPTY_REPORTED: (_WAIT, _RESTART_AGENT, _AGENT_LOGS),
    Reason.NEVER_REPORTED: (
        f"See whether it ever connected (`lastActivityTime`): `{_DEVICE}`",
        _SERVICES,
        f"{_CHECK}; it tells a wrong provisioning, a clock that is wrong, and blocked ports.",
    ),
    Reason.WAITING_FOR_DEVICE: (
        _IS_CONNECTED,
        f"{_IS_THERE}. If it does, it is busy: a long pull is not reported until it ends.",
        "If it does not: power and network of the device, then on it: `sudo iotedge check`",
    ),
    Reason.VERSION_REGRESSED: (f"{_RESTART_AGENT}; it reads its new twin then.",),
    Reason.AGENT_STOPPED: (
        "Wait, if the agent or the device is being updated.",
        _SERVICES,
        "Start them: `sudo iotedge system restart`",
    ),
    Reason.RUNTIME_UNREACHABLE: (
        "See whether the container engine runs, on the device: `systemctl status docker`",
        "See what it says: `sudo iotedge system logs`, and whether its disk is full: `df -h`",
        "Restart both: `sudo systemctl restart docker`, then `sudo iotedge system restart`",
    ),
    Reason.PULL_FAILED: (
        "Check the name and the tag of the image in its registry: {image}",
        "Try it on the device: `sudo docker pull {image}`",
        "Unauthorized or denied: correct `registryCredentials` in the deployment's runtime settings.",
        "No such host, or a timeout: the device does not reach the registry; check its network, DNS and proxy.",
        "No space left: `df -h`, then `sudo docker image prune --all` removes images that no container uses.",
    ),
    Reason.START_FAILED: (
        _AGENT_LOGS,
        "Check the createOptions of {module}: a port that another container has, a path that is not on the device.",
        "See what the engine says: `sudo docker inspect {container}`",
    ),
    Reason.STOP_FAILED: (_WAIT, "Remove the container, on the device: `sudo docker rm --force {container}`"),
    Reason.CREATE_FAILED: (
        _AGENT_LOGS,
        "Check the createOptions of {module}: names of volumes and networks, devices, memory that is not there.",
    ),
    Reason.IDENTITY_FAILED: (
        _SERVICES,
        "Read the logs of the identity service, on the device: `sudo iotedge system logs`",
        f"{_CHECK}; certificates may be expired.",
    ),
    Reason.STATUS_UNREADABLE: (
        "Look at the container, on the device: `sudo docker inspect {container}`",
        "Remove it, so that the agent creates it anew: `sudo docker rm --force {container}`",
    ),
    Reason.PULL_TIMED_OUT: (
        _WAIT,
        "See how fast the pull is, on the device: `sudo docker pull {image}`",
        "If it is right and slow: give the module the label `deployment-status.grace` with a longer time.",
    ),
    Reason.STEP_TIMED_OUT: (
        _WAIT,
        "Look at the load of the device: `top`, and at the engine: `sudo iotedge system logs`",
        _AGENT_LOGS,
    ),
    Reason.PLAN_FAILED: ("Read the agent's own words in the message.", _AGENT_LOGS),
    Reason.RETRYING: (_WAIT, "Update the agent: from 1.0.10 on it tells why it tries again.", _AGENT_LOGS),
    Reason.STATUS_MISSING: (_WAIT, _RESTART_AGENT),
    Reason.SETTLING: (_WAIT, f"{_AGENT_LOGS}; it may have skipped a module."),
    Reason.AGENT_UPDATING: (
        _WAIT,
        "See whether the new image is there, on the device: `sudo docker image ls`",
        "Read the logs of the runtime, which replaces the agent: `sudo iotedge system logs`",
    ),
    Reason.BACKOFF: (
        _MODULE_LOGS,
        "Exit code 137 may be memory that ran out (`OOMKilled`): `sudo docker inspect {container}`",
        "If the module is right, what it needs may be missing: its environment, a mount, a server.",
    ),
    Reason.EXITED: (
        _MODULE_LOGS,
        "Its `restartPolicy` keeps it stopped: `always` starts it again, `never` is for a job that runs once.",
        "Start it again: `sudo iotedge restart {container}`",
    ),
    Reason.DEAD: ("Remove the container, on the device: `sudo docker rm --force {container}`",),
    Reason.UNHEALTHY: (
        "See what its health check says, on the device: `sudo docker inspect {container}`",
        _MODULE_LOGS,
    ),
    Reason.STILL_RUNNING: (_WAIT, _AGENT_LOGS, "Stop it by hand: `sudo docker stop {container}`"),
    Reason.STATUS_UNKNOWN: ("Look at the module, on the device: `sudo iotedge list`", _MODULE_LOGS),
    Reason.NOT_DESIRED: (_WAIT, "Without any deployment on the device it stays: remove it there, or leave it."),
    Reason.NOT_REPORTED: ("Nothing: it does not hold the deployment back.",),
    Reason.FINISHED: ("Nothing.",),
    Reason.AS_DESIRED: ("Nothing.",),
    Reason.UNKNOWN_CODE: (
        f"Look at the agent's version and at what it reports: `{_TWIN}`",
        "Report both to this project.",
    ),
}


def steps(reason: str, device_id: str, module: str, image: str | None) -> list[str]:
    """What a person can do, step by step.

    Args:
        reason: A reason, also one that ends with `_unverified`, or that this release does not know.
        device_id: The device.
        module: The module that it is about, or a word in its place.
        image: The image that it should have; None where that is not known.
    """
    known = reason.removesuffix(UNVERIFIED)
    if known not in ADVICE:
        return ["This release does not know the reason: look for it in docs/states.md of the app's own release."]
    values = {
        "device": shlex.quote(device_id),
        "module": module,
        "container": shlex.quote(module.removeprefix("$")),
        "image": shlex.quote(image) if image else "IMAGE",
    }
    first = ["The hub did not answer at the last look: check the app's own access to it."] if known != reason else []
    return first + [step.format_map(values) for step in ADVICE[Reason(known)]]
