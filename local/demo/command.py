"""The demo from start to end: everything it needs is started, and stopped whatever happens."""

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import Final

from local.azurite import AzuriteError, azurite_tables
from local.demo.answers import Answers
from local.demo.rollout import Clock, Rollout
from local.demo.screen import Screen
from local.stack import running_stack

_GO_ON: Final = """
Everything is stopped again. To go on:
  .venv/bin/python -m local demo --devices 200 --seed 7    another fleet
  .venv/bin/python -m local replay FILE.jsonl              your own scenario, the rows as JSON
  az storage entity query --account-name ACCOUNT --table-name DeploymentStatus --auth-mode login \\
    --filter "Stuck eq true"                               the stuck list of your fleet
"""


def demo(devices: int, seed: int) -> None:
    """Run the demo.

    Raises:
        AzuriteError: Azurite is not installed, or does not start.
    """
    asyncio.run(_run(devices, seed))


async def _run(devices: int, seed: int) -> None:
    screen, clock = Screen(), Clock()
    screen.say(f"Starting Azurite, the stand-ins and the app. Their log: {_log_to_file()}")
    try:
        with azurite_tables() as tables, tempfile.TemporaryDirectory() as folder:
            async with running_stack(Path(folder), tables, clock) as stack, Answers(tables) as answers:
                await Rollout(stack, clock, answers, screen, devices=devices, seed=seed).play()
    except AzuriteError:
        await asyncio.sleep(0)  # where an interrupt has stopped Azurite too, the interrupt is what counts
        raise
    screen.say(_GO_ON)


def _log_to_file() -> Path:
    """Keeps what the app and the libraries log out of the story."""
    with tempfile.NamedTemporaryFile(prefix="edge-demo-", suffix=".log", delete=False) as file:
        path = Path(file.name)
    logging.basicConfig(filename=path, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("status_app").setLevel(logging.INFO)
    return path
