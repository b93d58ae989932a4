"""A status together with the stored record of the device, for the steps of its modules and its own."""

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
        previous: The stored record; None for the first status of a device.
        status: The new status.
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
        """The stored records of the modules."""
        return self.previous.modules if self.previous is not None else {}

    @property
    def is_new_version(self) -> bool:
        """Whether the desired version differs from the stored one."""
        previous = self.previous
        return previous is None or previous.verdict.desired_version != self.status.desired_version

    @property
    def lags_until(self) -> datetime | None:
        """Until when failures in the report do not count; None if they count.

        A lagging report shows what ran before the plan. The next report, 5 s later, is accurate, but it does not come
        if nothing differs. So the lag ends after `STABLE_AFTER`. A report from far in the future does not lag.
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
        """Advance the clock of a module or of the device. Returns the clock, and when its window ended if it did.

        Args:
            kept: The stored clock; None if there is none.
            sample: The new sample.
            grace: The grace period and its source.
            reason: The present reason.
        """
        period, source = grace
        clock = Clock(period, source) if kept is None else replace(kept, grace=period, grace_source=source)
        clock, ended_at = tick(clock, sample, self.policy)
        known = known_reason(reason)
        is_hopeless = known is not None and known.is_hopeless
        return with_deadline(clock, sample, self.policy, is_hopeless=is_hopeless), ended_at
