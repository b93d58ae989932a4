"""The command wait: polls deployments until all have succeeded, one has failed, or the time is over."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import Answer, FleetSource, RefusedError
from status_app.commands.gate.lines import (
    Progress,
    before_lines,
    device_json,
    device_lines,
    failed_lines,
    passed_lines,
    progress_line,
    timeout_lines,
)
from status_app.commands.gate.rule import GateCriteria, GateOutcome, Judgement, Snapshot, judge, longest_first
from status_app.commands.gate.snapshot import missing, read_causes, read_deployment, read_device
from status_app.errors import UnavailableError

READ_TIMEOUT: Final = 120.0
"""The longest that a poll may take, with all attempts. The gate ends at most this long after its timeout."""
_WORDS: Final = {
    ExitCode.OK: "passed",
    ExitCode.FAILED: "failed",
    ExitCode.TIMED_OUT: "timed_out",
    ExitCode.UNKNOWN: "unknown",
    ExitCode.UNAVAILABLE: "unavailable",
}


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """How long the gate waits.

    Attributes:
        timeout: In total.
        interval: Between two polls.
    """

    timeout: timedelta
    interval: timedelta


class Gate:
    """Waits for deployments.

    Args:
        fleet: The source.
        deployments: The deployments.
        criteria: What is required of each.
        progress: Shows the progress.
        device: One device, instead of all that have the deployments. Without deployments, all of the device's count.
        clock: Returns the time in UTC.
        sleep: Waits that many seconds.
    """

    def __init__(  # noqa: PLR0913 (each is a part that it needs)
        self,
        fleet: FleetSource,
        deployments: Sequence[str],
        criteria: GateCriteria,
        progress: Progress,
        *,
        device: str | None = None,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._fleet = fleet
        self._deployments = [*dict.fromkeys(deployments)]
        self._criteria = criteria
        self._progress = progress
        self._device = device
        self._clock = clock
        self._sleep = sleep
        self._asked: datetime | None = None
        self._held_since: dict[str, datetime | None] = {}
        self._last: dict[str, tuple[Snapshot, Judgement]] = {}
        self._causes: dict[str, Sequence[Answer]] = {}
        self._trouble: str | None = None

    @property
    def causes(self) -> Mapping[str, Sequence[Answer]]:
        """Why devices of each deployment fail, as the API answered at the end."""
        return self._causes

    @property
    def _names(self) -> Sequence[str]:
        """The deployments to poll. An empty name means all that the device has."""
        return self._deployments or [""]

    async def wait(self, limits: WaitLimits) -> ExitCode:
        """Poll until the outcome is decided or the time is over, with a last poll at the end.

        Raises:
            RefusedError: The first answer was a refusal: waiting does not correct a wrong key.
        """
        deadline = self._clock() + limits.timeout
        while True:
            left = deadline - self._clock()
            code = await self._poll(left)
            if code is not None:
                return code
            left = deadline - self._clock()
            if left <= timedelta(0):
                return await self._time_is_over(limits)
            await self._sleep(min(limits.interval, left).total_seconds())

    def result(self, code: ExitCode) -> str:
        """Return the outcome as a JSON object."""
        deployments = {name: self._json(*found) for name, found in self._last.items()}
        which = {"device": self._device, "cohort": self._criteria.cohort}
        outcome = {"outcome": _WORDS[code], "exitCode": int(code), **which, "deployments": deployments}
        return json.dumps(outcome, ensure_ascii=False)

    def _json(self, snapshot: Snapshot, judgement: Judgement) -> dict[str, Any]:
        stable = judgement.stable_since
        return {
            "outcome": judgement.outcome.name.lower(),
            **asdict(snapshot.counts),
            "failing": judgement.failing,
            "mayFail": str(judgement.may_fail),
            "stableSince": None if stable is None else stable.isoformat(),
            "states": dict(snapshot.states),
            "milestones": sorted(snapshot.milestones),
            "failed": [device_json(device) for device in judgement.failed],
            "stuckBefore": [device_json(device) for device in judgement.before],
        }

    async def _poll(self, left: timedelta) -> ExitCode | None:
        """Read all deployments. Returns the exit code once it is decided."""
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                snapshots = {name: await self._read(name) for name in self._names}
        except RefusedError as error:
            if not self._last:
                raise
            self._retry_later(str(error), left)  # it worked before: the key is being renewed, or the app restarts
            return None
        except UnavailableError as error:
            self._retry_later(str(error), left)
            return None
        except TimeoutError:
            self._retry_later(f"no answer within {READ_TIMEOUT:.0f} seconds", left)
            return None
        if self._trouble is not None:
            self._trouble = None
            self._progress.print_lines(["Reading works again."])
        now = self._fleet.now()
        asked = self._asked = self._asked or now
        for name, snapshot in snapshots.items():
            if snapshot is None:
                self._progress.print_lines(
                    [f"UNKNOWN: there is no device {self._device}, or the app has not seen it yet."]
                )
                return ExitCode.UNKNOWN
            held = self._held_since.get(name)
            judgement = judge(snapshot, self._criteria, asked=asked, now=now, held_since=held)
            self._held_since[name] = judgement.stable_since
            self._last[name] = snapshot, judgement
        return await self._decided(left)

    async def _read(self, name: str) -> Snapshot | None:
        if self._device is not None:
            return await read_device(self._fleet, self._device, name or None)
        return await read_deployment(self._fleet, name, self._criteria)

    async def _decided(self, left: timedelta) -> ExitCode | None:
        outcomes = {name: judgement.outcome for name, (_, judgement) in self._last.items()}
        if GateOutcome.FAILED in outcomes.values() or {*outcomes.values()} == {GateOutcome.PASSED}:
            await self._read_causes()
        for name, outcome in outcomes.items():
            snapshot, judgement = self._last[name]
            if outcome is GateOutcome.FAILED:
                causes = self._causes.get(name, ())
                self._progress.print_lines([*failed_lines(self._called(name), snapshot, judgement, causes)])
            elif outcome is GateOutcome.SUPERSEDED:
                self._progress.print_lines(
                    [f"FAILED: {self._called(name)} is on no device any more: it is superseded."]
                )
            elif outcome is GateOutcome.UNKNOWN:
                self._progress.print_lines([f"UNKNOWN: the hub has no deployment {name}: check its name."])
        if {GateOutcome.FAILED, GateOutcome.SUPERSEDED} & {*outcomes.values()}:
            return ExitCode.FAILED
        if GateOutcome.UNKNOWN in outcomes.values():
            return ExitCode.UNKNOWN
        if {*outcomes.values()} == {GateOutcome.PASSED}:
            for name, (snapshot, judgement) in self._last.items():
                causes = self._causes.get(name, ())
                self._progress.print_lines([*passed_lines(self._called(name), snapshot, judgement, causes)])
            return ExitCode.OK
        self._progress.show(" | ".join(self._line(name) for name in self._last), left)
        return None

    def _called(self, name: str) -> str:
        if self._device is not None:
            return " of ".join(part for part in (name, self._device) if part)
        return name if self._criteria.cohort is None else f"{name} in {self._criteria.cohort}"

    def _line(self, name: str) -> str:
        return progress_line(self._called(name), *self._last[name], self._criteria)

    def _retry_later(self, trouble: str, left: timedelta) -> None:
        """Note a failed poll. Changes until the next one go unseen, so criteria must hold again from there."""
        self._held_since.clear()
        self._trouble = trouble
        self._progress.show(f"{', '.join(map(self._called, self._names))}: {trouble}; will retry", left)

    async def _time_is_over(self, limits: WaitLimits) -> ExitCode:
        if not self._last:
            self._progress.print_lines([f"NO ANSWER the whole time: {self._trouble}."])
            return ExitCode.UNAVAILABLE
        if self._trouble is None:
            await self._read_causes()
        for name, (snapshot, judgement) in self._last.items():
            if judgement.outcome is not GateOutcome.PASSED:
                causes = self._causes.get(name, ())
                lines = timeout_lines(self._called(name), snapshot, judgement, self._criteria, limits.timeout, causes)
                self._progress.print_lines([*lines, *before_lines(judgement)])
        if self._trouble is not None:
            self._progress.print_lines([f"That is the last known state; after it: {self._trouble}."])
        elif self._device is None:
            await self._name_missing()
        return ExitCode.TIMED_OUT

    async def _read_causes(self) -> None:
        """Read why devices fail. The decision holds, even if there is no answer."""
        for name, (snapshot, _) in self._last.items():
            if self._device is not None or snapshot.counts.successful == snapshot.counts.devices:
                continue
            try:
                async with asyncio.timeout(READ_TIMEOUT):
                    self._causes[name] = await read_causes(self._fleet, name, self._criteria.cohort)
            except (RefusedError, UnavailableError, TimeoutError) as error:
                self._progress.print_lines([f"The causes cannot be read: {str(error) or 'no answer in time'}."])

    async def _name_missing(self) -> None:
        for name, (snapshot, judgement) in self._last.items():
            try:
                async with asyncio.timeout(READ_TIMEOUT):
                    devices = longest_first(await missing(self._fleet, name, snapshot, self._criteria.cohort))
            except (RefusedError, UnavailableError, TimeoutError) as error:
                self._progress.print_lines([f"The devices cannot be named: {str(error) or 'no answer in time'}."])
                continue
            if judgement.outcome is not GateOutcome.PASSED:
                total = sum(count for state, count in snapshot.states.items() if state != "successful")
                self._progress.print_lines([*device_lines(devices, max(total, len(devices)))])
