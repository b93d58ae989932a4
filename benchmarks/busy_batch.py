"""What a batch asks of tables that the host has filled: a hundred known devices, and the twin of each has changed.

In the simulation of `simulation.py`, by one process, for each of the three changes that a rollout makes.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from statistics import mean
from typing import Final

from benchmarks.lateness import Story
from benchmarks.simulation import BATCH, MINUTE, UNLIMITED, Simulation, simulation
from benchmarks.table import Row
from benchmarks.virtual_time import run

REQUESTS: Final = 1.5
ENTITIES: Final = 14.4
_PART: Final = "batch"


def busy_batch() -> list[Row]:
    """Requests and entities for each changed device, on average of the three changes, and of each by itself."""
    with simulation(1) as world:
        found = run(_batches(world))
    what = f"for each of {BATCH} changed devices in a batch"
    return [
        Row(
            _PART,
            f"{name} {what}",
            f"{mean(each):.2f}",
            ", ".join(f"{one:.2f}" for one in each),
            "of each",
            f"<= {aim}",
        )
        for name, each, aim in zip(
            ("table requests", "entities"), zip(*found, strict=True), (REQUESTS, ENTITIES), strict=True
        )
    ]


async def _batches(world: Simulation) -> Sequence[tuple[float, float]]:
    """Requests and entities for each device, of one batch after the other."""
    story, names, times = Story(), [f"edge-{number}" for number in range(BATCH)], list[datetime]()
    found = []
    async with world.running(UNLIMITED, timers=False):
        for _ in range(1 + story.changes):
            before = world.calls, world.entities
            for name in names:
                world.twins.put(story.twin(name, times))
            await world.handled()
            found.append(((world.calls - before[0]) / BATCH, (world.entities - before[1]) / BATCH))
            await asyncio.sleep(MINUTE)
            times.append(world.utc())
    return found[1:]  # the first one makes them known
