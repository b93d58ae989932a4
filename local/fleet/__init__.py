"""A simulated fleet: devices whose edgeAgents reconcile, pull, crash and report, with an explicit clock."""

from local.fleet.agent import EdgeAgent
from local.fleet.containers import ContainerRuntime, ImageBehaviour
from local.fleet.fleet import Fleet
from local.fleet.mixed import Trouble, mixed_fleet, release

__all__ = ["ContainerRuntime", "EdgeAgent", "Fleet", "ImageBehaviour", "Trouble", "mixed_fleet", "release"]
