"""Many devices under one clock, and the hub's part in a rollout."""

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
        registry: The hub's twins; a device that is added and not yet in there is created.
        seed: Spreads the devices' first moves over one reconcile; the same seed gives the same reports.

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
        """Adds a device, which is off.

        Args:
            device_id: Its id.
            images: What happens to images on this device; others make no trouble.
            newest_schema: Newest schema of a manifest that its agent reads.
        """
        if self._registry.get(device_id) is None:
            self._registry.create(device_id)
        agent = EdgeAgent(self._registry, device_id, ContainerRuntime(images), newest_schema=newest_schema)
        self.agents[device_id] = agent
        return agent

    def start(self, device_id: str, now: datetime) -> None:
        """Switches a device on; it moves within the next five seconds."""
        self.agents[device_id].start(now + timedelta(seconds=self._random.uniform(0, 5)))

    def power_off(self, device_id: str, now: datetime) -> None:
        """Cuts the power of a device."""
        self.agents[device_id].power_off(now)

    def shut_down(self, device_id: str, now: datetime) -> None:
        """Stops a device in good order."""
        self.agents[device_id].shut_down(now)

    def deploy(self, configuration_id: str, content: Mapping[str, Any], devices: Iterable[str], now: datetime) -> None:
        """Does what IoT Hub does when a deployment wins: it is Applied, those before it are Targeted.

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
        """Makes all moves of all devices that are due, in the order of their times."""
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
