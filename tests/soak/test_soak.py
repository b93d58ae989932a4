"""The parts of a soak, for a moment; `make soak` goes on for an hour."""

import asyncio
import json
from pathlib import Path

from local.clock import utc_now
from local.fleet import mixed_fleet, release
from local.stack import TWIN_CHANGES

from .__main__ import Surroundings, app, surroundings
from .figures import lag, memory, sockets


async def test_the_app_in_a_process_of_its_own_handles_what_comes(tmp_path: Path) -> None:
    async with surroundings() as around, app(around, tmp_path / "log") as process:
        fleet, troubles = mixed_fleet(around.hub.registry, 3, utc_now())
        fleet.deploy("release-1", release(1), troubles, utc_now())
        assert behind(around) > 0
        while behind(around):
            assert process.poll() is None
            await asyncio.sleep(0.05)
        assert memory(process.pid) > 0
        assert sockets(process.pid) > 0


def test_the_lag_is_what_is_behind_the_checkpoints_of_all_partitions(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.json"
    newest = {"0": 4, "1": -1, "2": 1}
    assert lag(file, newest) == 7
    file.write_text(json.dumps({"$Default/twin-changes/0": 2, "$Default/twin-changes/2": 1}), "utf-8")
    assert lag(file, newest) == 2


def behind(around: Surroundings) -> int:
    return lag(around.folder / "checkpoints.json", around.events.last_sequence(TWIN_CHANGES))
