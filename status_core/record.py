"""What is kept of a device between two looks at its twin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from status_core.clocks import Clock, Sight
from status_core.reasons import is_unverified
from status_core.sights import module_sight


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """The kept state of one module. States and reasons are plain words: an older release may have kept others."""

    state: str
    reason: str
    message: str
    since: datetime
    desired_status: str | None
    runtime_status: str | None
    desired_image: str | None
    reported_image: str | None
    exit_code: int | None
    clock: Clock


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """The kept state of one device. The device's own clock stands for `$edgeAgent`.

    Attributes:
        sequence: Number of the device's last transition; they count from 1 without a gap.
        at: Hub time of the last change, never before that of an earlier one.
        observed: When the twin was read that this record comes from.
    """

    state: str
    reason: str
    message: str
    rule: str
    since: datetime
    desired_version: int | None
    last_desired_version: int | None
    status_code: int | None
    deployments: tuple[str, ...]
    targeted: tuple[str, ...]
    flags: tuple[str, ...]
    portal: str | None
    agent_version: str | None
    twin_version: int | None
    sequence: int
    at: datetime
    observed: datetime
    clock: Clock
    modules: Mapping[str, ModuleRecord] = field(default_factory=dict)

    def due(self, stable_after: timedelta) -> datetime | None:
        """When the device needs a look though nothing may have changed; None where it needs none.

        What was flagged without a look stays due until a look can be taken.
        """
        parts: list[ModuleRecord | DeviceRecord] = [self]
        parts += (
            module for module in self.modules.values() if module_sight(module.state, self.state) is not Sight.UNSAID
        )
        times = [part.clock.stuck_at if is_unverified(part.reason) else part.clock.due(stable_after) for part in parts]
        return min((time for time in times if time is not None), default=None)
