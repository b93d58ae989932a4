"""A change of a device, as the history stores it and subscribers receive it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from status_core.record import DeviceRecord
from status_core.status import Evidence

ABSENT: Final = ""
"""The state of something that does not exist: before the first read, or after a removal."""
DELETED_REASON: Final = "deleted"
"""The reason of a device that is no longer in the hub."""
REMOVED_REASON: Final = "removed"
"""The reason of a module that is neither desired nor reported any more."""


class Kind(StrEnum):
    """What a transition is about."""

    DEVICE = "device"
    """The state of the deployment on the device changed."""
    MODULE = "module"
    """The state of a module changed."""
    STUCK = "stuck"
    """A module, or the device, was unsettled for its whole grace period."""
    RECOVERED = "recovered"
    """What was stuck is settled, or a new desired version changed what is desired."""
    DELETED = "deleted"
    """The device is no longer in the hub."""


@dataclass(frozen=True, slots=True)
class Change:
    """What changed, before it gets its number in the device's sequence.

    Attributes:
        module: The module's name; empty for the device itself.
        from_state: The state announced last; empty if there was none.
        to_state: The state announced now; empty if there is none any more. For `stuck` and `recovered`, both states are
            the present one.
        previous_since: When the previous state began; for `stuck` and `recovered`, since when it was unsettled.
        since: When the new state began.
        is_initial: It is the first change of a device.
        cause: Groups it with others; None if nothing is wrong.
        stuck_at: When it gets, or got, stuck; for `recovered`, when it had got stuck. None if it is as desired.
        restart_count: How often the agent restarted the module; None for the device.
        image_hash: The digest of the image that the module reports; None for the device.
    """

    kind: Kind
    module: str
    from_state: str
    to_state: str
    reason: str
    message: str
    evidence: tuple[Evidence, ...]
    previous_since: datetime
    since: datetime
    is_initial: bool = False
    cause: str | None = None
    stuck_at: datetime | None = None
    restart_count: int | None = None
    image_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A numbered change. `sequence` counts from 1 per device without gaps, and `at` never runs back."""

    change: Change
    sequence: int
    desired_version: int | None
    deployments: tuple[str, ...]
    at: datetime

    @property
    def duration(self) -> float:
        """Seconds in the previous state; for `stuck` and `recovered`, seconds unsettled."""
        return max(0.0, (self.at - self.change.previous_since).total_seconds())


def deletion(record: DeviceRecord, now: datetime) -> Transition:
    """Create the last transition of a device that is no longer in the hub."""
    message = "The device is no longer in the hub."
    verdict, news, at = record.verdict, record.news, max(now, record.at)
    change = Change(Kind.DELETED, "", news.state, ABSENT, DELETED_REASON, message, (), news.since, at)
    return Transition(change, record.sequence + 1, verdict.desired_version, verdict.deployments, at)
