"""`python -m benchmarks.lateness`: how late the app knows the last device of a rollout, and what bounds that.

The app's own code runs in a simulation (simulation.py): calls take the time of Azure by assumption, the limits are
those of a tier, and the work of a processor takes no time. Up to `--devices` of a fleet are simulated. Of a larger one
that many are, and the rest is extrapolated: what a device costs does not depend on how many there are.

- *kept up*: the hub and the devices change twins at the pace that the tier allows for updates of twins. Each device has
  three: its deployment, the version that it took, and that all runs.
- *backlog*: all of that happened while the app was away for an hour, and waits.
"""

import argparse
import asyncio
import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from benchmarks.cost import FLEETS, UPDATES, hubs_of
from benchmarks.simulation import HOUR, MINUTE, START, UNLIMITED, Latencies, Simulation, simulation
from benchmarks.table import columns
from benchmarks.virtual_time import run
from local.fleet import Fleet, release
from local.iothub import Change, Registry
from local.iothub.sections import hub_time
from status_app.iothub.budget import QUERIES_OF_FLAG_STUCK, QUERIES_OF_RESYNC, READS_OF_A_TIMER
from status_app.iothub.queries import PAGE_SIZE

_NAME: Final = "edge"
PARTITIONS: Final = 2
"""As `infra/` makes them."""
SIMULATED: Final = 2_000
WINDOW: Final = 60.0
"""Seconds for which a device has to run before `successful` is news (STABLE_AFTER)."""
APART: Final = (0.0, 20.0, 45.0)
"""Seconds from the first change of a device's twin to each of them."""
GROWS: Final = 1.0
"""Seconds by which lateness has to grow over a simulated rollout for that to be more than chance."""
HEADINGS: Final = (
    "hub",
    "devices",
    "hubs",
    "by",
    "rollout itself",
    "last known after it changed",
    "successful after its window",
    "all, to rollout",
    "backlog known in",
    "bound",
    "to bound",
)
USED: Final = 0.8
"""Of what a tier allows, the app asks for so much: the rest is for others."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What a hub of one unit allows: reads of twins and updates of twins a second, queries a minute.

    From Microsoft's page on quotas and throttling. Two units of S1 or S2 allow more queries, and nothing more else.
    """

    name: str
    reads: int
    queries: int
    updates: int

    @property
    def settings(self) -> Mapping[str, str]:
        """The app's settings for it."""
        return {
            "TWIN_READS_PER_SECOND": str(round(USED * self.reads)),
            "TWIN_QUERIES_PER_MINUTE": str(round(USED * self.queries)),
        }

    @property
    def twins_a_second(self) -> float:
        """Twins that `on_twin_changes` can get: by reads, and by queries that are full."""
        queries = 1 - QUERIES_OF_RESYNC - QUERIES_OF_FLAG_STUCK
        return USED * ((1 - 2 * READS_OF_A_TIMER) * self.reads + queries * self.queries * PAGE_SIZE / 60)

    @property
    def looks_a_second(self) -> float:
        """Deadlines that `flag_stuck` can end, in the same way."""
        return USED * (READS_OF_A_TIMER * self.reads + QUERIES_OF_FLAG_STUCK * self.queries * PAGE_SIZE / 60)


TIERS: Final = (Tier("S1", 100, 20, UPDATES), Tier("S2", 100, 20, UPDATES), Tier("S3", 500, 1_000, 250))


@dataclass(frozen=True, slots=True)
class Measured:
    """A rollout as it was simulated. All but `cpu` in seconds of the virtual clock.

    Attributes:
        devices: How many there were.
        known: Of each device how long after its last change the table held that, in the order of these changes.
        settled: Of each how long after the end of its window the clock ended, from which on it counts as successful.
        took: From the start of the app, or of the rollout, until the last of each.
        reads: Requests for one twin, for each device.
        queries: Requests for several.
        tables: Requests to tables for each device.
        cpu: Seconds of a processor of this machine for each device, services in memory included.
    """

    devices: int
    known: Sequence[float]
    settled: Sequence[float]
    took: tuple[float, float]
    reads: float
    queries: float
    tables: float
    cpu: float


