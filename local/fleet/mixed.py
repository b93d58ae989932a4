"""A realistic fleet: most devices work, and there is every kind of trouble."""

import json
import random
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from local.fleet.containers import ImageBehaviour
from local.fleet.fleet import Fleet
from local.iothub.registry import Registry

_REGISTRY: Final = "registry.example.com"


class Trouble(StrEnum):
    """What happens to the second release on a device."""

    NONE = "none"
    SLOW_PULL = "slow pull"
    """Takes longer than the call's timeout: reported as a failure, but arrives later."""
    HANGING_PULL = "hanging pull"
    REFUSED_PULL = "refused pull"
    CRASHING_MODULE = "crashing module"
    OLD_AGENT = "old agent"
    """The agent rejects the schema version of the manifest."""
    OFF = "off"


_SHARES: Final = {
    Trouble.CRASHING_MODULE: 0.08,
    Trouble.OFF: 0.06,
    Trouble.SLOW_PULL: 0.05,
    Trouble.HANGING_PULL: 0.03,
    Trouble.REFUSED_PULL: 0.03,
    Trouble.OLD_AGENT: 0.01,
}


def release(number: int) -> dict[str, Any]:
    """Return the desired properties of a release: edgeAgent, edgeHub and three modules.

    Releases from 2 on use schema 1.1, which orders the modules.
    """
    ports = {f"{port}/tcp": [{"HostPort": str(port)}] for port in (443, 5671, 8883)}
    ordered = number > 1

    def module(name: str, order: int) -> dict[str, Any]:
        return {
            "type": "docker",
            "version": f"{number}.0",
            "status": "running",
            "restartPolicy": "always",
            "settings": {"image": image(name, number), "createOptions": "{}"},
            **({"startupOrder": order} if ordered else {}),
        }

    return {
        "schemaVersion": "1.1" if ordered else "1.0",
        "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25", "registryCredentials": {}}},
        "systemModules": {
            "edgeAgent": {
                "type": "docker",
                "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.5", "createOptions": "{}"},
            },
            "edgeHub": {
                "type": "docker",
                "status": "running",
                "restartPolicy": "always",
                "settings": {
                    "image": "mcr.microsoft.com/azureiotedge-hub:1.5",
                    "createOptions": json.dumps({"HostConfig": {"PortBindings": ports}}),
                },
            },
        },
        "modules": {name: module(name, order) for order, name in enumerate(("telemetry", "vision", "uploader"), 1)},
    }


def image(name: str, number: int) -> str:
    """Return the image of a module in a release."""
    return f"{_REGISTRY}/{name}:{number}.0"


def mixed_fleet(registry: Registry, size: int, now: datetime, *, seed: int = 1) -> tuple[Fleet, dict[str, Trouble]]:
    """Create a fleet on which release 1 works and release 2 has trouble.

    All devices are on, except those whose trouble is to be off. These were never started.

    Args:
        registry: The hub's twins.
        size: Number of devices. Each kind of trouble affects at least one, if there are enough devices.
        now: When the devices are switched on.
        seed: The same seed gives the same fleet.

    Returns:
        The fleet, and the trouble of each device.
    """
    troubles = [trouble for trouble, share in _SHARES.items() for _ in range(max(1, round(share * size)))][:size]
    troubles += [Trouble.NONE] * (size - len(troubles))
    random.Random(seed).shuffle(troubles)  # noqa: S311 (repeatable, and nothing secret)
    fleet, found = Fleet(registry, seed=seed), {}
    for number, trouble in enumerate(troubles, 1):
        device_id = f"edge-{number:04}"
        newest_schema = (1, 0) if trouble is Trouble.OLD_AGENT else (1, 1)
        fleet.add(device_id, _images(trouble), newest_schema=newest_schema)
        found[device_id] = trouble
        if trouble is not Trouble.OFF:
            fleet.start(device_id, now)
    return fleet, found


def _images(trouble: Trouble) -> Mapping[str, ImageBehaviour]:
    vision = image("vision", 2)
    match trouble:
        case Trouble.SLOW_PULL:
            return {vision: ImageBehaviour(pull_seconds=420)}
        case Trouble.HANGING_PULL:
            return {vision: ImageBehaviour(pull_seconds=None)}
        case Trouble.REFUSED_PULL:
            return {vision: ImageBehaviour(pull_error=HTTPStatus.NOT_FOUND)}
        case Trouble.CRASHING_MODULE:
            return {vision: ImageBehaviour(exits_after=12, exit_code=139)}
        case _:
            return {}
