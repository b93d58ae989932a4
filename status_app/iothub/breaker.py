"""Keeps a hub that does not answer from costing each device its attempts: one asks, and all others know.

    unknown     one read goes ahead, the others wait for what comes of it: so it is at the start, and after a pause
    answering   reads go ahead, a few at once
    open        nothing is asked: PROBES reads in a row failed, each with its attempts

A read that fails alone opens nothing: of one device alone the hub may have nothing to say, whoever asks.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from status_app.errors import StatusAppError, UnavailableError
from status_app.iothub.budget import Share
from status_app.iothub.twins import READERS, HubRequestError, TwinPage
from status_app.telemetry.logs import log

PROBES: Final = 2
"""Reads that fail in a row before the hub is no longer asked."""
FIRST_PAUSE: Final = 15.0
"""Seconds for which it is not asked then; twice as long each time that the reads after a pause fail too."""
LONGEST_PAUSE: Final = 60.0
"""Shorter than the waits between the attempts of a batch together, so the last of them asks once more."""

_THROTTLED: Final = 429
_REFUSES_THE_APP: Final = (401, 403)

_log = log(__name__)


class TwinSource(Protocol):
    """Where twins come from. A share says how often the hub may be asked."""

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        """The `$edgeAgent` twin that the hub holds now; None where it holds none."""

    async def several(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Twins of some devices by one query; None where it was not asked."""

    async def page(
        self, continuation: str | None, share: Share | None = None, since: datetime | None = None
    ) -> TwinPage:
        """One page of all `$edgeAgent` twins, or of those that have changed since."""

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, share: Share | None = None
    ) -> TwinPage:
        """A page of what tells whether the twins of some devices are as they were."""

    async def tags(
        self, continuation: str | None, device_ids: Sequence[str] = (), share: Share | None = None
    ) -> TwinPage:
        """One page of devices with their tags: of some devices, or of all."""

    async def tags_of(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Some devices with their tags by one query; None where it was not asked."""


class TwinBreaker:
    """Twins of a hub, for all readers of a process.

    Args:
        twins: Asks the hub, as often as that takes.
        clock: Seconds that never run back.
    """

    def __init__(self, twins: TwinSource, clock: Callable[[], float]) -> None:
        self._twins = twins
        self._clock = clock
        self._slots = asyncio.Semaphore(READERS)
        self._probe = asyncio.Lock()
        self._answers = False
        self._failed = 0
        self._pause = 0.0
        self._open_until = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether the hub is not asked now."""
        return self._clock() < self._open_until

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        """As TwinReader.read.

        Raises:
            UnavailableError: As of TwinReader.read, or the hub is not asked now.
        """
        async with self._slots:
            if not self._answers:
                async with self._probe:
                    self._check()
                    if not self._answers:
                        return await self._watch(lambda: self._twins.read(device_id, share))
            self._check()
            return await self._watch(lambda: self._twins.read(device_id, share))

    async def several(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """As TwinReader.several; None also where the hub is not asked now.

        Raises:
            UnavailableError: As of TwinReader.several.
        """
        if not self._answers:
            async with self._probe:
                if not (self._answers or self.is_open):
                    return await self._watch(lambda: self._twins.several(device_ids, share), is_query=True)
        if self.is_open:
            return None
        return await self._watch(lambda: self._twins.several(device_ids, share), is_query=True)

    async def page(
        self, continuation: str | None, share: Share | None = None, since: datetime | None = None
    ) -> TwinPage:
        """As TwinReader.page.

        Raises:
            ContinuationError, QueryRefusedError: As of TwinReader.page.
            UnavailableError: As of TwinReader.page, or the hub is not asked now.
        """
        self._check()
        return await self._watch(lambda: self._twins.page(continuation, share, since), is_query=True)

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, share: Share | None = None
    ) -> TwinPage:
        """As TwinReader.outlines. Errors as of `page`."""
        self._check()
        return await self._watch(lambda: self._twins.outlines(device_ids, continuation, share), is_query=True)

    async def tags(
        self, continuation: str | None, device_ids: Sequence[str] = (), share: Share | None = None
    ) -> TwinPage:
        """As TwinReader.tags. Errors as of `page`."""
        self._check()
        return await self._watch(lambda: self._twins.tags(continuation, device_ids, share), is_query=True)

    async def tags_of(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """As TwinReader.tags_of. Errors as of `page`."""
        self._check()
        return await self._watch(lambda: self._twins.tags_of(device_ids, share), is_query=True)

    def _check(self) -> None:
        if self.is_open:
            raise UnavailableError("iothub", "it is not asked now, since it did not answer before", is_final=True)

    async def _watch[T](self, ask: Callable[[], Awaitable[T]], *, is_query: bool = False) -> T:
        try:
            found = await ask()
        except UnavailableError as error:
            status = error.status if isinstance(error, HubRequestError) else 0
            if error.is_final and status and status not in _REFUSES_THE_APP:
                self._answered()  # it says something of this one device
            elif not (is_query and status == _THROTTLED):  # queries have a throttle of their own
                self._did_not_answer()
            raise
        except StatusAppError:
            self._answered()
            raise
        self._answered()
        return found

    def _answered(self) -> None:
        if self._pause:
            _log.warning("IoT Hub answers again")
        self._answers, self._failed, self._pause, self._open_until = True, 0, 0.0, -math.inf

    def _did_not_answer(self) -> None:
        if self.is_open:  # an attempt from before
            return
        self._failed += 1
        if self._failed < PROBES:
            return
        if not self._pause:
            _log.warning("IoT Hub does not answer, and is asked less often")
        self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
        self._answers, self._failed, self._open_until = False, 0, self._clock() + self._pause
