"""What is kept of a device between two looks at its twin: a verdict, since when it holds, and a clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Self

from status_core.clocks import Clock, Sight
from status_core.reasons import is_unverified
from status_core.sights import module_sight
from status_core.status import DeploymentStatus, ModuleStatus


@dataclass(frozen=True, slots=True)
class ModuleVerdict:
    """What is kept of a module's status. States and reasons are plain words: an older release may have kept others."""

    state: str
    reason: str
    message: str
    desired_status: str | None
    runtime_status: str | None
    desired_image: str | None
    reported_image: str | None
    exit_code: int | None

    @classmethod
    def of(cls, status: ModuleStatus) -> Self:
        """Keep what a status says."""
        return cls(*(getattr(status, item.name) for item in fields(cls)))


@dataclass(frozen=True, slots=True)
class DeviceVerdict:
    """What is kept of a device's status, but for its modules."""

    state: str
    reason: str
    message: str
    rule: str
    desired_version: int | None
    last_desired_version: int | None
    status_code: int | None
    deployments: tuple[str, ...]
    targeted: tuple[str, ...]
    flags: tuple[str, ...]
    portal: str | None
    agent_version: str | None
    twin_version: int | None

    @classmethod
    def of(cls, status: DeploymentStatus) -> Self:
        """Keep what a status says."""
        return cls(*(getattr(status, item.name) for item in fields(cls)))


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """The kept state of one module.

    Attributes:
        since: When the state began.
    """

    verdict: ModuleVerdict
    since: datetime
    clock: Clock


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """The kept state of one device. The device's own clock stands for `$edgeAgent`.

    Attributes:
        since: When the state began.
        sequence: Number of the device's last transition; they count from 1 without a gap.
        at: Hub time of the last change, never before that of an earlier one.
        observed: When the twin was read that this record comes from.
    """

    verdict: DeviceVerdict
    since: datetime
    clock: Clock
    sequence: int
    at: datetime
    observed: datetime
    modules: Mapping[str, ModuleRecord] = field(default_factory=dict)

    def due(self, stable_after: timedelta) -> datetime | None:
        """When the device needs a look though nothing may have changed; None where it needs none.

        What was flagged without a look stays due until a look can be taken.
        """
        parts: list[ModuleRecord | DeviceRecord] = [self]
        parts += (
            module
            for module in self.modules.values()
            if module_sight(module.verdict.state, self.verdict.state) is not Sight.UNSAID
        )
        times = [
            part.clock.stuck_at if is_unverified(part.verdict.reason) else part.clock.due(stable_after)
            for part in parts
        ]
        return min((time for time in times if time is not None), default=None)
