"""The stored state of a device between two samples of its twin: verdict, clock, and what was announced."""

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
    """The stored part of a module's status. States and reasons are plain strings: releases may differ."""

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
        """Take the stored part of a status."""
        return cls(**_kept(cls, status))


@dataclass(frozen=True, slots=True)
class DeviceVerdict:
    """The stored part of a device's status, without its modules."""

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
        """Take the stored part of a status."""
        return cls(**_kept(cls, status))


def restart_count(verdict: ModuleVerdict | DeviceVerdict) -> int | None:
    """Return how often the agent restarted a module; None for a device."""
    return verdict.restart_count if isinstance(verdict, ModuleVerdict) else None


def image_hash(verdict: ModuleVerdict | DeviceVerdict) -> str | None:
    """Return the digest of the image that a module reports; None for a device."""
    return verdict.image_hash if isinstance(verdict, ModuleVerdict) else None


def _kept(kind: type[ModuleVerdict | DeviceVerdict], status: ModuleStatus | DeploymentStatus) -> dict[str, Any]:
    values = {item.name: getattr(status, item.name) for item in fields(kind)}
    return values | {"cause": None if status.cause is None else str(status.cause)}


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """The stored record of one module.

    Attributes:
        since: When the state began.
        news: What was announced of the module.
    """

    verdict: ModuleVerdict
    since: datetime
    clock: Clock
    news: News


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """The stored record of one device. The device's own clock is that of `$edgeAgent`.

    Attributes:
        since: When the state began.
        news: What was announced of the device itself.
        sequence: Number of the device's last transition. Transitions count from 1 without gaps.
        at: Hub time of the last change or transition; it never runs back.
        observed: Until when the twin behind this record is known to hold: when it was read.
        credited: Since when each of its deployments is applied, in their order; empty if a previous release stored it.
        lags_until: Until when failures in a lagging report do not count; None if there are none.
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
        """Return since when a deployment is applied; None if it is not, or that is not known."""
        return dict(zip(self.verdict.deployments, self.credited, strict=False)).get(deployment)

    @property
    def is_lagging(self) -> bool:
        """Whether the state of the device comes from a lagging report."""
        return self.lags_until is not None and self.verdict.state in CAN_LAG

    def input_of(self, module: ModuleRecord) -> ClockInput:
        """Return what the stored state of a module means for its clock."""
        verdict, is_lagging = module.verdict, self.lags_until is not None
        return module_input(verdict.state, verdict.reason, self.verdict.state, is_lagging=is_lagging)

    def due(self, policy: GracePolicy) -> datetime | None:
        """When the device must be read again even without a change; None if it need not be.

        Something flagged without a read stays due until the twin can be read. What a lagging report shows has no
        deadline before the lag ends.
        """
        parts: list[ModuleRecord | DeviceRecord] = [] if self.is_lagging else [self]
        parts += (module for module in self.modules.values() if self.input_of(module) not in _WITHOUT_A_DEADLINE)
        times = [
            part.clock.stuck_at if is_unverified(part.verdict.reason) else part.clock.due(policy) for part in parts
        ]
        return min((time for time in (*times, self.lags_until) if time is not None), default=None)
