"""Checkpoints are kept in a file."""

import asyncio
from pathlib import Path

from local.host.checkpoints import Checkpoints


async def test_a_checkpoint_outlives_the_object_that_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "checkpoints.json"
    await Checkpoints(path).advance("$Default", "twins", "0", 41)
    assert Checkpoints(path).get("$Default", "twins", "0") == 41
    assert Checkpoints(path).get("$Default", "twins", "1") is None
    assert Checkpoints(path).get("other", "twins", "0") is None


async def test_a_wait_for_an_event_ends_when_its_checkpoint_is_reached(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints.json")
    waiting = asyncio.create_task(checkpoints.reached("$Default", "twins", "0", 2))
    await checkpoints.advance("$Default", "twins", "0", 1)
    await checkpoints.advance("$Default", "twins", "1", 2)
    assert not waiting.done()
    await checkpoints.advance("$Default", "twins", "0", 3)
    async with asyncio.timeout(10):
        await waiting
