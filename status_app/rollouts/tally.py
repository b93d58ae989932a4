"""What the devices of a deployment, or of a part of it, add up to."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from status_app.fleet_index.members import Member
from status_core import FAILING, Counts, State

type Group = tuple[str, str, str]
"""State, reason, and what IoT Hub's own counters say; empty for nothing."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Devices by what they have come to.

    Attributes:
        groups: How many devices are alike, and of how many of them something is stuck.
        longest: The device of which something is stuck for the longest, with since when; None where nothing is.
    """

    groups: Mapping[Group, tuple[int, int]]
    longest: tuple[datetime, str] | None = None

    @classmethod
    def one(cls, member: Member) -> "Tally":
        """That of one device."""
        since = member.stuck_since
        longest = None if since is None else (since, member.device_id)
        return cls({(member.state, member.reason, member.portal): (1, since is not None)}, longest)

    @classmethod
    def total(cls, parts: Iterable["Tally"]) -> "Tally":
        """That of several parts together."""
        every, stuck = Counter[Group](), Counter[Group]()
        longest: list[tuple[datetime, str]] = []
        for part in parts:
            for group, (devices, of_them) in part.groups.items():
                every[group] += devices
                stuck[group] += of_them
            if part.longest is not None:
                longest.append(part.longest)
        return cls({group: (devices, stuck[group]) for group, devices in every.items()}, min(longest, default=None))

    @property
    def devices(self) -> int:
        """How many there are."""
        return sum(devices for devices, _ in self.groups.values())

    @property
    def stuck(self) -> int:
        """Of how many something is stuck."""
        return sum(stuck for _, stuck in self.groups.values())

    @property
    def states(self) -> dict[str, int]:
        """How many are in which state."""
        states = Counter[str]()
        for (state, _, _), (devices, _) in self.groups.items():
            states[state] += devices
        return dict(sorted(states.items()))

    @property
    def counts(self) -> Counts:
        """How far they are."""
        successful = failing = 0
        for (state, _, _), (devices, stuck) in self.groups.items():
            successful += devices if state == State.SUCCESSFUL else 0
            failing += devices if state in FAILING else stuck
        return Counts(self.devices, successful, failing)
