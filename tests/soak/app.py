"""The app in a process of its own: its functions host, timers included, until its input ends."""

import asyncio
import json
import sys
from pathlib import Path

from local.host import FunctionsHost
from local.stack import ROOT


async def run(folder: Path) -> None:
    """Run the app.

    Args:
        folder: For the checkpoints of the host.
    """
    settings = json.loads(sys.stdin.readline())
    host = FunctionsHost(ROOT, settings, data_dir=folder, timers=True)
    await host.start()
    try:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        await host.stop()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
