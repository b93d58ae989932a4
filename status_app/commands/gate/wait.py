"""The command wait: looks at deployments until they have come through, one has failed, or the time is over."""

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
from status_app.commands.gate.look import causes_of, look_at_device, missing, take_look
from status_app.commands.gate.rule import GateCriteria, GateOutcome, Judgement, Look, judge, longest_first
from status_app.errors import UnavailableError

LOOK_SECONDS: Final = 120.0
"""The longest that a look may take, with all its attempts: the gate ends at most so much after its timeout."""
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
        timeout: In all.
        interval: Between two looks.
    """

    timeout: timedelta
    interval: timedelta


class Gate:
    """Waits for deployments.

    Args:
        fleet: What is asked.
        deployments: The deployments.
        criteria: What must hold of each.
        progress: Where it is shown.
        device: One device, in the place of all that have the deployments; without any, of all that it has.
        clock: The time, in UTC.
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
        self._last: dict[str, tuple[Look, Judgement]] = {}
        self._causes: dict[str, Sequence[Answer]] = {}
        self._trouble: str | None = None

    @property
    def causes(self) -> Mapping[str, Sequence[Answer]]:
        """Why devices of each deployment fail, as the API answered at the end."""
        return self._causes

    @property
    def _names(self) -> Sequence[str]:
        """What is looked at: a deployment each, or a device with one; an empty one stands for all that it has."""
        return self._deployments or [""]

    async def wait(self, limits: WaitLimits) -> ExitCode:
        """Look until it is decided, or the time is over. The last look is taken at the end of the time.

        Raises:
            RefusedError: The first answer was a refusal: nobody waits for a key that is wrong.
        """
        deadline = self._clock() + limits.timeout
        while True:
            left = deadline - self._clock()
            code = await self._look(left)
            if code is not None:
                return code
            left = deadline - self._clock()
            if left <= timedelta(0):
                return await self._time_is_over(limits)
            await self._sleep(min(limits.interval, left).total_seconds())

    def result(self, code: ExitCode) -> str:
        """What it came to, as one JSON object."""
        deployments = {name: self._json(*found) for name, found in self._last.items()}
        which = {"device": self._device, "cohort": self._criteria.cohort}
        said = {"outcome": _WORDS[code], "exitCode": int(code), **which, "deployments": deployments}
        return json.dumps(said, ensure_ascii=False)

    def _json(self, look: Look, judgement: Judgement) -> dict[str, Any]:
        stable = judgement.stable_since
        return {
            "outcome": judgement.outcome.name.lower(),
            **asdict(look.counts),
            "failing": judgement.failing,
            "mayFail": str(judgement.may_fail),
            "stableSince": None if stable is None else stable.isoformat(),
            "states": dict(look.states),
            "milestones": sorted(look.milestones),
            "failed": [device_json(device) for device in judgement.failed],
            "stuckBefore": [device_json(device) for device in judgement.before],
        }

    async def _look(self, left: timedelta) -> ExitCode | None:
        """Look at all of them. The exit code once it is decided."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                looks = {name: await self._take(name) for name in self._names}
        except RefusedError as error:
            if not self._last:
                raise
            self._not_seen(str(error), left)  # a key that is renewed, an app that starts: it was good before
            return None
        except UnavailableError as error:
            self._not_seen(str(error), left)
            return None
        except TimeoutError:
            self._not_seen(f"no answer within {LOOK_SECONDS:.0f} seconds", left)
            return None
        if self._trouble is not None:
            self._trouble = None
            self._progress.say(["There are answers again."])
        now = self._fleet.now()
        asked = self._asked = self._asked or now
        for name, look in looks.items():
            if look is None:
                self._progress.say([f"UNKNOWN: there is no device {self._device}, or the app has not seen it yet."])
                return ExitCode.UNKNOWN
            held = self._held_since.get(name)
            judgement = judge(look, self._criteria, asked=asked, now=now, held_since=held)
            self._held_since[name] = judgement.stable_since
            self._last[name] = look, judgement
        return await self._decided(left)

    async def _take(self, name: str) -> Look | None:
        if self._device is not None:
            return await look_at_device(self._fleet, self._device, name or None)
        return await take_look(self._fleet, name, self._criteria)

    async def _decided(self, left: timedelta) -> ExitCode | None:
        outcomes = {name: judgement.outcome for name, (_, judgement) in self._last.items()}
        if GateOutcome.FAILED in outcomes.values() or {*outcomes.values()} == {GateOutcome.PASSED}:
            await self._ask_causes()
        for name, outcome in outcomes.items():
            look, judgement = self._last[name]
            if outcome is GateOutcome.FAILED:
                self._progress.say([*failed_lines(self._called(name), look, judgement, self._causes.get(name, ()))])
            elif outcome is GateOutcome.SUPERSEDED:
                self._progress.say([f"FAILED: {self._called(name)} is on no device any more: it is superseded."])
            elif outcome is GateOutcome.UNKNOWN:
                self._progress.say([f"UNKNOWN: the hub has no deployment {name}: check its name."])
        if {GateOutcome.FAILED, GateOutcome.SUPERSEDED} & {*outcomes.values()}:
            return ExitCode.FAILED
        if GateOutcome.UNKNOWN in outcomes.values():
            return ExitCode.UNKNOWN
        if {*outcomes.values()} == {GateOutcome.PASSED}:
            for name, (look, judgement) in self._last.items():
                self._progress.say([*passed_lines(self._called(name), look, judgement, self._causes.get(name, ()))])
            return ExitCode.OK
        self._progress.show(" | ".join(self._line(name) for name in self._last), left)
        return None

    def _called(self, name: str) -> str:
        if self._device is not None:
            return " of ".join(part for part in (name, self._device) if part)
        return name if self._criteria.cohort is None else f"{name} in {self._criteria.cohort}"

    def _line(self, name: str) -> str:
        return progress_line(self._called(name), *self._last[name], self._criteria)

    def _not_seen(self, trouble: str, left: timedelta) -> None:
        """A look that failed is tried again; what happens meanwhile is not seen, so what held has to hold again."""
        self._held_since.clear()
        self._trouble = trouble
        self._progress.show(f"{', '.join(map(self._called, self._names))}: {trouble}; it is asked again", left)

    async def _time_is_over(self, limits: WaitLimits) -> ExitCode:
        if not self._last:
            self._progress.say([f"NO ANSWER, all the time: {self._trouble}."])
            return ExitCode.UNAVAILABLE
        if self._trouble is None:
            await self._ask_causes()
        for name, (look, judgement) in self._last.items():
            if judgement.outcome is not GateOutcome.PASSED:
                causes = self._causes.get(name, ())
                lines = timeout_lines(self._called(name), look, judgement, self._criteria, limits.timeout, causes)
                self._progress.say([*lines, *before_lines(judgement)])
        if self._trouble is not None:
            self._progress.say([f"That is as it was last seen; then: {self._trouble}."])
        elif self._device is None:
            await self._name_missing()
        return ExitCode.TIMED_OUT

    async def _ask_causes(self) -> None:
        """Ask why devices fail. What was decided stays, even if there is no answer."""
        for name, (look, _) in self._last.items():
            if self._device is not None or look.counts.successful == look.counts.devices:
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    self._causes[name] = await causes_of(self._fleet, name, self._criteria.cohort)
            except (RefusedError, UnavailableError, TimeoutError) as error:
                self._progress.say([f"The causes cannot be asked for: {str(error) or 'no answer in time'}."])

    async def _name_missing(self) -> None:
        for name, (look, judgement) in self._last.items():
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    devices = longest_first(await missing(self._fleet, name, look, self._criteria.cohort))
            except (RefusedError, UnavailableError, TimeoutError) as error:
                self._progress.say([f"The devices cannot be named: {str(error) or 'no answer in time'}."])
                continue
            if judgement.outcome is not GateOutcome.PASSED:
                total = sum(count for state, count in look.states.items() if state != "successful")
                self._progress.say([*device_lines(devices, max(total, len(devices)))])