class Story:
    """What a release makes of the twin of a healthy device, which each device has at its own times."""

    def __init__(self) -> None:
        at, changes = START - timedelta(days=1), list[Change]()
        registry = Registry(lambda: at, changes.append)
        fleet = Fleet(registry)
        fleet.add(_NAME)
        fleet.start(_NAME, at)
        for number in (1, 2):
            before = len(changes)
            fleet.deploy(f"release-{number}", release(number), [_NAME], at)
            for _ in range(24):
                at += timedelta(seconds=5)
                fleet.step(at)
        self._texts = [json.dumps(change.twin) for change in changes[before - 1 :]]
        self._times = [hub_time(change.at) for change in changes[before:]]

    @property
    def changes(self) -> int:
        """Changes of a twin in a rollout."""
        return len(self._times)

    def twin(self, device_id: str, times: Sequence[datetime]) -> Mapping[str, Any]:
        """The twin of a device after the changes that came at these times; none: it is settled."""
        text = self._texts[len(times)]
        for known, at in zip(self._times, times, strict=False):
            text = text.replace(known, hub_time(at))
        twin: Mapping[str, Any] = json.loads(text)
        return {**twin, "deviceId": device_id}


async def rollout(world: Simulation, tier: Tier, devices: int, *, backlog: bool) -> Measured:
    """Let a fleet that is known be rolled out to, and wait until the app has ended its clocks."""
    story, names = Story(), [f"edge-{number}" for number in range(devices)]
    async with world.running(UNLIMITED):
        for name in names:
            world.twins.put(story.twin(name, ()))
        await world.handled()
        await asyncio.sleep(HOUR)
    world.reads.clear()
    world.queries.clear()
    calls, cpu, began = world.calls, time.process_time(), world.now()
    if backlog:
        await _change(world, story, names, tier)
        await asyncio.sleep(began + HOUR - world.now())
        began = world.now()
        async with world.running(tier.settings):
            await _settled(world, names)
    else:
        async with world.running(tier.settings):
            await _change(world, story, names, tier)
            await _settled(world, names)
    names.sort(key=world.changed.__getitem__)
    settled = {name: world.known[name].settled or math.inf for name in names}
    window = {name: max(began, world.changed[name] + WINDOW) for name in names}
    return Measured(
        devices,
        [world.known[name].at - max(began, world.changed[name]) for name in names],
        [settled[name] - window[name] for name in names],
        (max(world.known[name].at for name in names) - began, max(settled.values()) - began),
        len(world.reads) / devices,
        len(world.queries) / devices,
        (world.calls - calls) / devices,
        (time.process_time() - cpu) / devices,
    )


async def _change(world: Simulation, story: Story, names: Sequence[str], tier: Tier) -> None:
    """Let the twins change, at the pace of the tier."""
    began, times = world.now(), defaultdict[str, list[datetime]](list)
    places = sorted(
        (number * story.changes + step + APART[step] * tier.updates, name)
        for number, name in enumerate(names)
        for step in range(story.changes)
    )
    for place, (_, name) in enumerate(places):
        await asyncio.sleep(max(0.0, began + place / tier.updates - world.now()))
        times[name].append(world.utc())
        world.twins.put(story.twin(name, times[name]))


def _is_settled(world: Simulation, name: str) -> bool:
    twin, known = world.twins.get(name), world.known[name]
    return twin is not None and known.version == twin["version"] and known.settled is not None


async def _settled(world: Simulation, names: Sequence[str]) -> None:
    """Wait until the app knows the last twin of each device, and no deadline is left.

    Raises:
        TimeoutError: That takes longer than a day.
    """
    await world.handled()
    for _ in range(24 * 60):
        if all(_is_settled(world, name) for name in names):
            return
        await asyncio.sleep(MINUTE)
    raise TimeoutError


