"""Reported properties as edgeAgent writes them: the whole state, and the patches between states.

Source: Azure/iotedge, edge-agent (IoTHub/reporters/IoTHubReporter.cs, Docker/DockerEnvironment.cs, Core/UnknownModule).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from local.fleet.manifest import EDGE_AGENT, EDGE_HUB, LAST_IN_STARTUP, Manifest, ModuleSpec
from local.fleet.observed import ObservedModule

type Report = Mapping[str, Any]

_VERSION: Final = "1.5.21"
_BUILD: Final = "61356014"
_COMMIT: Final = "bb9a26162c4c88b3ef9a50d33632ab78bd4247d6"
_NOT_YET: Final = "0001-01-01T00:00:00Z"
_NOT_ACCEPTED: Final = ModuleSpec(
    name="", image="", status="unknown", restart_policy="unknown", create_options="{}", startup_order=0
)
"""The reported desired status of a module that is not in the manifest."""
_UNKNOWN_AGENT: Final = {"type": "Unknown", "startupOrder": LAST_IN_STARTUP, "env": {}}
_UNKNOWN_HUB: Final = {
    **_UNKNOWN_AGENT,
    "status": "unknown",
    "restartPolicy": "never",
    "imagePullPolicy": "on-create",
}


def status_entry(code: int, description: str) -> dict[str, Any]:
    """Make `lastDesiredStatus`."""
    return {"code": code, "description": description}


def version_entry() -> dict[str, str]:
    """Make `version`, of the agent."""
    return {"version": _VERSION, "build": _BUILD, "commit": _COMMIT}


def runtime_entry(manifest: Manifest | None) -> dict[str, Any]:
    """Make `runtime`: the platform, and the settings of the manifest, including plain text credentials."""
    known = (
        {"Type": "Unknown"}
        if manifest is None
        else {"type": "docker", "settings": {"registryCredentials": {}, **manifest.runtime}}
    )
    return {"platform": {"os": "Linux", "architecture": "x86_64", "version": _VERSION}, **known}


def modules_entry(observed: Mapping[str, ObservedModule] | None) -> dict[str, Any]:
    """Make `systemModules` and `modules`.

    Args:
        observed: The modules by name; None if the agent could not read them: it then reports none.
    """
    if observed is None:
        return {"systemModules": {EDGE_HUB: _UNKNOWN_HUB, EDGE_AGENT: _UNKNOWN_AGENT}, "modules": {}}
    entries = {name: _module_entry(name, module) for name, module in observed.items() if name != EDGE_AGENT}
    return {
        "systemModules": {
            EDGE_HUB: entries.pop(EDGE_HUB, _UNKNOWN_HUB),
            EDGE_AGENT: _agent_entry(observed[EDGE_AGENT]),
        },
        "modules": entries,
    }


def known_report(reported: Mapping[str, Any]) -> Report:
    """Return what an agent considers reported when it starts: the twin's section, with defaults for what it lacks.

    Because defaults count as reported, a new device's first report has no `description` and no edgeHub, and its first
    edgeHub no `env`. `imageHash` is not read, so each new process reports it again.
    """
    known = {key: value for key, value in reported.items() if not key.startswith("$")}
    system = {EDGE_HUB: _UNKNOWN_HUB, EDGE_AGENT: _UNKNOWN_AGENT}
    return {
        "lastDesiredVersion": 0,
        **known,
        "lastDesiredStatus": {**status_entry(0, ""), **known.get("lastDesiredStatus", {})},
        "systemModules": {**system, **_known_modules(known.get("systemModules", {}))},
        "modules": _known_modules(known.get("modules", {})),
    }


def stopped_report(last: Report) -> Report:
    """Return the last report of an agent that shuts down: 406, and all modules unknown."""

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
    """Return the patch from one state to another: removed keys become null, arrays are sent whole."""
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


def _module_entry(name: str, module: ObservedModule) -> dict[str, Any]:
    """Make the report of a module: the state of its container, and the accepted manifest."""
    echo = module.accepted or _NOT_ACCEPTED
    # edgeHub is a module like any other, but has no version of its own.
    version = {} if name == EDGE_HUB else {"version": echo.version}
    return {
        **version,
        "status": echo.status,
        "restartPolicy": echo.restart_policy,
        "imagePullPolicy": echo.pull_policy,
        **({} if echo.startup_order == LAST_IN_STARTUP else {"startupOrder": echo.startup_order}),
        "type": "docker",
        "settings": {**_image(module), **echo.chunks},
        "env": echo.env,
        **_run(module),
        "restartCount": module.restart_count,
        # Without a stored restart this is the time of the last exit.
        "lastRestartTimeUtc": _time(module.restarts.last if module.restarts else module.container.exited_at),
    }


def _agent_entry(module: ObservedModule) -> dict[str, Any]:
    """Make the agent's report of itself: from its container, where an earlier process wrote labels."""
    spec = module.container.spec
    made_by_agent = {
        "net.azure-devices.edge.create-options": spec.create_options,
        "net.azure-devices.edge.env": _compact(spec.env),
    }
    labels = {
        **(made_by_agent if spec.create_options else {}),
        "net.azure-devices.edge.owner": "Microsoft.Azure.Devices.Edge.Agent",
    }
    return {
        "type": "docker",
        "startupOrder": 0,
        "imagePullPolicy": spec.pull_policy,
        "settings": {**_image(module), "createOptions": _compact({"Labels": labels})},
        "env": spec.env,
        **_run(module),
    }


def _known_modules(modules: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the modules of the twin, except those that the agent reported as unknown."""
    return {
        name: {
            "env": {},
            "imagePullPolicy": "on-create",
            **module,
            "settings": {key: value for key, value in module["settings"].items() if key != "imageHash"},
        }
        for name, module in modules.items()
        if "settings" in module
    }


def _image(module: ObservedModule) -> dict[str, str]:
    image = module.container.spec.image
    return {"image": image, "imageHash": f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"}


def _run(module: ObservedModule) -> dict[str, Any]:
    container = module.container
    return {
        "exitCode": container.exit_code,
        "lastStartTimeUtc": _time(container.started_at),
        "lastExitTimeUtc": _time(container.exited_at),
        "runtimeStatus": module.status,
    }


def _time(at: datetime | None) -> str:
    """Format a time as the agent does: UTC, without trailing zeros in the fraction."""
    if at is None:
        return _NOT_YET
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
