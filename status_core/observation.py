"""A status beside what was kept of the device: what the step of each of its modules, and its own, have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from status_core.clocks import Clock, Sample, tick, with_deadline
from status_core.grace import GracePolicy
from status_core.reasons import known_reason
from status_core.record import DeviceRecord, ModuleRecord
from status_core.status import DeploymentStatus


@dataclass(frozen=True, slots=True)
class Observation:
    """One status of a device.

    Attributes:
        previous: What was kept; None at the first status of a device.
        status: What the twin says now.
        at: Hub time of the change, never before that of the last transition.
        now: Until when the status is known to hold.
        policy: Grace periods and windows.
    """

    previous: DeviceRecord | None
    status: DeploymentStatus
    at: datetime
    now: datetime
    policy: GracePolicy

    @property
    def kept_modules(self) -> Mapping[str, ModuleRecord]:
        """What was kept of the modules."""
        return self.previous.modules if self.previous is not None else {}

    @property
    def is_new_version(self) -> bool:
        """Whether the desired version is another than the one before."""
        previous = self.previous
        return previous is None or previous.verdict.desired_version != self.status.desired_version

    @property
    def lags_until(self) -> datetime | None:
        """Until when what the report shows as not desired does not count; None where it counts.

        A lagging report shows what ran before the plan. The next report, 5 s later, is true, and does not come where
        nothing differs: so the mark ends after `STABLE_AFTER`. A report from a time far ahead does not lag.
        """
        reported, longest = self.status.reported_at, self.policy.stable_after
        if not self.status.is_lagging or reported is None or abs(self.now - reported) >= longest:
            return None
        return reported + longest

    @property
    def is_lagging(self) -> bool:
        """Whether the report shows what ran before the plan."""
        return self.lags_until is not None

    def next_clock(
        self, kept: Clock | None, sample: Sample, grace: tuple[timedelta, str], reason: str
    ) -> tuple[Clock, datetime | None]:
        """The clock of a module or of the device, and when its window ended, where it did.

        Args:
            kept: The clock as it was kept; None where there was none.
            sample: What the status says to it.
            grace: The grace period, and where it comes from.
            reason: Why it is what it is.
        """
        period, source = grace
        clock = Clock(period, source) if kept is None else replace(kept, grace=period, grace_source=source)
        clock, ended_at = tick(clock, sample, self.policy)
        known = known_reason(reason)
        is_hopeless = known is not None and known.is_hopeless
        return with_deadline(clock, sample, self.policy, is_hopeless=is_hopeless), ended_at
