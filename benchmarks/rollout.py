"""What happens to a fleet while a release is rolled out: the twins, and the notifications about them.

The fleet is that of `local.fleet`: 74 % of the devices do what they should, the others crash, pull for long or in
vain, are off, or reject the manifest. Each device reports as edgeAgent does, a patch for each of its reports: the
version that it took, each download and start, each restart of a module that crashes.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from local.fleet import mixed_fleet, release
from local.iothub.registry import Change, Registry
from local.iothub.routes import routed_event
from local.routed_event import RoutedEvent

START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
WAVE: Final = timedelta(seconds=10)
"""Fleet time between two moments at which the app is up to date."""
REPEATED: Final = 0.1
"""The share of notifications that is delivered twice: routes are at least once."""
_HUB: Final = "local-hub"
_STEP: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Wave:
    """What happened in ten seconds.

    Attributes:
        now: Their end.
        twins: The devices whose twins are others now, in their last version.
        events: The notifications, in the order in which they arrive.
    """

    now: datetime
    twins: Mapping[str, Mapping[str, Any]]
    events: tuple[RoutedEvent, ...]


def waves(devices: int, minutes: int, *, seed: int = 1) -> Iterator[Wave]:
    """A first release for two minutes and a second one for `minutes`; waves in which nothing happens are left out."""
    now = START
    changes: list[Change] = []
    registry = Registry(lambda: now, changes.append)
    fleet, troubles = mixed_fleet(registry, devices, now, seed=seed)
    repeats = random.Random(seed)  # noqa: S311 (repeatable, and nothing secret)
    for number, length in ((1, 2), (2, minutes)):
        fleet.deploy(f"release-{number}", release(number), troubles, now)
        for _ in range(timedelta(minutes=length) // WAVE):
            for _ in range(WAVE // _STEP):
                now += _STEP
                fleet.step(now)
            if changes:
                yield _wave(now, changes, registry, repeats)
                changes.clear()


def backlog(story: Sequence[Wave]) -> Wave:
    """The same as one wave: the app was down, or behind, and every notification of the rollout waits for it."""
    twins = {device: twin for wave in story for device, twin in wave.twins.items()}
    return Wave(story[-1].now, twins, tuple(event for wave in story for event in wave.events))


def twins(devices: int, minutes: int) -> list[str]:
    """Every state of every twin of a rollout, as the hub would send it: compact JSON."""
    return [json.dumps(twin, separators=(",", ":")) for wave in waves(devices, minutes) for twin in wave.twins.values()]


def _wave(now: datetime, changes: list[Change], registry: Registry, repeats: random.Random) -> Wave:
    found = {change.device_id: registry.get(change.device_id) or {} for change in changes}
    events: list[RoutedEvent] = []
    for change in changes:
        event = routed_event(change, _HUB)
        events += [event] * (1 + (repeats.random() < REPEATED))
    return Wave(now, found, tuple(events))
