"""What the devices of a deployment add up to, by the counters of the index."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from status_app.fleet_index.lookups import Counted, counted
from status_app.fleet_index.rows import COUNTED, counters_of
from status_app.status_table.stored_device import StoredDevice
from status_core import FAILING, Counts, State


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """The devices of one deployment, by what they are like."""

    groups: Sequence[Counted] = ()

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
        successful = sum(group.devices for group in self.groups if group.state == State.SUCCESSFUL)
        failing = sum(group.devices for group in self.groups if group.state in FAILING or group.is_stuck)
        return Counts(self.devices, successful, failing)


NO_DEVICES: Final = DeviceCount()


def beyond(stored: StoredDevice) -> Iterator[Counted]:
    """What a device counts for beside the counters that it moves."""
    return (counted(like, 1) for like in islice(counters_of(stored).values(), COUNTED, None))


def count_devices(counters: Iterable[Counted]) -> Mapping[str, DeviceCount]:
    """The devices of each deployment."""
    groups = defaultdict[str, list[Counted]](list)
    for group in counters:
        if group.deployment and not group.cohort:  # the others count the same devices again
            groups[group.deployment].append(group)
    return {deployment: DeviceCount(found) for deployment, found in groups.items()}
