"""What the devices of a deployment add up to, by the counters of the index."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final

from status_app.fleet_index.lookups import DeviceGroup, device_group
from status_app.fleet_index.rows import COUNTED, counters_of, version_of
from status_app.status_table.stored_device import StoredDevice
from status_core import Counts, Listings, Standing


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """The devices of one deployment, by what they are like."""

    groups: Sequence[DeviceGroup] = ()

    @property
    def devices(self) -> int:
        """How many there are."""
        return sum(group.devices for group in self.groups)

    @property
    def stuck(self) -> int:
        """Of how many something is stuck."""
        return sum(group.devices for group in self.groups if group.is_stuck)

    @property
    def states(self) -> dict[str, int]:
        """How many are in which state."""
        states = Counter[str]()
        for group in self.groups:
            states[group.state] += group.devices
        return dict(sorted(states.items()))

    @property
    def counts(self) -> Counts:
        """How far they are."""
        standings = Counter[str]()
        for group in self.groups:
            standings[group.standing] += group.devices
        return Counts.of(standings)


NO_DEVICES: Final = DeviceCount()


def beyond(stored: StoredDevice, listings: Listings, now: datetime) -> Iterator[DeviceGroup]:
    """What a device counts for beside the counters that it moves."""
    return (device_group(columns, 1) for columns in islice(counters_of(stored, listings, now).values(), COUNTED, None))


def count_devices(counters: Iterable[DeviceGroup], listings: Listings) -> Mapping[str, DeviceCount]:
    """The devices of each deployment. Those that were judged by an older list wait."""
    groups = defaultdict[str, list[DeviceGroup]](list)
    for group in counters:
        if not group.deployment or group.cohort:  # these count the same devices again
            continue
        is_old = is_outdated(group, listings)
        groups[group.deployment].append(replace(group, standing=Standing.WAITING) if is_old else group)
    return {deployment: DeviceCount(found) for deployment, found in groups.items()}


def is_outdated(group: DeviceGroup, listings: Listings) -> bool:
    """Whether devices were judged by a list that has another deployment under this id, by none, or not at all."""
    version = version_of(group.deployment, listings)
    return not group.standing or (bool(version) and version != group.version)
