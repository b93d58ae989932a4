"""The tally of a deployment, kept in chunks, so that a device that changes costs the reading of its chunk alone.

The devices of a deployment are rows of each shard, in the order of their keys. A chunk is a range of these keys, and
what its devices add up to. The first begins where the rows of the deployment do, each ends where the next one begins:
no row is in two, and none in no chunk.
"""

import json
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from status_app.fleet_index.index_rows import SHARDS, IndexKey
from status_app.rollouts.tally import Tally
from status_app.status_table.rows import read_time

CHUNK: Final = 100
"""Devices of a chunk. One that changes costs the reading of so many rows, in one request."""
CHUNKS: Final = 64
"""Chunks of a shard: where it has more devices, a chunk has more."""
_BYTES: Final = 48_000
"""Of a shard's column. A column holds 64 KiB, and a row with sixteen of them 1 MiB."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of keys, and what its devices add up to.

    Attributes:
        begin: What its keys are not before: that with which the keys of its first device begin.
    """

    begin: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class Run:
    """Chunks beside each other that are to be read again: those from `first` to the one before `last`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StoredTally:
    """The tally of a deployment, or what is new of it.

    Attributes:
        began: When all of its rows were read last.
        shards: The chunks of each shard.
    """

    began: datetime
    shards: Mapping[str, Sequence[Chunk]]


@dataclass(frozen=True, slots=True)
class Count:
    """A deployment, counted.

    Attributes:
        total: What its devices add up to.
        read: What was read of it anew: the next count begins with it, once it is stored.
        changes: How many changes it took in.
        over: Those that the next count need not look at then.
    """

    total: Tally
    read: StoredTally
    changes: int
    over: AbstractSet[IndexKey]


def runs(chunks: Sequence[Chunk], changed: Iterable[str]) -> list[Run]:
    """The chunks in which devices have changed.

    Args:
        chunks: Those of a shard.
        changed: Of each such device, with what all its keys begin.
    """
    begins = [chunk.begin for chunk in chunks]
    found: list[Run] = []
    for number in sorted({bisect_right(begins, beginning) - 1 for beginning in changed}):
        if found and found[-1].last == number:
            found[-1] = Run(found[-1].first, number + 1)
        else:
            found.append(Run(number, number + 1))
    return found


def split(begin: str, devices: Sequence[tuple[str, Tally]], most: int) -> list[Chunk]:
    """The chunks of a range that was read.

    Args:
        begin: Where it begins.
        devices: Of each device with what its keys begin, and its own tally, in the order of the keys.
        most: How many chunks there may be.
    """
    size = max(CHUNK, -(-len(devices) // max(1, most)))
    found: list[Chunk] = []
    parts: list[Tally] = []
    last = ""
    for beginning, tally in devices:
        if len(parts) >= size and beginning != last:  # keys that are too long do not tell all devices apart
            found.append(Chunk(begin, Tally.total(parts)))
            begin, parts = beginning, []
        parts.append(tally)
        last = beginning
    return [*found, Chunk(begin, Tally.total(parts))]


def tally_columns(tally: StoredTally) -> dict[str, Any]:
    """The columns of a tally, one for each shard of it."""
    return {"Began": tally.began} | {_column(shard): _encode(chunks) for shard, chunks in tally.shards.items()}


def read_tally(row: Mapping[str, Any]) -> StoredTally:
    """The tally of its columns."""
    return StoredTally(
        read_time(row["Began"]),
        {shard: _decode(row[_column(shard)]) for shard in SHARDS if _column(shard) in row},
    )


def _column(shard: str) -> str:
    return "Shard" + shard.rpartition(":")[2].upper()


def _encode(chunks: Sequence[Chunk]) -> bytes:
    """Chunks as a column holds them: as one, where they are too many for it."""
    packed = zlib.compress(json.dumps([_chunk(chunk) for chunk in chunks]).encode())
    if len(packed) <= _BYTES or len(chunks) == 1:
        return packed
    return _encode([Chunk(chunks[0].begin, Tally.total(chunk.tally for chunk in chunks))])


def _decode(packed: bytes) -> list[Chunk]:
    """The chunks of a column."""
    return [_read(begin, groups, longest) for begin, groups, longest in json.loads(zlib.decompress(packed))]


def _chunk(chunk: Chunk) -> list[object]:
    longest = chunk.tally.longest
    groups = [[*group, *counts] for group, counts in chunk.tally.groups.items()]
    return [chunk.begin, groups, None if longest is None else [longest[0].isoformat(), longest[1]]]


def _read(begin: str, groups: Sequence[tuple[str, str, str, int, int]], longest: Sequence[str] | None) -> Chunk:
    counts = {(state, reason, portal): (devices, stuck) for state, reason, portal, devices, stuck in groups}
    since = None if longest is None else (datetime.fromisoformat(longest[0]), longest[1])
    return Chunk(begin, Tally(counts, since))
