"""Keeps an unreachable hub from costing every device its attempts: one read tries, and all others know.

    unknown     one read goes ahead, the others wait for its outcome: at the start, and after a pause
    answering   reads go ahead, a few at once
    open        nothing is sent: PROBES reads in a row failed, each with its attempts

A single failed read does not open it: the hub may fail for one device alone.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from status_app.errors import StatusAppError, UnavailableError
from status_app.iothub.budget import Share
from status_app.iothub.hub_requests import READERS, HubRequestError
from status_app.iothub.twins import TwinPage
from status_app.telemetry.logs import log

PROBES: Final = 2
"""Failed reads in a row after which the hub is left alone."""
FIRST_PAUSE: Final = 15.0
"""Seconds for which it is left alone; doubled each time the reads after a pause fail too."""
LONGEST_PAUSE: Final = 60.0
"""Shorter than all waits between the attempts of a batch, so that the last attempt tries again."""

_THROTTLED: Final = 429
_REFUSES_THE_APP: Final = (401, 403)

_log = log(__name__)


class TwinSource(Protocol):
    """Where twins come from. A share limits how often the hub is asked."""

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        """Read the `$edgeAgent` twin that the hub holds now; None if there is none."""

    async def several(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Read the twins of some devices by one query; None if none was sent."""

    async def page(
        self, continuation: str | None, share: Share | None = None, since: datetime | None = None
    ) -> TwinPage:
        """Read one page of all `$edgeAgent` twins, or of those changed since a time."""

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, share: Share | None = None
    ) -> TwinPage:
        """Read a page of what shows whether the twins of some devices have changed."""

    async def tags(
        self, continuation: str | None, device_ids: Sequence[str] = (), share: Share | None = None
    ) -> TwinPage:
        """Read one page of devices with their tags: of some devices, or of all."""

    async def tags_of(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Read some devices with their tags by one query; None if none was sent."""


class TwinBreaker:
    """The twins of a hub, for all readers of a process.

    Args:
        twins: Reads from the hub, with all attempts.
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
        """Whether the hub is left alone now."""
        return self._clock() < self._open_until

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        """See TwinReader.read.

        Raises:
            UnavailableError: See TwinReader.read; also if the hub is left alone now.
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
        """See TwinReader.several. Also returns None if the hub is left alone now.

        Raises:
            UnavailableError: See TwinReader.several.
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
        """See TwinReader.page.

        Raises:
            ContinuationError, QueryRefusedError: See TwinReader.page.
            UnavailableError: See TwinReader.page; also if the hub is left alone now.
        """
        self._check()
        return await self._watch(lambda: self._twins.page(continuation, share, since), is_query=True)

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, share: Share | None = None
    ) -> TwinPage:
        """See TwinReader.outlines. Raises the errors of `page`."""
        self._check()
        return await self._watch(lambda: self._twins.outlines(device_ids, continuation, share), is_query=True)

    async def tags(
        self, continuation: str | None, device_ids: Sequence[str] = (), share: Share | None = None
    ) -> TwinPage:
        """See TwinReader.tags. Raises the errors of `page`."""
        self._check()
        return await self._watch(lambda: self._twins.tags(continuation, device_ids, share), is_query=True)

    async def tags_of(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """See TwinReader.tags_of. Raises the errors of `page`."""
        self._check()
        return await self._watch(lambda: self._twins.tags_of(device_ids, share), is_query=True)

    def _check(self) -> None:
        if self.is_open:
            raise UnavailableError("iothub", "not asked now, because it did not answer before", is_final=True)

    async def _watch[T](self, ask: Callable[[], Awaitable[T]], *, is_query: bool = False) -> T:
        try:
            found = await ask()
        except UnavailableError as error:
            status = error.status if isinstance(error, HubRequestError) else 0
            if error.is_final and status and status not in _REFUSES_THE_APP:
                self._answered()  # the error is about this one device
            elif not (is_query and status == _THROTTLED):  # queries have their own throttle
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
        if self.is_open:  # an attempt from before it opened
            return
        self._failed += 1
        if self._failed < PROBES:
            return
        if not self._pause:
            _log.warning("IoT Hub does not answer, and is asked less often")
        self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
        self._answers, self._failed, self._open_until = False, 0, self._clock() + self._pause
