"""Tests that run at the same time, since the clients of the SDK sleep for most of the time that they take."""

import asyncio
from collections.abc import Awaitable, Callable

type Scenario = Callable[[], Awaitable[None]]


class SideBySide:
    """Decorates the tests of a module: the first of them that is called runs all, then each reports its own outcome."""

    def __init__(self) -> None:
        self._scenarios: list[Scenario] = []
        self._outcomes: dict[Scenario, BaseException | None] = {}

    def __call__(self, scenario: Scenario) -> Callable[[], None]:
        self._scenarios.append(scenario)

        def test() -> None:
            if not self._outcomes:
                self._outcomes = asyncio.run(self._run())
            if error := self._outcomes[scenario]:
                raise error

        test.__name__ = scenario.__name__
        return test

    async def _run(self) -> dict[Scenario, BaseException | None]:
        outcomes = await asyncio.gather(*(scenario() for scenario in self._scenarios), return_exceptions=True)
        return dict(zip(self._scenarios, outcomes, strict=True))
