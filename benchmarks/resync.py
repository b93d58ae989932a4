"""What a resync asks for where nothing has changed: hourly runs, the daily comparison, and a whole pass.

The app's code runs in the simulation of `simulation.py`, with the default limits. Two fleets are simulated. What a
larger one asks for is computed from them: a part for each device, and the rest the same.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Final
from unittest.mock import patch

from benchmarks.lateness import PARTITIONS, Story
from benchmarks.simulation import HOUR, UNLIMITED, Simulation, simulation
from benchmarks.table import Row
from benchmarks.virtual_time import run
from status_app.iothub.budget import QUERIES_OF_RESYNC
from status_app.reconcile.index_build import IndexBuild
from status_app.reconcile.resync import QUERY_FOR
from status_app.reconcile.resync_times import COMPARE_EVERY, WHOLE_EVERY
from status_app.services import Services

SIZES: Final = (2_400, 8_000)
"""Those that fill queries about as a large fleet does: a comparison asks for each sixteenth of a fleet by itself."""
QUERIES_OF_A_RUN: Final = int(QUERIES_OF_RESYNC * 16 * QUERY_FOR / 60)
"""By the default limit."""
COMPUTED: Final = 100_000
AIM: Final = 1_300
"""Requests of a comparison, queries and those to tables together."""
_NAMES: Final = ("an hourly run", "the daily comparison", "a whole pass")
_PART: Final = "resync"


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests: for one twin, for many, and to tables."""

    reads: int
    queries: int
    tables: int

    def __str__(self) -> str:
        return f"{self.reads:,} twin reads, {self.queries:,} queries, {self.tables:,} table requests"


def resync(*, short: bool) -> list[Row]:
    """Requests of each kind of run, as they were simulated, and as they are computed from that for a larger fleet."""
    sizes = (100, 400) if short else SIZES
    found: list[Sequence[Asked]] = []
    for devices in sizes:
        # The check of the index, a part of which each run does, counts apart.
        with simulation(PARTITIONS) as world, patch.object(IndexBuild, "check", _nothing):
            found.append(run(_asked(world, devices)))
    computed = [_computed(sizes, both, found[0][0]) for both in zip(*found, strict=True)]
    every = zip((*sizes, COMPUTED), (*found, computed), strict=True)
    return [
        Row(
            _PART,
            f"{name}, {devices:,} devices" + (", computed from these" if devices == COMPUTED else ""),
            str(asked),
            aim=f"no read, <= {AIM:,} requests" if (name, devices) == (_NAMES[1], COMPUTED) else "",
        )
        for devices, several in every
        for name, asked in zip(_NAMES, several, strict=True)
    ]


def _computed(sizes: Sequence[int], both: Sequence[Asked], hourly: Asked) -> Asked:
    """What a large fleet asks for: the same for each further device, and an hourly run more for each further run."""
    (small, large), (less, more) = sizes, map(astuple, both)
    slopes = [(high - low) / (large - small) for low, high in zip(less, more, strict=True)]
    found = [low + slope * (COMPUTED - small) for low, slope in zip(less, slopes, strict=True)]
    further = math.ceil(found[1] / QUERIES_OF_A_RUN) - 1
    return Asked(*(round(one + further * usual) for one, usual in zip(found, astuple(hourly), strict=True)))


async def _asked(world: Simulation, devices: int) -> Sequence[Asked]:
    """What an hourly run asks for, and all runs of a comparison, and of a whole pass."""
    story = Story()
    async with world.running(UNLIMITED, timers=False):
        for number in range(devices):
            world.twins.put(story.twin(f"edge-{number}", ()))
        await world.handled()
    app = world.services({})
    await (await app.flag_stuck()).run()
    hourly = None
    while (asked := await _next(world, app)) != hourly:  # the first pass, of rows that no pass has judged
        hourly = asked
    found = [asked]
    for wait in (COMPARE_EVERY, WHOLE_EVERY):
        await asyncio.sleep(wait.total_seconds())
        runs = [await _next(world, app)]
        while (asked := await _next(world, app)) != hourly:
            runs.append(asked)
        found.append(Asked(*(sum(counts) for counts in zip(*map(astuple, runs), strict=True))))
    return found


async def _next(world: Simulation, app: Services) -> Asked:
    """What the run of the next hour asks for."""
    await asyncio.sleep(HOUR)
    before = len(world.reads), len(world.queries), world.calls
    await (await app.resync()).run()
    return Asked(len(world.reads) - before[0], len(world.queries) - before[1], world.calls - before[2])


async def _nothing(*_arguments: object) -> None:
    """In the place of a part that counts apart."""
