"""From what was kept of a device and what its twin says now: what is kept next, and the transitions between."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from status_core.clocks import Clock, Sight, tick
from status_core.grace import GracePolicy
from status_core.record import DeviceRecord, ModuleRecord
from status_core.states import NOT_TAKEN, ModuleState, State
from status_core.status import DeploymentStatus, ModuleStatus
from status_core.transitions import ABSENT, REMOVED_REASON, Change, Kind, Transition
from status_core.twin import EDGE_AGENT


def advance(
    previous: DeviceRecord | None,
    status: DeploymentStatus,
    now: datetime,
    policy: GracePolicy,
    *,
    last_sequence: int = 0,
) -> tuple[DeviceRecord, tuple[Transition, ...]]:
    """One step of a device: pure, and the same for a notification, a timer and a resync.

    Args:
        previous: What was kept; None at the first look.
        status: What the twin says now.
        now: When the twin was read, in UTC.
        policy: Grace periods and the stability window.
        last_sequence: At a first look, the number of the last transition of an earlier life of the device.

    Returns:
        The next record, and the transitions in the order of their sequence: each module's, then the device's.
    """
    at = min(status.changed or now, now)
    if previous is not None:
        last_sequence = previous.sequence
        at = max(at, previous.at)
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
        state=status.state,
        reason=status.reason,
        message=status.message,
        rule=status.rule,
        since=previous.since if previous is not None and previous.state == status.state else at,
        desired_version=status.desired_version,
        last_desired_version=status.last_desired_version,
        status_code=status.status_code,
        deployments=status.deployments,
        targeted=status.targeted,
        flags=status.flags,
        portal=status.portal,
        agent_version=status.agent_version,
        twin_version=status.twin_version,
        sequence=last_sequence + len(transitions),
        at=at,
        observed=now,
        clock=clock,
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
        return ModuleRecord(
            state=module.state,
            reason=module.reason,
            message=module.message,
            since=kept.since if kept is not None and kept.state == module.state else self.at,
            desired_status=module.desired_status,
            runtime_status=module.runtime_status,
            desired_image=module.desired_image,
            reported_image=module.reported_image,
            exit_code=module.exit_code,
            clock=self._tick(
                kept.clock if kept is not None else None,
                _sight(module, self.status.state),
                self.policy.grace(name, module.desired_image, module.grace),
                restart=kept is None or asked != (kept.desired_image, kept.desired_status),
            ),
        )

    def device_clock(self) -> Clock:
        """The next clock of the device itself."""
        agent = self.status.modules.get(EDGE_AGENT)
        image, label = (agent.desired_image, agent.grace) if agent is not None else (None, None)
        previous = self.previous
        return self._tick(
            previous.clock if previous is not None else None,
            _device_sight(self.status),
            self.policy.grace(EDGE_AGENT, image, label),
            restart=previous is None or previous.desired_version != self.status.desired_version,
        )

    def module_changes(self, modules: Mapping[str, ModuleRecord]) -> Iterator[Change]:
        """The changes of each module that came, went, is in another state, became stuck or recovered."""
        for name, module in modules.items():
            kept, seen = self.kept.get(name), self.status.modules[name]
            left, since = (kept.state, kept.since) if kept is not None else (ABSENT, self.at)
            if left != seen.state:
                yield Change(Kind.MODULE, name, left, seen.state, seen.reason, seen.message, seen.evidence, since)
            yield from self._turn(kept.clock if kept is not None else None, module.clock, seen, name)
        for name, kept in self.kept.items():
            if name not in modules:
                message = "The module is neither desired nor reported any more."
                yield Change(Kind.MODULE, name, kept.state, ABSENT, REMOVED_REASON, message, (), kept.since)

    def device_changes(self, clock: Clock) -> Iterator[Change]:
        """The changes of the device itself: its state, and its clock."""
        previous, seen = self.previous, self.status
        left, since = (previous.state, previous.since) if previous is not None else (ABSENT, self.at)
        if left != seen.state:
            yield Change(Kind.DEVICE, "", left, seen.state, seen.reason, seen.message, seen.evidence, since)
        yield from self._turn(previous.clock if previous is not None else None, clock, seen)

    def _turn(
        self, kept: Clock | None, clock: Clock, seen: ModuleStatus | DeploymentStatus, module: str = ""
    ) -> Iterator[Change]:
        was_stuck = kept is not None and kept.stuck_since is not None
        is_stuck = clock.stuck_since is not None
        if was_stuck is not is_stuck:
            kind = Kind.STUCK if is_stuck else Kind.RECOVERED
            # One of the two runs: the new one where it became stuck, the kept one where it was.
            since = clock.unsettled_since if is_stuck else kept and kept.unsettled_since
            yield Change(
                kind,
                module,
                seen.state,
                seen.state,
                seen.reason,
                seen.message,
                seen.evidence,
                since or self.at,
            )

    def _tick(self, kept: Clock | None, sight: Sight, grace: timedelta, *, restart: bool) -> Clock:
        clock = replace(kept, grace=grace) if kept is not None else Clock(grace=grace)
        stable_after = self.policy.stable_after
        return tick(clock, sight, at=self.at, now=self.now, stable_after=stable_after, restart=restart)


_MODULE_SIGHTS = {
    ModuleState.SETTLED: Sight.SETTLED,
    ModuleState.PENDING: Sight.UNSAID,
    ModuleState.UNKNOWN: Sight.UNSAID,
}
_REPORT_IS_OLD = (*NOT_TAKEN, State.AGENT_UNAVAILABLE)


def _sight(module: ModuleStatus, state: State) -> Sight:
    """What a look at a module says to its clock: nothing, while the report is from before the version."""
    if module.state is ModuleState.EXTRA:
        if state is State.NO_DEPLOYMENT:  # nothing removes what no deployment follows
            return Sight.SETTLED
        return Sight.UNSAID if state in _REPORT_IS_OLD else Sight.UNSETTLED
    return _MODULE_SIGHTS.get(module.state, Sight.UNSETTLED)


def _device_sight(status: DeploymentStatus) -> Sight:
    """What a look at a device says to its own clock.

    A device whose modules alone are unsettled is settled itself: each of them has its own clock.
    """
    if status.state in (State.SUCCESSFUL, State.MODULE_FAILED, State.NO_DEPLOYMENT):
        return Sight.SETTLED
    if status.state is State.IN_PROGRESS:
        agent = status.modules.get(EDGE_AGENT)
        agent_settled = agent is None or agent.state is ModuleState.SETTLED
        modules = (module for name, module in status.modules.items() if name != EDGE_AGENT)
        if agent_settled and any(_sight(module, status.state) is Sight.UNSETTLED for module in modules):
            return Sight.SETTLED
    return Sight.UNSETTLED
