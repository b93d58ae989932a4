"""The reported properties as edgeAgent writes them: the whole state, and the patch from one to the next."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from local.fleet.containers import Container
from local.fleet.manifest import EDGE_AGENT, EDGE_HUB, LAST_IN_STARTUP, ModuleSpec
from local.fleet.restarts import Restarts, runtime_status
from local.iothub.sections import hub_time

type Report = Mapping[str, Any]

_NOT_YET: Final = "0001-01-01T00:00:00"
_NO_EDGE_HUB: Final = {"type": "Unknown", "status": "unknown"}


def status_entry(code: int, description: str) -> dict[str, Any]:
    """`lastDesiredStatus`."""
    return {"code": code, "description": description}


def module_entry(container: Container, accepted: ModuleSpec | None, restarts: Restarts) -> dict[str, Any]:
    """What is reported of a module: its container measured, the accepted manifest echoed.

    Args:
        container: What the runtime has.
        accepted: The module in the manifest that the agent last accepted; None: it is not in there.
        restarts: Of this module.
    """
    echo = accepted or container.spec
    # edgeHub is a module like any other, but has no version of its own.
    version = {} if echo.name == EDGE_HUB else {"version": echo.version}
    return {
        **version,
        "status": accepted.status if accepted else "unknown",
        "restartPolicy": accepted.restart_policy if accepted else "unknown",
        "imagePullPolicy": echo.pull_policy,
        **({} if echo.startup_order == LAST_IN_STARTUP else {"startupOrder": echo.startup_order}),
        "type": "docker",
        "settings": {**_image(container), **echo.chunks},
        "env": echo.env,
        **_run(container),
        "restartCount": restarts.count,
        "lastRestartTimeUtc": _time(restarts.last),
        "runtimeStatus": runtime_status(container, accepted, restarts),
    }


def edge_agent_entry(container: Container) -> dict[str, Any]:
    """What the agent reports of itself."""
    labels = {
        "net.azure-devices.edge.create-options": container.spec.create_options,
        "net.azure-devices.edge.env": _compact(container.spec.env),
        "net.azure-devices.edge.owner": "Microsoft.Azure.Devices.Edge.Agent",
    }
    return {
        "type": "docker",
        "startupOrder": 0,
        "imagePullPolicy": container.spec.pull_policy,
        "settings": {**_image(container), "createOptions": _compact({"Labels": labels})},
        "env": container.spec.env,
        **_run(container),
        "runtimeStatus": container.status,
    }


def modules_entry(
    containers: Mapping[str, Container], accepted: Mapping[str, ModuleSpec], restarts: Mapping[str, Restarts]
) -> dict[str, Any]:
    """`systemModules` and `modules` of a device as it stands."""
    entries = {
        name: module_entry(container, accepted.get(name), restarts.get(name, Restarts()))
        for name, container in containers.items()
        if name != EDGE_AGENT
    }
    return {
        "systemModules": {
            EDGE_HUB: entries.pop(EDGE_HUB, _NO_EDGE_HUB),
            EDGE_AGENT: edge_agent_entry(containers[EDGE_AGENT]),
        },
        "modules": entries,
    }


def known_report(reported: Mapping[str, Any]) -> Report:
    """What an agent takes as reported when it starts: the twin's section, and defaults where that is silent.

    Because a default counts as reported, a new device's first report has no `description` and no edgeHub.
    """
    known = {key: value for key, value in reported.items() if not key.startswith("$")}
    return {
        "lastDesiredVersion": 0,
        "modules": {},
        **known,
        "lastDesiredStatus": {**status_entry(0, ""), **known.get("lastDesiredStatus", {})},
        "systemModules": {EDGE_HUB: _NO_EDGE_HUB, **known.get("systemModules", {})},
    }


def stopped_report(last: Report) -> Report:
    """The last words of an agent that stops in good order: 406, and that it knows of no module any more."""

    def unknown(modules: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {**module, "runtimeStatus": "unknown"} if "runtimeStatus" in module else module
            for name, module in modules.items()
        }

    return {
        **last,
        "lastDesiredStatus": status_entry(406, "Agent is not running"),
        "systemModules": unknown(last["systemModules"]),
        "modules": unknown(last["modules"]),
    }


def difference(old: Report, new: Report) -> dict[str, Any]:
    """The patch that leads from one state to another: what is gone becomes null, an array is sent whole."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif isinstance(value, Mapping) and isinstance(old[key], Mapping):
            inner = difference(old[key], value)
            if inner:
                patch[key] = inner
        elif value != old[key]:
            patch[key] = value
    return patch


def _image(container: Container) -> dict[str, str]:
    digest = hashlib.sha256(container.spec.image.encode()).hexdigest()
    return {"image": container.spec.image, "imageHash": f"sha256:{digest}"}


def _run(container: Container) -> dict[str, Any]:
    return {
        "exitCode": container.exit_code,
        "lastStartTimeUtc": _time(container.started_at),
        "lastExitTimeUtc": _time(container.exited_at),
    }


def _time(at: datetime | None) -> str:
    return _NOT_YET if at is None else hub_time(at)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
