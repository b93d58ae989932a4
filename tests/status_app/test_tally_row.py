"""The tally of a deployment as a row: it fits into one, however large the fleet and however long its names."""

from datetime import UTC, datetime
from random import Random

from status_app.fleet_index.index_rows import SHARDS
from status_app.fleet_index.members import Member
from status_app.rollouts.tally import Tally
from status_app.rollouts.tally_row import CHUNK, CHUNKS, Chunk, StoredTally, read_tally, split, tally_columns

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
STATES = ("successful", "in_progress", "module_failed", "pending")


def member(name: str, number: int) -> Member:
    since = NOW if number % 7 == 0 else None
    return Member(("shard:0", name), name, STATES[number % 4], f"reason {number % 5}", "applied", since, number)


def devices(count: int, length: int) -> list[tuple[str, Tally]]:
    random = Random(1)  # noqa: S311 (names, no secret)
    names = sorted("".join(random.choices("abcdefghijklmnop0123456789", k=length)) for _ in range(count))
    return [(name, Tally.one(member(name, number))) for number, name in enumerate(names)]


def test_a_tally_is_read_as_it_was_written() -> None:
    chunks = split("", devices(3 * CHUNK, 12), CHUNKS)
    tally = StoredTally(NOW, {SHARDS[0]: chunks, SHARDS[15]: [Chunk("x", Tally({}))]})
    columns = tally_columns(tally)
    assert sorted(columns) == ["Began", "Shard0", "ShardF"]
    assert read_tally(columns) == tally


def test_a_shard_has_so_many_chunks_and_no_more() -> None:
    few, many = (split("", devices(count, 12), CHUNKS) for count in (250, 100 * CHUNK))
    assert [chunk.tally.devices for chunk in few] == [100, 100, 50]
    assert len(many) == CHUNKS
    assert Tally.total(chunk.tally for chunk in many).devices == 100 * CHUNK
    assert [chunk.begin for chunk in many] == sorted({chunk.begin for chunk in many})


def test_chunks_that_are_too_many_for_a_column_become_one() -> None:
    every = devices(CHUNKS * CHUNK, 1600)
    chunks = split("", every, CHUNKS)
    tally = read_tally(tally_columns(StoredTally(NOW, {SHARDS[0]: chunks})))
    assert len(chunks) == CHUNKS
    assert tally.shards[SHARDS[0]] == [Chunk("", Tally.total(tally for _, tally in every))]


def test_all_columns_of_a_large_fleet_are_one_row() -> None:
    chunks = split("", devices(CHUNKS * CHUNK, 120), CHUNKS)
    columns = tally_columns(StoredTally(NOW, dict.fromkeys(SHARDS, chunks)))
    sizes = [len(value) for value in columns.values() if isinstance(value, bytes)]
    assert len(sizes) == len(SHARDS)
    assert max(sizes) < 64 * 2**10
    assert sum(sizes) < 2**20
