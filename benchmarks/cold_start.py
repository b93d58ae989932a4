"""What a cold start takes: loading the app in a fresh process, and the first batch."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.rollout import START
from benchmarks.table import Row
from local.azurite import azurite_tables
from local.stack import ROOT, running_stack

AIM: Final = 0.7
"""Seconds to load the app."""
_PART: Final = "start"
SETTINGS: Final = {
    "STATUS_TABLES": "https://account.table.core.windows.net",
    "IOT_HUB": "hub1.azure-devices.net",
    "TwinChanges__fullyQualifiedNamespace": "events.servicebus.windows.net",
    "TWIN_CHANGES_HUB": "twin-changes",
    "CONSUMER_GROUP": "$Default",
}
"""All that the app needs to load."""
_TIMED: Final = "import time; import {}; print(time.process_time())"
"""CPU, the start of the interpreter included: files that are in memory are waited for by nobody."""


def cold_start(*, short: bool) -> list[Row]:
    """Seconds to load the app beside its libraries alone, and from the start of the host to the first rows."""
    rounds = 1 if short else 7
    found = [
        (_import("function_app"), _import("azure.functions, aiohttp, azure.data.tables.aio")) for _ in range(rounds)
    ]
    app, libraries = (min(times) for times in zip(*found, strict=True))
    first = min(_first_batch() for _ in range(min(rounds, 3)))
    return [
        Row(_PART, "import of azure.functions, aiohttp and azure.data.tables.aio", f"{libraries:.2f} s CPU"),
        Row(_PART, "import of function_app", f"{app:.2f} s CPU", f"{app / libraries:.2f}", "these", f"<= {AIM} s"),
        Row(_PART, "from the host's start to the first handled batch", f"{first:.2f} s"),
    ]


def _import(what: str) -> float:
    """CPU seconds of a process that imports something; its files are in memory from an earlier one."""
    command = [sys.executable, "-c", _TIMED.format(what)]
    result = subprocess.run(command, cwd=ROOT, env=SETTINGS, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    return float(result.stdout)


def _first_batch() -> float:
    """Seconds in which a fresh process starts stand-ins and host, loads the app, connects, and handles an event."""
    command = [sys.executable, "-m", "benchmarks.cold_start"]
    with azurite_tables() as tables:
        result = subprocess.run(  # noqa: S603 (a fixed command)
            [*command, tables], cwd=ROOT, capture_output=True, text=True, check=True
        )
    return float(result.stdout)


async def _handle_one(tables: str) -> None:
    twin = json.loads((ROOT / "tests/cases/003_seed_successful.json").read_bytes())["twin"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        async with running_stack(Path(folder), tables, lambda: START) as stack:
            stack.iot_hub.registry.put(twin)
            await stack.drained()
            print(time.perf_counter() - started)


if __name__ == "__main__":
    asyncio.run(_handle_one(sys.argv[1]))
