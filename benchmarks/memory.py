"""Memory of a process of the app: once it is loaded, after its first device, and after a batch of a hundred.

The process holds the host of this machine beside the app and the worker library, but none of the other stand-ins.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.lateness import Story
from benchmarks.table import Row
from local.azurite import azurite_tables
from local.eventhubs import EventHubs
from local.host import FunctionsHost
from local.iothub import IotHub
from local.stack import PARTITIONS, ROOT, TRANSITIONS, TWIN_CHANGES
from status_app.services import services
from status_app.settings import SCHEDULES

AIM: Final = 150
"""Megabytes after a batch."""
BATCH: Final = 100
_LARGE: Final = ROOT / "tests/cases/084_200_22_modules_one_in_backoff.json"
_PART: Final = "memory"


async def memory() -> list[Row]:
    """Megabytes that such a process has in memory."""
    usual, large = Story().twin("edge", ()), json.loads(_LARGE.read_bytes())["twin"]
    with azurite_tables() as tables, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = EventHubs({TWIN_CHANGES: PARTITIONS, TRANSITIONS: PARTITIONS})
        hub = IotHub(folder, route=lambda event: events.append(TWIN_CHANGES, event))
        await events.start()
        await hub.start()
        settings = {
            "TwinChanges": events.connection_string(),
            "TWIN_CHANGES_HUB": TWIN_CHANGES,
            "CONSUMER_GROUP": "$Default",
            "Transitions": events.connection_string(),
            "TRANSITIONS_HUB": TRANSITIONS,
            "STATUS_TABLES": tables,
            "IOT_HUB": hub.connection_string,
            **SCHEDULES,
        }
        app = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.memory",
            name,
            cwd=ROOT,
            env={**os.environ, "REQUESTS_CA_BUNDLE": str(hub.ca_file)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

        async def answer(question: Mapping[str, object]) -> int:
            assert app.stdin is not None  # noqa: S101 (it is a pipe)
            assert app.stdout is not None  # noqa: S101 (as above)
            app.stdin.write(json.dumps(question).encode() + b"\n")
            return int(await app.stdout.readline())

        async def after(kind: str, twin: Mapping[str, Any], devices: int) -> int:
            for number in range(devices):
                hub.registry.put({**twin, "deviceId": f"{kind}-{number}"})
            return await answer(events.last_sequence(TWIN_CHANGES))

        found = {"loaded": await answer(settings), "after a device": await after("one", usual, 1)}
        found[f"after a batch of {BATCH}, 5 modules each"] = await after("usual", usual, BATCH)
        found[f"after another {BATCH}, 22 modules each"] = await after("large", large, BATCH)
        await app.communicate()
        await hub.stop()
        await events.stop()
    return [
        Row(
            _PART, f"a process of the app, {what}", f"{megabytes} MB", aim=f"<= {AIM} MB" if "5 modules" in what else ""
        )
        for what, megabytes in found.items()
    ]


async def _run(folder: Path) -> None:
    """Run the app, and answer with its memory: once it runs, and each time that events are handled up to some place."""
    loop = asyncio.get_running_loop()
    host = FunctionsHost(ROOT, json.loads(sys.stdin.readline()), data_dir=folder)
    await host.start()
    print(_resident(), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await host.processed(TWIN_CHANGES, json.loads(line))
        print(_resident(), flush=True)
    await host.stop()
    await services().close()


def _resident() -> int:
    """Megabytes of this process in memory, as Linux counts them."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (resident,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(resident) // 1024


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
