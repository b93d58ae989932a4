"""Pages of a list: rows of the index in order, each checked against its device, with a bounded number of reads."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import batched, islice
from typing import Any, Final

from status_app.errors import StatusAppError
from status_app.fleet_index.entries import DeviceGroup, IndexEntry
from status_app.fleet_index.lookups import FleetIndex
from status_app.fleet_index.rows import ROOM, lookup_rows
from status_app.queries.answers import Answer, readable
from status_app.rollouts.device_count import overflow_groups
from status_app.status_table.reader import DeviceReader
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.keys import joined
from status_core import NO_LIST

MOST_READS: Final = 400
"""How many devices are read for a page at most: twice the longest page."""
KEPT: Final = timedelta(minutes=1)
"""How long the list of devices that exceed the index is reused: such a device may appear this much later."""
_FURTHER: Final = 16
"""How many devices are read at least to fill up a page, since each round costs a request per shard of the index."""
_AT_ONCE: Final = 32
"""How many devices are read at once."""
_KEY: Final = re.compile(r"[^'/\\#?%\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,500}")

type Place = tuple[str, ...]
"""Where a page ends: a key, and for some lists more. It comes back from the client, so it is not trusted."""
type Items = Sequence[tuple[Place, Answer]]
"""Answers with the places after which a list continues."""


class PlaceError(StatusAppError):
    """A place is not in this list, so the list cannot start after it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `after` is the place of the next part, None at the end; `extra` is about the whole list."""

    items: Sequence[Answer] = ()
    after: Place | None = None
    extra: Answer = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that may belong in a list. `place`, a key of the index, sorts the list."""

    place: str
    device_id: str
    columns: Mapping[str, Any]


class IndexedDevices:
    """Devices, with the index that finds them."""

    def __init__(self, index: FleetIndex, reader: DeviceReader, clock: Callable[[], datetime]) -> None:
        self.index = index
        self.reader = reader
        self._clock = clock
        self._overflowing: Sequence[str] = ()
        self._asked = datetime.min.replace(tzinfo=UTC)

    async def overflowing(self) -> Sequence[StoredDevice]:
        """Read the devices with more rows or counters than the index has room for: few, if any.

        One request each, and once a minute one per shard of the index.
        """
        now = self._clock()
        if not timedelta(0) <= now - self._asked < KEPT:
            self._overflowing, self._asked = await self.index.overflowing(), now
        return await asyncio.gather(*map(self.reader.read, self._overflowing))

    async def overflow_counters(self) -> list[DeviceGroup]:
        """Return the groups that devices count in without a counter in the index, regardless of their standing."""
        return [
            group for device in await self.overflowing() for group in overflow_groups(device, NO_LIST, device.observed)
        ]


class Candidates:
    """The rows of the index that lead to the devices of a list, and rows that had no room in the index."""

    def __init__(self, devices: IndexedDevices, prefix: str, *, end: str = "", where: str = "") -> None:
        """Prepare the search.

        Args:
            devices: The devices.
            prefix: Prefix of the keys.
            end: The key to stop at; empty for none.
            where: A filter on the columns.
        """
        self._devices = devices
        self._prefix = prefix
        self._end = end
        self._where = where
        self._overflow: Sequence[Candidate] | None = None

    async def __call__(self, after: str | None, count: int) -> Sequence[Candidate]:
        """Return the first `count` candidates after a place."""
        entries = await self._devices.index.page(
            self._prefix, after, count, before=self._end or None, where=self._where
        )
        found = [Candidate(entry.key, entry.device_id, entry.columns) for entry in entries]
        if self._overflow is None:
            self._overflow = await self._read_overflow()
        found += (candidate for candidate in self._overflow if after is None or candidate.place > after)
        return sorted(found, key=lambda candidate: candidate.place)[:count]

    async def _read_overflow(self) -> Sequence[Candidate]:
        if not self._prefix.startswith(("deployment|", "stuck|", "module|")) or self._prefix == joined("stuck", "", ""):
            return ()  # a device has one row of the other kinds, which always has room
        return [
            Candidate(place, device.device_id, columns)
            for device in await self._devices.overflowing()
            for place, columns in islice(lookup_rows(device).items(), ROOM, None)
            if place.startswith(self._prefix)
        ]


def begin(after: Place | None, prefix: str, parts: int = 1) -> str | None:
    """Return the key to start a list after.

    Raises:
        PlaceError: The place is not in this list, or has characters that a query cannot have.
    """
    if after is None:
        return None
    if not 1 <= len(after) <= parts or not after[0].startswith(prefix) or not all(map(_KEY.fullmatch, after)):
        raise PlaceError
    return after[0]


async def fill(
    candidates: Candidates,
    read: Callable[[Candidate], Awaitable[Items]],
    after: str | None,
    limit: int,
) -> Page:
    """Fill a page by reading the devices of candidates.

    Args:
        candidates: Returns the first candidates after a place.
        read: Reads a candidate's device, and returns its items in the list; empty if the row was out of date.
        after: The place to start after.
        limit: How many items a page has. It has fewer at the end of the list, or if too many rows were out of date: the
            next page then continues after them. Otherwise there is a next page only if one of its items was seen.
    """
    found: list[tuple[Place, Answer]] = []
    reads, wanted = 0, limit + 1
    while True:
        some = await candidates(after, wanted + 1)
        for part in batched(some[:wanted], _AT_ONCE, strict=False):
            for items in await read_at_once(part, read):
                found += items
        has_more = len(some) > wanted
        if len(found) > limit:
            return Page([item for _, item in found[:limit]], found[limit - 1][0])
        if not has_more:
            return Page([item for _, item in found])
        after, reads = some[wanted - 1].place, reads + wanted
        if reads >= MOST_READS:
            return Page([item for _, item in found], (after,))
        wanted = min(max(limit + 1 - len(found), _FURTHER), MOST_READS - reads)


async def read_at_once[Item: (Candidate, IndexEntry), Found](
    items: Sequence[Item], read: Callable[[Item], Awaitable[Found]]
) -> list[Found]:
    """Read the devices of some rows at once. One that cannot be read is logged and left out."""
    outcomes = await asyncio.gather(*map(read, items), return_exceptions=True)

    def found(pair: tuple[Item, Found | BaseException]) -> Found:
        if isinstance(pair[1], BaseException):
            raise pair[1]
        return pair[1]

    return readable(zip(items, outcomes, strict=True), found, lambda pair: f"device {pair[0].device_id!r}")
