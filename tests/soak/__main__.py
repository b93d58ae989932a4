"""`python -m tests.soak --minutes 60`: the app under load and faults, with a line of figures each minute.

Everything is real but the cloud: Azurite, the stand-ins, the worker library, the clock. Needs Linux.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from local.azurite import azurite_tables
from local.clock import utc_now
from local.eventhubs import EventHubs
from local.fleet import mixed_fleet, release
from local.iothub import IotHub
from local.stack import PARTITIONS, TRANSITIONS, TWIN_CHANGES
from local.tables.proxy import TableProxy, table_proxy
from status_app.settings import SCHEDULES

from .figures import HEADER, Figures, lag, memory, sockets
from .trouble import Trouble

MINUTE: Final = 60
RELEASE_EVERY: Final = MINUTE
"""Seconds from one release to the next; each goes to half of the fleet."""
CATCH_UP: Final = 3 * MINUTE
"""Seconds at the end, in which nothing fails, and the app catches up."""
STOP_WITHIN: Final = 60


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The services of the app, on this machine."""

    folder: Path
    tables: TableProxy
    hub: IotHub
    events: EventHubs


async def soak(minutes: int, devices: int, seed: int) -> int:
    """Let the app run, and print its figures.

    Returns:
        How many twin changes it was not done with in the end.
    """
    with tempfile.NamedTemporaryFile(prefix="soak-", suffix=".log", delete=False) as file:
        log = Path(file.name)
    print(f"the log of the app: {log}", flush=True)
    async with surroundings() as around, app(around, log) as process:
        return await _run(around, process, minutes, devices, Random(seed))  # noqa: S311 (repeatable, no secret)


@asynccontextmanager
async def surroundings() -> AsyncIterator[Surroundings]:
    """Start the services."""
    with azurite_tables() as azurite, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = EventHubs({TWIN_CHANGES: PARTITIONS, TRANSITIONS: PARTITIONS})
        hub = IotHub(folder, route=lambda event: events.append(TWIN_CHANGES, event))
        async with table_proxy(azurite) as tables:
            await events.start()
            await hub.start()
            try:
                yield Surroundings(folder, tables, hub, events)
            finally:
                await hub.stop()
                await events.stop()


@asynccontextmanager
async def app(around: Surroundings, log: Path) -> AsyncIterator[subprocess.Popen[str]]:
    """Start the app, which logs into a file. The services go on while it stops."""
    settings = {
        "TwinChanges": around.events.connection_string(),
        "TWIN_CHANGES_HUB": TWIN_CHANGES,
        "CONSUMER_GROUP": "$Default",
        "Transitions": around.events.connection_string(),
        "TRANSITIONS_HUB": TRANSITIONS,
        "STATUS_TABLES": around.tables.connection_string,
        "IOT_HUB": around.hub.connection_string,
        **SCHEDULES,
        "RESYNC_SCHEDULE": "30 */5 * * * *",
    }
    command = [sys.executable, "-m", "tests.soak.app", str(around.folder)]
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(around.hub.ca_file)}
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(  # noqa: ASYNC220, S603 (a fixed command, which it does not wait for)
            command, stdin=subprocess.PIPE, stderr=file, text=True, env=environment
        ) as process,
    ):
        assert process.stdin is not None
        print(json.dumps(settings), file=process.stdin, flush=True)
        try:
            yield process
            process.stdin.close()
            await asyncio.to_thread(process.wait, STOP_WITHIN)
        finally:
            process.kill()


async def _run(around: Surroundings, process: subprocess.Popen[str], minutes: int, devices: int, random: Random) -> int:
    fleet, troubles = mixed_fleet(around.hub.registry, devices, utc_now())
    trouble = Trouble(around.tables, around.hub, around.events, process, random)
    newest = 0
    print(HEADER, flush=True)
    for second in range(minutes * MINUTE + CATCH_UP):
        if second < minutes * MINUTE:
            if second % RELEASE_EVERY == 0:
                newest += 1
                some = random.sample(sorted(troubles), (devices + 1) // 2)
                fleet.deploy(f"release-{newest}", release(newest), some, utc_now())
            fleet.step(utc_now())
            trouble.next()
        elif second == minutes * MINUTE:
            trouble.end()
        await asyncio.sleep(1)
        if process.poll() is not None:
            raise ChildProcessError(f"the app has ended with {process.returncode}: see its log")
        left = lag(around.folder / "checkpoints.json", around.events.last_sequence(TWIN_CHANGES))
        if (second + 1) % MINUTE == 0:
            came = sum(number + 1 for number in around.events.last_sequence(TWIN_CHANGES).values())
            now = Figures((second + 1) // MINUTE, memory(process.pid), sockets(process.pid), came, left, trouble.count)
            print(now, flush=True)
    return left


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    left = asyncio.run(soak(arguments.minutes, arguments.devices, arguments.seed))
    if left:
        print(f"{left} twin changes still wait after {CATCH_UP // MINUTE} minutes in which nothing failed")
    return int(left > 0)


if __name__ == "__main__":
    sys.exit(main())
