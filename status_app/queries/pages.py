"""Pages of a list: rows of the index in their order, each checked against its device, in a bounded number of looks."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import batched, islice
from typing import Any, Final

from status_app.errors import StatusAppError
from status_app.fleet_index.lookups import Counted, FleetIndex
from status_app.fleet_index.rows import ROOM, questions_of
from status_app.queries.answers import Answer, readable
from status_app.rollouts.device_count import beyond
from status_app.status_table.reader import DeviceReader
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.keys import joined
from status_core import NO_LIST

LOOKS: Final = 400
"""Devices that are read for a page at most: twice the longest page."""
KEPT: Final = timedelta(minutes=1)
"""How long it is known which devices have more than the index has room for: it may be late by as much."""
_FURTHER: Final = 16
"""Devices that are read at least where a page is filled up: a round costs a request for each shard of the index."""
_AT_ONCE: Final = 32
"""Devices that are read side by side."""
_KEY: Final = re.compile(r"[^'/\\#?%\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,500}")

type Place = tuple[str, ...]
"""Where a page ends: a key, and for some lists more. It comes back from outside, and is not trusted."""
type Items = Sequence[tuple[Place, Answer]]
"""Answers with the places behind which a list goes on."""


class PlaceError(StatusAppError):
    """A list cannot begin behind a place: it is none of this list."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `after` is the place of the next one, None at the end; `beside` is said of the whole list."""

    items: Sequence[Answer] = ()
    after: Place | None = None
    beside: Answer = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that may belong in a list; `place`, a key of the index, sorts the list."""

    place: str
    device_id: str
    columns: Mapping[str, Any]


class IndexedDevices:
    """Devices, and the index by which they are found."""

    def __init__(self, index: FleetIndex, reader: DeviceReader, clock: Callable[[], datetime]) -> None:
        self.index = index
        self.reader = reader
        self._clock = clock
        self._more: Sequence[str] = ()
        self._asked = datetime.min.replace(tzinfo=UTC)

    async def more(self) -> Sequence[StoredDevice]:
        """Devices with more rows or counters than the index has room for: few, if any.

        A request for each, and once a minute one for each shard of the index.
        """
        now = self._clock()
        if not timedelta(0) <= now - self._asked < KEPT:
            self._more, self._asked = await self.index.more(), now
        return await asyncio.gather(*map(self.reader.read, self._more))

    async def beyond_counters(self) -> list[Counted]:
        """What devices count for beside the counters that they move; not by how far they are in a deployment."""
        return [counted for device in await self.more() for counted in beyond(device, NO_LIST, device.observed)]


class Candidates:
    """Rows of the index that lead to the devices of a list, and rows for which the index had no room."""

    def __init__(self, devices: IndexedDevices, prefix: str, *, end: str = "", where: str = "") -> None:
        """Prepare to find them.

        Args:
            devices: Where they are found.
            prefix: With what the keys begin.
            end: The key at which they end, if not at the last.
            where: What columns have to be, as a filter.
        """
        self._devices = devices
        self._prefix = prefix
        self._end = end
        self._where = where
        self._beyond: Sequence[Candidate] | None = None

    async def __call__(self, after: str | None, count: int) -> Sequence[Candidate]:
        """The first so many behind a place."""
        entries = await self._devices.index.page(
            self._prefix, after, count, before=self._end or None, where=self._where
        )
        found = [Candidate(entry.key, entry.device_id, entry.columns) for entry in entries]
        if self._beyond is None:
            self._beyond = await self._read_beyond()
        found += (candidate for candidate in self._beyond if after is None or candidate.place > after)
        return sorted(found, key=lambda candidate: candidate.place)[:count]

    async def _read_beyond(self) -> Sequence[Candidate]:
        if not self._prefix.startswith(("deployment|", "stuck|", "module|")) or self._prefix == joined("stuck", "", ""):
            return ()  # of the other kinds a device has one row, which comes first
        return [
            Candidate(place, device.device_id, columns)
            for device in await self._devices.more()
            for place, columns in islice(questions_of(device).items(), ROOM, None)
            if place.startswith(self._prefix)
        ]


def begin(after: Place | None, prefix: str, parts: int = 1) -> str | None:
    """The key behind which a list begins.

    Raises:
        PlaceError: The place is not of this list, or nothing that can stand in a query.
    """
    if after is None:
        return None
    if not 1 <= len(after) <= parts or not after[0].startswith(prefix) or not all(map(_KEY.fullmatch, after)):
        raise PlaceError
    return after[0]


async def fill(
    candidates: Candidates,
    look: Callable[[Candidate], Awaitable[Items]],
    after: str | None,
    limit: int,
) -> Page:
    """A page of what devices are found to be.

    Args:
        candidates: Gives the first so many candidates behind a place.
        look: Reads the device of one, and gives what of it belongs in the list: nothing where the row was out of date.
        after: The place behind which to begin.
        limit: How many items a page has. It has fewer where the list ends, and where too many rows were out of date:
            the next page goes on behind those. Any other next page is promised only once an item of it was seen.
    """
    found: list[tuple[Place, Answer]] = []
    looks, wanted = 0, limit + 1
    while True:
        some = await candidates(after, wanted + 1)
        for part in batched(some[:wanted], _AT_ONCE, strict=False):
            looked = zip(part, await asyncio.gather(*map(look, part), return_exceptions=True), strict=True)
            for items in readable(looked, _unless_failed, lambda item: f"device {item[0].device_id!r}"):
                found += items
        has_more = len(some) > wanted
        if len(found) > limit:
            return Page([item for _, item in found[:limit]], found[limit - 1][0])
        if not has_more:
            return Page([item for _, item in found])
        after, looks = some[wanted - 1].place, looks + wanted
        if looks >= LOOKS:
            return Page([item for _, item in found], (after,))
        wanted = min(max(limit + 1 - len(found), _FURTHER), LOOKS - looks)


def _unless_failed(looked: tuple[Candidate, Items | BaseException]) -> Items:
    """What a look came to, or its error raised."""
    if isinstance(looked[1], BaseException):
        raise looked[1]
    return looked[1]
