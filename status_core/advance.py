"""From what was kept of a device and what its twin says now: what is kept next, and the transitions between."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from status_core.clocks import Clock, Sight, tick
from status_core.grace import GracePolicy
from status_core.record import DeviceRecord, DeviceVerdict, ModuleRecord, ModuleVerdict
from status_core.sights import device_sight, module_sight
from status_core.states import ModuleState
from status_core.status import DeploymentStatus
from status_core.stuck import recovery
from status_core.transitions import ABSENT, REMOVED_REASON, Change, Kind, Transition
from status_core.twin import EDGE_AGENT


def advance(  # noqa: PLR0913 (the last two are the end of an earlier life)
    previous: DeviceRecord | None,
    status: DeploymentStatus,
    now: datetime,
    policy: GracePolicy,
    *,
    last_sequence: int = 0,
    last_at: datetime | None = None,
) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """One step of a device: pure, and the same for a notification, a timer and a resync.

    Args:
        previous: What was kept; None at the first look.
        status: What the twin says now.
        now: When the twin was read, in UTC.
        policy: Grace periods and the stability window.
        last_sequence: At a first look, the number of the last transition of an earlier life of the device.
        last_at: At a first look, the time of that transition.

    Returns:
        The next record, and the transitions in the order of their sequence: each module's, then the device's.
    """
    at = min(status.changed or now, now)
    if previous is not None:
        last_sequence = previous.sequence
        at = max(at, previous.at)
    elif last_at is not None:
        at = max(at, last_at)
    look = _Look(previous, status, at, now, policy)
    # The device's own record stands for $edgeAgent.
    modules = {name: look.module(name) for name in status.modules if name != EDGE_AGENT}
    clock = look.device_clock()
    changes = [*look.module_changes(modules), *look.device_changes(clock)]
    transitions = tuple(
        Transition(change, last_sequence + number, status.desired_version, status.deployments, at)
        for number, change in enumerate(changes, 1)
    )
    record = DeviceRecord(
        verdict=DeviceVerdict.of(status),
        since=previous.since if previous is not None and previous.verdict.state == status.state else at,
        clock=clock,
        sequence=last_sequence + len(transitions),
        at=at,
        observed=now,
        modules=modules,
    )
    return record, transitions


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a device, beside what was kept of it."""

    previous: DeviceRecord | None
    status: DeploymentStatus
    at: datetime
    now: datetime
    policy: GracePolicy

    @property
    def kept(self) -> Mapping[str, ModuleRecord]:
        return self.previous.modules if self.previous is not None else {}

    def module(self, name: str) -> ModuleRecord:
        """The next record of one module."""
        kept, module = self.kept.get(name), self.status.modules[name]
        asked = (module.desired_image, module.desired_status)
        sight = module_sight(module.state, self.status.state)
        return ModuleRecord(
            verdict=ModuleVerdict.of(module),
            since=kept.since if kept is not None and kept.verdict.state == module.state else self.at,
            clock=self._tick(
                kept.clock if kept is not None else None,
                sight,
                self.policy.grace(name, module.desired_image, module.grace),
                restart=(
                    kept is None
                    or asked != (kept.verdict.desired_image, kept.verdict.desired_status)
                    or (sight is not Sight.UNSAID and self._was_silent_for_its_grace(kept))
                ),
            ),
        )

    def device_clock(self) -> Clock:
        """The next clock of the device itself."""
        agent = self.status.modules.get(EDGE_AGENT)
        image, label = (agent.desired_image, agent.grace) if agent is not None else (None, None)
        previous = self.previous
        return self._tick(
            previous.clock if previous is not None else None,
            device_sight(self.status),
            self.policy.grace(EDGE_AGENT, image, label),
            restart=previous is None or previous.verdict.desired_version != self.status.desired_version,
        )

    def module_changes(self, modules: Mapping[str, ModuleRecord]) -> Iterator[Change]:
        """The changes of each module that came, went, is in another state, or is asked something else while stuck."""
        for name, module in modules.items():
            kept, seen = self.kept.get(name), self.status.modules[name]
            left, since = (kept.verdict.state, kept.since) if kept is not None else (ABSENT, self.at)
            if left != seen.state:
                yield Change(Kind.MODULE, name, left, seen.state, seen.reason, seen.message, seen.evidence, since)
            if kept is not None and _is_left(kept.clock, module.clock):
                yield recovery(name, module.verdict, seen.evidence, kept.clock)
        for name, kept in sorted(self.kept.items()):
            if name not in modules:
                message = "The module is neither desired nor reported any more."
                if kept.clock.stuck_since is not None:
                    yield recovery(name, replace(kept.verdict, reason=REMOVED_REASON, message=message), (), kept.clock)
                yield Change(Kind.MODULE, name, kept.verdict.state, ABSENT, REMOVED_REASON, message, (), kept.since)

    def device_changes(self, clock: Clock) -> Iterator[Change]:
        """The changes of the device itself: another state, or something else is asked of it while it is stuck."""
        previous, seen = self.previous, self.status
        left, since = (previous.verdict.state, previous.since) if previous is not None else (ABSENT, self.at)
        if left != seen.state:
            yield Change(Kind.DEVICE, "", left, seen.state, seen.reason, seen.message, seen.evidence, since)
        if previous is not None and _is_left(previous.clock, clock):
            yield recovery("", seen, seen.evidence, previous.clock)

    def _was_silent_for_its_grace(self, kept: ModuleRecord) -> bool:
        """Whether the grace period of a module went by while the device could not say anything about it.

        The device was flagged for that. The first word about the module is no reason to flag it at once. A shorter
        silence, such as a restart of the agent, leaves a clock that ran before it alone.
        """
        assert self.previous is not None  # noqa: S101 (a module was kept, so its device was)
        silent = module_sight(kept.verdict.state, self.previous.verdict.state) is Sight.UNSAID
        started = kept.clock.unsettled_since
        if not silent or started is None or kept.clock.stuck_since is not None:
            return False
        # A module that is not desired keeps its state in the silence; the device does not.
        silent_since = self.previous.since if kept.verdict.state == ModuleState.EXTRA else kept.since
        return max(started, silent_since) + kept.clock.grace <= self.now

    def _tick(self, kept: Clock | None, sight: Sight, grace: timedelta, *, restart: bool) -> Clock:
        clock = replace(kept, grace=grace) if kept is not None else Clock(grace=grace)
        stable_after = self.policy.stable_after
        return tick(clock, sight, at=self.at, now=self.now, stable_after=stable_after, restart=restart)


def _is_left(kept: Clock, clock: Clock) -> bool:
    """Whether something was stuck and starts anew."""
    return kept.stuck_since is not None and clock.stuck_since is None
