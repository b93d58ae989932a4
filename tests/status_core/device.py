"""A device that is looked at again and again, as notifications and timers do."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from twins import AGENT, MODULE, STATUS, judged

from status_core import DeviceRecord, GracePolicy, ModuleRecord, Transition, advance

T0: Final = datetime(2026, 1, 1, 10, tzinfo=UTC)
MINUTE: Final = 60
HOUR: Final = 3600
RUNS: Final = f"{MODULE}.runtimeStatus"
COUNT: Final = f"{MODULE}.restartCount"
SECOND: Final = {"status": "running", "settings": {"image": "m2:1"}}
STARTED: Final = {f"{STATUS}.code": 200, f"{STATUS}.description": "", f"{AGENT}.runtimeStatus": "running"}


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def version(number: int) -> dict[str, int]:
    return {"desired.$version": number}


def taken(number: int) -> dict[str, int]:
    return {"reported.lastDesiredVersion": number}


class Device:
    """What was changed in its twin stays changed. Times are seconds after the start."""

    def __init__(self, policy: GracePolicy | None = None) -> None:
        self.policy = policy or GracePolicy()
        self.changes: dict[str, Any] = {}
        self.record: DeviceRecord | None = None
        self.history: list[Transition] = []
        self.status = judged()

    def look(
        self, seconds: float, changes: Mapping[str, Any] | None = None, *, at: float | None = None, lags: bool = False
    ) -> list[tuple[str, ...]]:
        """Look at the twin.

        Args:
            seconds: When.
            changes: What a report, or a new version, changed; none: the same twin, as a timer looks at it.
            at: When that changed; at once by default.
            lags: The report is the first of a new process of the agent, and shows what ran before the plan.
        """
        if changes is not None:
            stamp = after(seconds if at is None else at).isoformat()
            started = stamp if lags else after(-HOUR).isoformat()
            times = {"edgeAgent": {"lastStartTimeUtc": {"$lastUpdated": started}}}
            self.changes |= {
                **changes,
                "reported.$metadata.$lastUpdated": stamp,
                "reported.$metadata.systemModules": times,
            }
            self.status = judged(self.changes)
        self.record, transitions = advance(self.record, self.status, after(seconds), self.policy)
        self.history += transitions
        return lines(transitions)

    def crash(self, seconds: float, back: float, count: int = 1) -> None:
        """Let m1 exit, and run again `back` seconds later."""
        self.look(seconds, {RUNS: "backoff", COUNT: count})
        self.look(seconds + back, {RUNS: "running"})

    @property
    def kept(self) -> DeviceRecord:
        assert self.record is not None
        return self.record

    @property
    def due(self) -> datetime | None:
        return self.kept.due(self.policy)

    def module(self, name: str = "m1") -> ModuleRecord:
        return self.kept.modules[name]

    @property
    def news(self) -> list[tuple[str, ...]]:
        """All that was announced after the initial transition, with its seconds."""
        times = [str(round((item.at - T0).total_seconds(), 3)).removesuffix(".0") for item in self.history]
        return [(time, *item) for time, item in zip(times, lines(self.history), strict=True)][1:]

    def news_of(self, module: str) -> list[tuple[str, ...]]:
        """The part of the news that is about one module, or with an empty name about the device."""
        return [(time, kind, *rest) for time, kind, name, *rest in self.news if name == module]


def lines(transitions: Sequence[Transition]) -> list[tuple[str, ...]]:
    """Kind, module, state and reason."""
    return [(item.change.kind, item.change.module, item.change.to_state, item.change.reason) for item in transitions]


type Look = tuple[float, Mapping[str, Any] | None]


def looked_at(*looks: Look, policy: GracePolicy | None = None) -> Device:
    """A device after looks at changes or, where there are none, by a timer."""
    device = Device(policy)
    for seconds, changes in looks:
        device.look(seconds, changes)
    return device


def followed(*looks: Look, policy: GracePolicy | None = None) -> Device:
    """A device that was healthy at first, after further looks."""
    return looked_at((0, {}), *looks, policy=policy)
