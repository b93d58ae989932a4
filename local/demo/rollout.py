"""The story: a release that works on most devices and fails on some, what gets stuck, and what recovers."""

from datetime import UTC, datetime, timedelta
from typing import Final

from local.demo.screen import Screen
from local.demo.status_rows import Answers
from local.fleet import ImageBehaviour, Trouble, mixed_fleet, release
from local.fleet.mixed import image
from local.stack import Stack

START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
_STEP: Final = timedelta(seconds=10)
_MINUTE: Final = timedelta(minutes=1)
_SETTLING: Final = 2
"""Minutes of release 1 before release 2."""
_UNTIL_STUCK: Final = 17
"""Minutes after release 2: what is still unsettled has exceeded the default grace period of 15."""
_MENDING: Final = 8
"""Minutes after the repairs: the agent retries a refused image with growing delays."""


class Clock:
    """The clock of the demo. It advances in steps without waiting."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the current time."""
        return self.now


class Rollout:
    """Take one fleet from release to release.

    Args:
        stack: The running app.
        clock: The stack's clock.
        answers: Reads its table.
        screen: Prints the story.
        devices: Size of the fleet.
        seed: The same seed gives the same story.
    """

    def __init__(  # noqa: PLR0913 (each is a part of the stage)
        self, stack: Stack, clock: Clock, answers: Answers, screen: Screen, *, devices: int, seed: int
    ) -> None:
        self._stack = stack
        self._clock = clock
        self._answers = answers
        self._screen = screen
        self._fleet, self._troubles = mixed_fleet(stack.iot_hub.registry, devices, clock.now, seed=seed)

    async def play(self) -> None:
        """Play the whole story, then print the status table and the stuck list."""
        self._screen.legend()
        off = list(self._troubles.values()).count(Trouble.OFF)
        self._deploy(1, f"to {len(self._troubles)} devices, {off} of them off")
        await self._run(_SETTLING)
        self._deploy(2, "to all of them")
        await self._run(_UNTIL_STUCK)
        self._mend()
        await self._run(_MENDING)
        self._screen.states(await self._answers.devices(), self._clock.now)
        self._screen.stuck(await self._answers.stuck())
        failed = sum(not outcome.ok for outcome in self._stack.host.invocations)
        if failed:
            self._screen.say(f"\n{failed} runs of the app's functions failed: the log says why.")

    def _deploy(self, number: int, to_whom: str) -> None:
        self._tell(f"release {number} is rolled out {to_whom}")
        self._fleet.deploy(f"release-{number}", release(number), self._troubles, self._clock.now)

    def _mend(self) -> None:
        """Repair one device that is off, and one whose pull is refused, if there are any."""
        off, refused = self._first(Trouble.OFF), self._first(Trouble.REFUSED_PULL)
        if off is not None:
            self._tell(f"{off} is switched on")
            self._fleet.start(off, self._clock.now)
        if refused is not None:
            vision = image("vision", 2)
            self._tell(f"the registry now lets {refused} pull {vision}")
            self._fleet.agents[refused].runtime.images[vision] = ImageBehaviour()

    def _first(self, trouble: Trouble) -> str | None:
        return next((device_id for device_id, its in self._troubles.items() if its is trouble), None)

    async def _run(self, minutes: int) -> None:
        """Let time pass: devices act, the app processes their changes, and its timer fires every minute."""
        for _ in range(minutes):
            before = self._clock.now
            for _ in range(_MINUTE // _STEP):
                self._clock.now += _STEP
                self._fleet.step(self._clock.now)
                await self._stack.drained()
            await self._stack.host.run_timer("flag_stuck")
            for turn in await self._answers.turns(before):
                self._screen.turn(turn)
            self._screen.progress(self._clock.now, await self._answers.devices(), await self._answers.stuck())

    def _tell(self, text: str) -> None:
        self._screen.say(text, self._clock.now)
