"""Many devices with one clock, and the hub's part in a rollout."""

import heapq
import random
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from local.fleet.agent import EdgeAgent
from local.fleet.containers import ContainerRuntime, ImageBehaviour
from local.iothub.registry import Registry


class Fleet:
    """Devices of a hub.

    Args:
        registry: The hub's twins; devices that it lacks are created when they are added.
        seed: Spreads the first steps of devices over one reconcile. The same seed gives the same reports.

    Attributes:
        agents: By device id.
    """

    def __init__(self, registry: Registry, *, seed: int = 1) -> None:
        self.agents: dict[str, EdgeAgent] = {}
        self._registry = registry
        self._random = random.Random(seed)  # noqa: S311 (repeatable, and nothing secret)

    def add(
        self,
        device_id: str,
        images: Mapping[str, ImageBehaviour] | None = None,
        *,
        newest_schema: tuple[int, int] = (1, 1),
    ) -> EdgeAgent:
        """Add a device. It is off.

        Args:
            device_id: Its id.
            images: Behavior of images on this device. Other images work.
            newest_schema: Newest schema of a manifest that its agent reads.
        """
        if self._registry.get(device_id) is None:
            self._registry.create(device_id)
        agent = EdgeAgent(self._registry, device_id, ContainerRuntime(images), newest_schema=newest_schema)
        self.agents[device_id] = agent
        return agent

    def start(self, device_id: str, now: datetime) -> None:
        """Switch a device on. Its first step is within five seconds."""
        self.agents[device_id].start(now + timedelta(seconds=self._random.uniform(0, 5)))

    def power_off(self, device_id: str, now: datetime) -> None:
        """Cut the power of a device."""
        self.agents[device_id].power_off(now)

    def shut_down(self, device_id: str, now: datetime) -> None:
        """Shut a device down."""
        self.agents[device_id].shut_down(now)

    def deploy(self, configuration_id: str, content: Mapping[str, Any], devices: Iterable[str], now: datetime) -> None:
        """Do what IoT Hub does when a deployment wins: it becomes Applied, earlier ones become Targeted.

        Args:
            configuration_id: The deployment.
            content: Its desired properties for `$edgeAgent`.
            devices: The devices that its target condition matches.
            now: When.

        Raises:
            KeyError: The hub has no such device.
        """
        for device_id in devices:
            twin = self._registry.get(device_id) or {}
            outranked = {name: {"status": "Targeted"} for name in twin.get("configurations", {})}
            self._registry.set_configurations(device_id, {**outranked, configuration_id: {"status": "Applied"}})
            self._registry.apply_desired(device_id, content, configuration_id, at=now)

    def step(self, now: datetime) -> None:
        """Run all due steps of all devices, in order of time."""
        due = [
            (agent.wakes_at, device_id)
            for device_id, agent in self.agents.items()
            if agent.wakes_at is not None and agent.wakes_at <= now
        ]
        heapq.heapify(due)
        while due:
            time, device_id = heapq.heappop(due)
            agent = self.agents[device_id]
            agent.step(time)
            if agent.wakes_at is not None and agent.wakes_at <= now:
                heapq.heappush(due, (agent.wakes_at, device_id))
