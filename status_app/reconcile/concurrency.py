"""A round over many devices: side by side within a bound, and one that fails costs no other its turn."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from status_app.errors import UnavailableError
from status_app.telemetry.logs import log

AT_ONCE: Final = 100
"""As many as a batch has events, and a page twins: they write the index together."""

_log = log(__name__)


class Round[Item]:
    """Counts what the looks of a round came to, and keeps their errors.

    Attributes:
        outcomes: How many looks came to what; `failed` for those that raised.
        errors: What they raised.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.errors: list[Exception] = []

    async def go(self, items: Iterable[Item], look: Callable[[Item], Awaitable[str]]) -> None:
        """Take a look for each item."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(item: Item) -> None:
            async with slots:
                try:
                    self.outcomes[str(await look(item))] += 1
                except UnavailableError as error:
                    self._failed(error)
                except Exception as error:  # noqa: BLE001 (a bug: the others go on, and it is raised at the end)
                    _log.exception("a look failed")
                    self._failed(error)

        await asyncio.gather(*map(one, items))

    def finish(self, name: str) -> None:
        """Tell what the round of a timer came to.

        Raises:
            ExceptionGroup: Something failed, and is left for the next run.
        """
        _log.info("%s: %s", name, dict(self.outcomes))
        if self.errors:
            raise ExceptionGroup(f"{name}: {len(self.errors)} failed, left for the next run", self.errors)

    def _failed(self, error: Exception) -> None:
        self.outcomes["failed"] += 1
        self.errors.append(error)
