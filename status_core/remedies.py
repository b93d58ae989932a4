"""Turns the advice of the table of reasons into steps, with the commands for them.

`{device}`, `{module}` and `{image}` are filled in, quoted for a shell. `{container}` is the module's name on the
device. HUB is for the reader to replace. Commands of `iotedge` and `docker` run on the device, those of `az` anywhere.
"""

import shlex
from collections.abc import Mapping
from typing import Final

from status_core.reasons import Reason, is_unverified, known_reason

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
_RUNTIME_LOGS: Final = "Read the device's log, which has the engine's own words: `sudo iotedge system logs`"
_TRY_PULL: Final = "Try it on the device: `sudo docker pull {image}`"
_LINT: Final = "Have it checked: `python -m status_core --lint FILE`"
_CORRECT: Final = "Correct the deployment: IoT Hub edits none, so create one with another id and a higher priority."

REMEDIES: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.NOT_EDGE_AGENT: (f"Ask for the twin of `$edgeAgent`: `{_TWIN}`",),
    Reason.CONFIG_REJECTED: (
        f"Read what the agent was sent: `{_TWIN}`",
        f"{_LINT}, with that twin or the deployment's manifest.",
        "Look for a module without `status`, a `type` that is not docker, or an invalid image name.",
        "Look for createOptions that are not JSON once all layers are merged.",
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
    Reason.REJECTED_BEFORE: (
        f"{_LINT}, with the deployment's manifest: it may be rejected too.",
        f"See whether the device is connected and its agent answers: `{_PING}`",
        "If it is right and not taken after some minutes, restart the agent: `sudo iotedge restart edgeAgent`",
    ),
    Reason.NEVER_REPORTED: (
        f"See whether it ever connected (`lastActivityTime`): `{_DEVICE}`",
        _SERVICES,
        f"{_CHECK}; it finds wrong provisioning, a wrong clock, and blocked ports.",
    ),
    Reason.DEVICE_DISCONNECTED: (
        _IS_CONNECTED,
        "Check the power and the network of the device, then on it: `sudo iotedge check`",
        _SERVICES,
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
    Reason.REGISTRY_REFUSED: (
        "Correct `registryCredentials` in the deployment's runtime settings: address, username and password.",
        "See whether that account may pull {image}, and whether the registry's firewall lets the device in.",
        f"{_TRY_PULL}; a registry that counts pulls (`toomanyrequests`) refuses those without an account first.",
    ),
    Reason.IMAGE_NOT_FOUND: (
        "Check the name and the tag of the image in its registry: {image}",
        _TRY_PULL,
        _CORRECT,
    ),
    Reason.WRONG_PLATFORM: (
        "See for which platforms the image is built: `docker manifest inspect {image}`",
        "Build it for the platform of the device too, or deploy one that is.",
        _CORRECT,
    ),
    Reason.DISK_FULL: (
        "See what is full, on the device: `df -h`",
        "Remove images that no container uses, on the device: `sudo docker image prune --all`",
        "Limit the logs of the modules, with `max-size` in the engine's configuration or the createOptions.",
    ),
    Reason.REGISTRY_UNREACHABLE: (
        f"{_TRY_PULL}; no such host, a timeout or a certificate says what is in the way.",
        "Check network, DNS, proxy and firewall of the device, then on it: `sudo iotedge check`",
        "See whether the registry is up: other devices would fail with the same cause.",
    ),
    Reason.PULL_FAILED: (
        f"{_RUNTIME_LOGS}; current agents report only that the pull failed.",
        _TRY_PULL,
        "Check the name and the tag of the image in its registry, and the registry's credentials: {image}",
    ),
    Reason.PORT_TAKEN: (
        "See what listens on the port, on the device: `sudo ss -tlnp`, and which container has it: `sudo docker ps`",
        "Stop that, or choose another HostPort in the createOptions of {module}.",
    ),
    Reason.MOUNT_INVALID: (
        "Compare Binds and Mounts in the createOptions of {module} with what is on the device.",
        "See what the engine says: `sudo docker inspect {container}`",
        "Create the path on the device, or correct the createOptions; a file is not a directory.",
        _CORRECT,
    ),
    Reason.NETWORK_CONFLICT: (
        "See what is in the network, on the device: `sudo docker network inspect azure-iot-edge`",
        "Take it out: `sudo docker network disconnect --force azure-iot-edge {container}`",
        "Restart the engine if it stays: `sudo systemctl restart docker`",
    ),
    Reason.START_FAILED: (
        _RUNTIME_LOGS,
        "Check the createOptions of {module}: a port that another container has, a path that is not on the device.",
        "See what the engine says: `sudo docker inspect {container}`",
    ),
    Reason.STOP_FAILED: (_WAIT, "Remove the container, on the device: `sudo docker rm --force {container}`"),
    Reason.CREATE_FAILED: (
        _RUNTIME_LOGS,
        "Check the createOptions of {module}: names of volumes and networks, devices, memory that the device lacks.",
    ),
    Reason.UPDATE_FAILED: (
        _RUNTIME_LOGS,
        "See whether the old container is there, on the device: `sudo docker inspect {container}`",
        "Remove it, so that the agent creates it again: `sudo docker rm --force {container}`",
    ),
    Reason.RUNTIME_BUSY: (
        _WAIT,
        "Look at the load of the device: `top`, and at the engine: `sudo iotedge system logs`",
    ),
    Reason.IDENTITY_FAILED: (
        _SERVICES,
        "Read the logs of the identity service, on the device: `sudo iotedge system logs`",
        f"{_CHECK}; certificates may be expired.",
    ),
    Reason.STATUS_UNREADABLE: (
        "Find the container that is neither running nor exited, on the device: `sudo docker ps --all`",
        "Remove it, so that the agent creates it again: `sudo docker rm --force CONTAINER`",
    ),
    Reason.PULL_TIMED_OUT: (
        _WAIT,
        "See how fast a pull is, on the device: `sudo docker pull {image}`",
        "If it is right and slow: give the module the label `deployment-status.grace` with a longer time.",
    ),
    Reason.STEP_TIMED_OUT: (
        _WAIT,
        "Look at the load of the device: `top`, and at the engine: `sudo iotedge system logs`",
        _AGENT_LOGS,
    ),
    Reason.PLAN_FAILED: ("Read the agent's own words in the message.", _AGENT_LOGS),
    Reason.RETRYING: (_WAIT, "Update the agent: from 1.0.10 on it says why it tries again.", _AGENT_LOGS),
    Reason.STATUS_MISSING: (_WAIT, _RESTART_AGENT),
    Reason.SKIPPED: (
        f"{_AGENT_LOGS}, and look for the module's name and for its identity.",
        "Restart the runtime, which asks for the identities again: `sudo iotedge system restart`",
        _CHECK,
    ),
    Reason.AGENT_NOT_UPDATED: (
        _TRY_PULL,
        "Read the logs of the runtime, which replaces the agent: `sudo iotedge system logs`",
        _RESTART_AGENT,
    ),
    Reason.SETTLING: (_WAIT, f"{_AGENT_LOGS}; it may have skipped a module."),
    Reason.AGENT_UPDATING: (
        _WAIT,
        "See whether the new image is there, on the device: `sudo docker image ls`",
        "Read the logs of the runtime, which replaces the agent: `sudo iotedge system logs`",
    ),
    Reason.GAVE_UP: (
        _MODULE_LOGS,
        "Start it again, on the device: `sudo iotedge restart {container}`; the agent then counts from zero.",
        "Or deploy a version that changes it: that makes the agent try again too.",
    ),
    Reason.UNMANAGED: (
        "Give the device a deployment that its agent accepts; until then nothing restarts what exits.",
        "Start the module by hand, on the device: `sudo iotedge restart {container}`",
    ),
    Reason.NEVER_STARTED: (
        _AGENT_LOGS,
        _RUNTIME_LOGS,
        "See what the engine says: `sudo docker inspect {container}`",
    ),
    Reason.BACKOFF: (
        _MODULE_LOGS,
        "Exit code 137 may mean out of memory (`OOMKilled`): `sudo docker inspect {container}`",
        "If the module is right, what it needs may be missing: its environment, a mount, a server.",
    ),
    Reason.EXITED: (
        _MODULE_LOGS,
        "Look at its `restartPolicy`: `always` starts it again, `never` is for a job that runs once.",
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
    """List what a person can do, step by step.

    Args:
        reason: A reason, which may end with `_unverified` or be unknown to this release.
        device_id: The device.
        module: The module concerned, or a placeholder.
        image: Its desired image; None if not known.
    """
    known = known_reason(reason)
    if known is None:
        return ["This release does not know the reason: look for it in docs/states.md of the app's own release."]
    values = {
        "device": shlex.quote(device_id),
        "module": module,
        "container": shlex.quote(module.removeprefix("$")),
        "image": shlex.quote(image) if image else "IMAGE",
    }
    first = ["The hub did not answer at the last read: check the app's own access to it."]
    return (first if is_unverified(reason) else []) + [step.format_map(values) for step in REMEDIES[known]]
