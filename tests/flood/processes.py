"""The backlog handled by several processes at once, in virtual time: what the hub sees of all of them together."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from unittest.mock import patch

from benchmarks.simulation import Simulation, simulation
from benchmarks.virtual_time import run
from status_app.reconcile import bulk_reads
from status_core import evaluate

from .backlog import Backlog, change, twin_of

READS = 100
"""Twins that S1 lets be read in a second."""
QUERIES = 20
"""Queries that one unit of S1 takes in a minute."""
_ROUNDING = 1e-6
_EACH_READ = 10**9
"""Devices of a batch for which a query is worth it: of none."""


@dataclass(frozen=True, slots=True)
class Flooded:
    """A backlog that was handled.

    Attributes:
        notifications: How many had waited.
        took: Seconds of the virtual clock from the start of the processes until none waited.
        reads: When any process asked the hub for a twin.
        queries: When any process asked it for several, or for a page.
        cpu: Seconds of a processor.
        wrong: Devices whose row differs from their twin.
    """

    notifications: int
    took: float
    reads: Sequence[float]
    queries: Sequence[float]
    cpu: float
    wrong: Sequence[str]


def flooded(waiting: Backlog, processes: int, *, queries: bool = True) -> Flooded:
    """Let a backlog be handled by processes with the default limits, which are those for S1.

    Args:
        waiting: What waits.
        processes: How many there are, each with a partition of its own.
        queries: Whether twin changes may be followed by queries; else each twin is read.
    """
    with (
        simulation(processes) as world,
        patch.object(bulk_reads, "ENOUGH", bulk_reads.ENOUGH if queries else _EACH_READ),
    ):
        return run(_flooded(world, waiting))


async def _flooded(world: Simulation, waiting: Backlog) -> Flooded:
    versions: dict[str, int] = {}
    for device in waiting.order:
        versions[device] = versions.get(device, 0) + 1
        twin = twin_of(device, versions[device], at := world.utc())
        world.twins.put(twin, notify=False)
        world.route(change(twin, at))
    began, cpu = world.now(), time.process_time()
    async with world.running({}):
        await world.handled()
        took = world.now() - began
    wrong = [device for device in versions if not _is_right(world, device)]
    return Flooded(len(waiting.order), took, world.reads, world.queries, time.process_time() - cpu, wrong)


def _is_right(world: Simulation, device: str) -> bool:
    twin, row = world.twins.get(device), world.row(device)
    assert twin is not None
    return row is not None and (row["TwinVersion"].value, row["State"]) == (twin["version"], evaluate(twin).state)


def most(times: Sequence[float], seconds: float) -> int:
    """The most of the times that lie within so many seconds."""
    first, found, ordered = 0, 0, sorted(times)
    for last, at in enumerate(ordered):
        while at - ordered[first] >= seconds - _ROUNDING:
            first += 1
        found = max(found, last - first + 1)
    return found
