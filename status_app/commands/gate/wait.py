"""The command wait: looks at a deployment until it has come through, has failed, or the time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import FleetStatus, RefusedError
from status_app.commands.gate.lines import (
    Progress,
    device_lines,
    failed_lines,
    passed_lines,
    progress_line,
    timeout_lines,
)
from status_app.commands.gate.look import missing, take_look
from status_app.commands.gate.rule import GateCriteria, GateOutcome, Judgement, Look, judge, longest_first
from status_app.errors import UnavailableError

if TYPE_CHECKING:
    from status_core import Rollout

LOOK_SECONDS: Final = 120.0
"""The longest that a look may take, with all its attempts: the gate ends at most so much after its timeout."""


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
    """Waits for a deployment.

    Args:
        fleet: What is asked.
        deployment: The deployment.
        criteria: What must hold.
        progress: Where it is told.
        clock: The time, in UTC.
        sleep: Waits that many seconds.
    """

    def __init__(  # noqa: PLR0913 (each is a part that it needs)
        self,
        fleet: FleetStatus,
        deployment: str,
        criteria: GateCriteria,
        progress: Progress,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._fleet = fleet
        self._deployment = deployment
        self._criteria = criteria
        self._progress = progress
        self._clock = clock
        self._sleep = sleep
        self._last: tuple[Look, Judgement] | None = None
        self._rollout: Rollout | None = None
        self._trouble: str | None = None

    async def wait(self, limits: WaitLimits) -> ExitCode:
        """Look until it is decided, or the time is over. The last look is taken at the end of the time.

        Raises:
            RefusedError: The first answer was a refusal: nobody waits for a key that is wrong.
        """
        deadline = self._clock() + limits.timeout
        while True:
            outcome = await self._look()
            if outcome is not GateOutcome.WAITING:
                return ExitCode.OK if outcome is GateOutcome.PASSED else ExitCode.FAILED
            left = deadline - self._clock()
            if left <= timedelta(0):
                return await self._time_is_over(limits)
            await self._sleep(min(limits.interval, left).total_seconds())

    async def _look(self) -> GateOutcome:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                look = await take_look(self._fleet, self._deployment, self._criteria)
        except RefusedError as error:
            if self._last is None:
                raise
            return self._not_seen(str(error))  # a key that is renewed, an app that starts: it was good before
        except UnavailableError as error:
            return self._not_seen(str(error))
        except TimeoutError:
            return self._not_seen(f"no answer within {LOOK_SECONDS:.0f} seconds")
        if self._trouble is not None:
            self._trouble = None
            self._progress.say(["There are answers again."])
        judgement = judge(self._rollout, look, self._criteria, self._clock())
        self._rollout, self._last = judgement.rollout, (look, judgement)
        match judgement.outcome:
            case GateOutcome.PASSED:
                self._progress.say([*passed_lines(self._deployment, look, judgement, self._criteria)])
            case GateOutcome.FAILED:
                self._progress.say([*failed_lines(self._deployment, look, judgement, self._criteria)])
            case GateOutcome.WAITING:
                self._progress.show(progress_line(self._deployment, look, judgement, self._criteria))
        return judgement.outcome

    def _not_seen(self, trouble: str) -> GateOutcome:
        """A look that failed is tried again; what happens meanwhile is not seen, so the stability window is anew."""
        self._rollout = None
        self._trouble = trouble
        self._progress.show(f"{self._deployment}: {trouble}; it is asked again")
        return GateOutcome.WAITING

    async def _time_is_over(self, limits: WaitLimits) -> ExitCode:
        if self._last is None:
            self._progress.say([f"NO ANSWER, all the time: {self._trouble}."])
            return ExitCode.UNAVAILABLE
        look, judgement = self._last
        self._progress.say([*timeout_lines(self._deployment, look, judgement, self._criteria, limits.timeout)])
        if self._trouble is not None:
            self._progress.say([f"That is as it was last seen; then: {self._trouble}."])
            return ExitCode.TIMED_OUT
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                devices = longest_first(await missing(self._fleet, self._deployment, look))
        except (RefusedError, UnavailableError, TimeoutError) as error:
            self._progress.say([f"The devices cannot be named: {str(error) or 'no answer in time'}."])
            return ExitCode.TIMED_OUT
        total = look.devices - judgement.successful - judgement.recovering
        self._progress.say([*device_lines(devices, max(total, len(devices)))])
        return ExitCode.TIMED_OUT
