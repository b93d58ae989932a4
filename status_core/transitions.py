"""A change of a device, as its history keeps it and as subscribers get it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from status_core.record import DeviceRecord
from status_core.status import Evidence

ABSENT: Final = ""
"""The state of what is not there: before the first look, after a removal."""
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
    """What was stuck is settled, or a new desired version asks something else of it."""
    DELETED = "deleted"
    """The device is no longer in the hub."""


@dataclass(frozen=True, slots=True)
class Change:
    """What changed, before it has its place in the device's sequence.

    Attributes:
        module: The module's name; empty where the device itself is meant.
        from_state: The state that was told last, empty where there was none.
        to_state: The state that is told now, empty where there is none any more. `stuck` and `recovered` leave no
            state: both are the state it is in.
        previous_since: When the state that was left began; for `stuck` and `recovered`, since when it was unsettled.
        since: When the state that was entered began.
        is_initial: It is the first that is told of a device.
        cause: What groups it with others; None where nothing is wrong.
        stuck_at: When it gets stuck, or got so; of `recovered`, when it had got so. None of what is as desired.
        restart_count: How often the agent restarted the module; None of the device.
        image_hash: The digest of the image that the module reports; None of the device.
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
    """A change in its place: `sequence` counts from 1 in each device, without a gap; `at` never runs back."""

    change: Change
    sequence: int
    desired_version: int | None
    deployments: tuple[str, ...]
    at: datetime

    @property
    def duration(self) -> float:
        """Seconds in the state that was left; for `stuck` and `recovered`, seconds unsettled."""
        return max(0.0, (self.at - self.change.previous_since).total_seconds())


def deletion(record: DeviceRecord, now: datetime) -> Transition:
    """The last transition of a device that is no longer in the hub."""
    message = "The device is no longer in the hub."
    verdict, news, at = record.verdict, record.news, max(now, record.at)
    change = Change(Kind.DELETED, "", news.state, ABSENT, DELETED_REASON, message, (), news.since, at)
    return Transition(change, record.sequence + 1, verdict.desired_version, verdict.deployments, at)
