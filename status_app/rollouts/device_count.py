"""Counts the devices of deployments from the counters of the index."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final

from status_app.fleet_index.counters import COUNTED, counters_of, standings_of, version_of
from status_app.fleet_index.entries import DeviceGroup, device_group
from status_app.status_table.stored_device import StoredDevice
from status_core import Counts, Listings, Standing


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """The devices of one deployment, grouped by state, reason and cause."""

    groups: Sequence[DeviceGroup] = ()

    @property
    def devices(self) -> int:
        """The number of devices."""
        return sum(group.devices for group in self.groups)

    @property
    def stuck(self) -> int:
        """The number of devices with something stuck."""
        return sum(group.devices for group in self.groups if group.is_stuck)

    @property
    def states(self) -> dict[str, int]:
        """The number of devices in each state."""
        states = Counter[str]()
        for group in self.groups:
            states[group.state] += group.devices
        return dict(sorted(states.items()))

    @property
    def counts(self) -> Counts:
        """The number of devices by standing."""
        standings = Counter[str]()
        for group in self.groups:
            standings[group.standing] += group.devices
        return Counts.of(standings)


NO_DEVICES: Final = DeviceCount()


def overflow_groups(stored: StoredDevice, listings: Listings, now: datetime) -> Iterator[DeviceGroup]:
    """Yield the groups that a device counts in without a counter in the index."""
    counters = counters_of(stored, listings, standings_of(stored, listings, now))
    return (device_group(columns, 1) for columns in islice(counters.values(), COUNTED, None))


def count_devices(counters: Iterable[DeviceGroup], listings: Listings) -> Mapping[str, DeviceCount]:
    """Count the devices of each deployment. Devices judged by an older list count as waiting."""
    groups = defaultdict[str, list[DeviceGroup]](list)
    for group in counters:
        if not group.deployment or group.cohort:  # these count the same devices again
            continue
        is_old = is_outdated(group, listings)
        groups[group.deployment].append(replace(group, standing=Standing.WAITING) if is_old else group)
    return {deployment: DeviceCount(found) for deployment, found in groups.items()}


def is_outdated(group: DeviceGroup, listings: Listings) -> bool:
    """Whether devices were judged without a list, or by one with another deployment under this id."""
    version = version_of(group.deployment, listings)
    return not group.standing or (bool(version) and version != group.version)
