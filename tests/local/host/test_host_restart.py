"""A host that stops, and the next one, which goes on at its checkpoints."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sample_hosts import SAMPLE_APP, StartHost, append, drained, running_app, until

from local.eventhubs import EventHubs


@pytest.fixture
async def hubs() -> AsyncIterator[EventHubs]:
    server = EventHubs({"twins": 2})
    await server.start()
    yield server
    await server.stop()


async def test_a_host_that_stops_checkpoints_what_runs_and_leaves_what_waits_for_a_retry_to_the_next(
    hubs: EventHubs, start_host: StartHost, tmp_path: Path
) -> None:
    waiting = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async def no_wait(_seconds: float) -> None:
        await asyncio.sleep(0)

    settings = {"HUB": "twins", "Events": hubs.connection_string()}
    failing = append(hubs, b"good", b"fine", b"well", b"bad", key="d0")
    key = next(key for key in (f"d{n}" for n in range(1, 100)) if append(hubs, b"?", key=key) != failing)
    held = append(hubs, b"hold", key=key)
    first = await start_host(SAMPLE_APP, settings, sleep=sleep)
    await until(lambda: waiting.is_set() and any(b"hold" in batch.bodies for batch in running_app().batches))
    stopping = asyncio.create_task(first.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    running_app().held.set()
    async with asyncio.timeout(20):
        await stopping
    done = {f"$Default/twins/{failing}": 2, f"$Default/twins/{held}": hubs.last_sequence("twins")[held]}
    assert json.loads((tmp_path / "data/checkpoints.json").read_text("utf-8")) == done

    second = await start_host(SAMPLE_APP, settings, sleep=no_wait)
    await drained(second)
    assert {batch.partition for batch in running_app().batches} == {failing}
    assert [batch.retry[0] for batch in running_app().batches if b"bad" in batch.bodies] == [0, 1, 2]
    assert not any(b"good" in batch.bodies for batch in running_app().batches)