@dataclass(frozen=True, slots=True)
class Pace:
    """What follows for a fleet of any size from a rollout to some devices, in its second half."""

    kept_up: Measured
    backlog: Measured

    @classmethod
    def of(cls, tier: Tier, devices: int) -> "Pace":
        """Simulate both, kept up and a backlog."""
        found = []
        for backlog in (False, True):
            with simulation(PARTITIONS) as world:
                found.append(run(rollout(world, tier, devices, backlog=backlog)))
        return cls(*found)

    def late(self, which: Sequence[float], devices: int) -> float:
        """How late the last of so many devices is, where lateness goes on to grow as it did."""
        third = len(which) // 3
        before, last = max(which[third : 2 * third]), max(which[2 * third :])
        growth = max(0.0, last - before) / third
        return last + growth * max(0, devices - len(which)) if growth * len(which) > GROWS else last

    def backlog_took(self, devices: int) -> float:
        """How long a backlog of so many devices takes."""
        times = sorted(self.backlog.known)
        half = len(times) // 2
        return times[-1] + (devices - len(times)) * (times[-1] - times[half]) / (len(times) - 1 - half)


def rows(paces: Mapping[int, Pace], tier: Tier, simulated: int) -> list[Sequence[str]]:
    """A line of the table for each fleet: by its own simulation where it is small enough."""
    found: list[Sequence[str]] = []
    for load in FLEETS:
        hubs = hubs_of(load)
        devices = math.ceil(load.devices / hubs)
        pace = paces[min(devices, simulated)]
        itself, backlog = len(APART) * devices / tier.updates, pace.backlog_took(devices)
        late = pace.late(pace.kept_up.known, devices)
        bound = devices / tier.twins_a_second
        found.append(
            (
                tier.name,
                f"{load.devices:,}",
                str(hubs),
                "simulated" if devices <= simulated else "extrapolated",
                _length(itself),
                f"{late:,.1f} s",
                f"{pace.late(pace.kept_up.settled, devices):,.0f} s",
                f"{(itself + late) / itself:.3f}",
                _length(backlog),
                _length(bound),
                f"{backlog / bound:.2f}",
            )
        )
    return found


def _length(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < HOUR else f"{seconds / HOUR:,.1f} h"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and what it rests on."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lateness", description=__doc__)
    parser.add_argument(
        "--devices", type=int, default=SIMULATED, help=f"most that are simulated (default: {SIMULATED:,})"
    )
    simulated = parser.parse_args(arguments).devices
    logging.disable(logging.CRITICAL)
    calls = [f"{1000 * seconds:.0f} ms" for seconds in astuple(Latencies())]
    print("Assumed: a table request takes {}, a twin read {}, a query {}, a batch of events {}.".format(*calls))
    print("The index of queries is not behind. A hub has one unit. The work of a processor takes no time.")
    print(f"The app's code ran for {simulated:,} devices of a hub at most; what is extrapolated follows from these.\n")
    sizes = sorted({min(math.ceil(load.devices / hubs_of(load)), simulated) for load in FLEETS})
    of_limits: dict[tuple[int, int, int], dict[int, Pace]] = {}
    lines: list[Sequence[str]] = []
    for tier in TIERS:
        limits = tier.reads, tier.queries, tier.updates
        if limits not in of_limits:
            of_limits[limits] = {size: Pace.of(tier, size) for size in sizes}
        lines += rows(of_limits[limits], tier, simulated)
    print(*columns([HEADINGS, *lines]), sep="\n")
    print()
    for (reads, queries, _), paces in of_limits.items():
        for what, seen in (("kept up", paces[sizes[-1]].kept_up), ("backlog", paces[sizes[-1]].backlog)):
            print(
                f"A hub with {reads} reads a second and {queries} queries a minute, {what}: for each device "
                f"{seen.reads:.2f} reads, {seen.queries:.3f} queries, {seen.tables:.1f} table requests, and "
                f"{1000 * seen.cpu:.1f} ms of a processor here."
            )


if __name__ == "__main__":
    main()
