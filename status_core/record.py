"""What is kept of a device between two looks at its twin: a verdict, since when, a clock, and what was told."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Self

from status_core.clock_input import CAN_LAG, ClockInput, module_input
from status_core.clocks import Clock
from status_core.grace import GracePolicy
from status_core.lint import Finding
from status_core.news import News
from status_core.reasons import is_unverified
from status_core.status import DeploymentStatus, ModuleStatus

_WITHOUT_A_DEADLINE: Final = (ClockInput.NO_EVIDENCE, ClockInput.LAGGING)


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
    image_hash: str | None
    exit_code: int | None
    restart_count: int | None
    last_start: datetime | None
    last_exit: datetime | None
    cause: str | None

    @classmethod
    def of(cls, status: ModuleStatus) -> Self:
        """Keep what a status says."""
        return cls(**_kept(cls, status))


@dataclass(frozen=True, slots=True)
class DeviceVerdict:
    """What is kept of a device's status, but for its modules."""

    state: str
    reason: str
    message: str
    rule: str
    desired_version: int | None
    desired_at: datetime | None
    desired_agent_image: str | None
    last_desired_version: int | None
    status_code: int | None
    deployments: tuple[str, ...]
    targeted: tuple[str, ...]
    flags: tuple[str, ...]
    portal: str | None
    agent_version: str | None
    twin_version: int | None
    connection_state: str | None
    last_activity: datetime | None
    lint: tuple[Finding, ...]
    cause: str | None

    @classmethod
    def of(cls, status: DeploymentStatus) -> Self:
        """Keep what a status says."""
        return cls(**_kept(cls, status))


def restart_count(verdict: ModuleVerdict | DeviceVerdict) -> int | None:
    """How often the agent restarted a module; None of a device."""
    return verdict.restart_count if isinstance(verdict, ModuleVerdict) else None


def image_hash(verdict: ModuleVerdict | DeviceVerdict) -> str | None:
    """The digest of the image that a module reports; None of a device."""
    return verdict.image_hash if isinstance(verdict, ModuleVerdict) else None


def _kept(kind: type[ModuleVerdict | DeviceVerdict], status: ModuleStatus | DeploymentStatus) -> dict[str, Any]:
    values = {item.name: getattr(status, item.name) for item in fields(kind)}
    return values | {"cause": None if status.cause is None else str(status.cause)}


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """The kept state of one module.

    Attributes:
        since: When the state began.
        news: What was told of it.
    """

    verdict: ModuleVerdict
    since: datetime
    clock: Clock
    news: News


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """The kept state of one device. The device's own clock stands for `$edgeAgent`.

    Attributes:
        since: When the state began.
        news: What was told of the device itself.
        sequence: Number of the device's last transition; they count from 1 without a gap.
        at: Hub time of the last change or transition, never before that of an earlier one.
        observed: Until when the twin that this record comes from is known to hold: when it was read.
        credited: Since when each of its deployments is credited, in their order; empty where a release before kept it.
        lags_until: Until when something is not counted that a lagging report shows; None where it shows nothing.
    """

    verdict: DeviceVerdict
    since: datetime
    clock: Clock
    news: News
    sequence: int
    at: datetime
    observed: datetime
    lags_until: datetime | None = None
    modules: Mapping[str, ModuleRecord] = field(default_factory=dict)
    credited: tuple[datetime, ...] = ()

    def credited_since(self, deployment: str) -> datetime | None:
        """Since when a deployment is credited; None where that is not known, or it is not."""
        return dict(zip(self.verdict.deployments, self.credited, strict=False)).get(deployment)

    @property
    def is_lagging(self) -> bool:
        """Whether the state of the device is what a lagging report shows."""
        return self.lags_until is not None and self.verdict.state in CAN_LAG

    def input_of(self, module: ModuleRecord) -> ClockInput:
        """What the kept state of a module says to its clock."""
        verdict, is_lagging = module.verdict, self.lags_until is not None
        return module_input(verdict.state, verdict.reason, self.verdict.state, is_lagging=is_lagging)

    def due(self, policy: GracePolicy) -> datetime | None:
        """When the device needs a look though nothing may have changed; None where it needs none.

        What was flagged without a look stays due until a look can be taken. What a lagging report shows has no deadline
        before the mark ends.
        """
        parts: list[ModuleRecord | DeviceRecord] = [] if self.is_lagging else [self]
        parts += (module for module in self.modules.values() if self.input_of(module) not in _WITHOUT_A_DEADLINE)
        times = [
            part.clock.stuck_at if is_unverified(part.verdict.reason) else part.clock.due(policy) for part in parts
        ]
        return min((time for time in (*times, self.lags_until) if time is not None), default=None)
