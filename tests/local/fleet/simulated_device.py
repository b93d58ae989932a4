"""One simulated device under a clock, and its reports."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local.fleet import ContainerRuntime, EdgeAgent, ImageBehaviour
from local.iothub import Change, Registry

AGENT = "mcr.microsoft.com/azureiotedge-agent:1.5"
HUB = "mcr.microsoft.com/azureiotedge-hub:1.5"


def module(image: str, **other: Any) -> dict[str, Any]:
    settings = {"image": image, "createOptions": other.pop("createOptions", "")}
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings, **other}


def manifest(schema: str = "1.1", agent: str = AGENT, **modules: dict[str, Any]) -> dict[str, Any]:
    return {
        "schemaVersion": schema,
        "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25"}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": {"image": agent, "createOptions": ""}},
            "edgeHub": module(HUB),
        },
        "modules": modules,
    }


class Device:
    """A hub with one device, and a clock that counts seconds from its first start."""

    def __init__(self, images: dict[str, ImageBehaviour] | None = None, **agent: Any) -> None:
        self.start = datetime(2024, 5, 2, 9, tzinfo=UTC)
        self.changes: list[Change] = []
        self.registry = Registry(lambda: self.start, self.changes.append)
        self.registry.create("edge-1")
        self.runtime = ContainerRuntime(images)
        self.agent = EdgeAgent(self.registry, "edge-1", self.runtime, **agent)

    def at(self, seconds: float) -> datetime:
        return self.start + timedelta(seconds=seconds)

    def deploy(self, content: dict[str, Any], seconds: float) -> None:
        self.registry.apply_desired("edge-1", content, "release", at=self.at(seconds))

    def until(self, seconds: float) -> list[tuple[float, dict[str, Any]]]:
        """Step, and return the reports on the way: seconds and patch."""
        before = len(self.changes)
        self.agent.step(self.at(seconds))
        return [
            ((change.at - self.start).total_seconds(), dict(change.reported_patch))
            for change in self.changes[before:]
            if change.reported_patch is not None
        ]

    @property
    def status(self) -> tuple[int, str]:
        """Code and description that the agent reported last."""
        status = self.reported["lastDesiredStatus"]
        return status["code"], status.get("description", "")

    @property
    def reported(self) -> Any:
        twin = self.registry.get("edge-1")
        assert twin is not None
        return twin["properties"]["reported"]


def running(content: dict[str, Any], images: dict[str, ImageBehaviour] | None = None, **agent: Any) -> Device:
    """A device that has had a deployment (version 2) for a minute."""
    device = Device(images, **agent)
    device.deploy(content, 0)
    device.agent.start(device.at(0))
    device.until(60)
    assert device.reported["lastDesiredVersion"] == 2
    return device


def statuses(device: Device) -> list[str]:
    """The reported statuses of the module m1, change by change."""
    entries = [(change.reported_patch or {}).get("modules", {}).get("m1", {}) for change in device.changes]
    return [entry["runtimeStatus"] for entry in entries if "runtimeStatus" in entry]
