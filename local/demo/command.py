"""Run the demo from start to end: start all it needs, and stop it whatever happens."""

import asyncio
import json
import logging
import secrets
import tempfile
from pathlib import Path
from typing import Any, Final

from local.azurite import AzuriteError, azurite_tables
from local.demo.rollout import Clock, Rollout
from local.demo.screen import Screen
from local.demo.status_rows import Answers
from local.published import published
from local.stack import TRANSITIONS, Stack, running_stack
from status_app.commands.doctor.command import doctor

_EVERY: Final = 1
"""Seconds between two updates of the page: short, because the demo is."""
_GO_ON: Final = """
Everything is stopped. What to try next:
  .venv/bin/python -m local demo --devices 200 --seed 7    another fleet
  .venv/bin/python -m local replay FILE.jsonl              your own scenario, the rows as JSON
  az storage entity query --account-name ACCOUNT --table-name DeploymentStatus --auth-mode login \\
    --filter "Stuck eq true"                               the stuck list of your fleet
"""


def demo(devices: int, seed: int, events: Path | None = None, *, stay: bool = False) -> None:
    """Run the demo.

    Args:
        devices: Size of the fleet.
        seed: The same seed gives the same story.
        events: Where to write the events that a subscriber of the event hub received, one per line.
        stay: Whether to keep the page up at the end, until Ctrl-C.

    Raises:
        AzuriteError: Azurite is not installed, or does not start.
    """
    received = asyncio.run(_run(devices, seed, stay=stay))
    if events is not None:
        events.write_text("".join(f"{json.dumps(event)}\n" for event in received))


async def _run(devices: int, seed: int, *, stay: bool) -> list[Any]:
    screen, clock, key = Screen(), Clock(), secrets.token_urlsafe(16)
    screen.say(f"Starting Azurite, the stand-ins and the app. Their log: {_log_to_file()}")
    try:
        with azurite_tables() as tables, tempfile.TemporaryDirectory() as folder:
            async with (
                running_stack(Path(folder), tables, clock, function_key=key, notifies=True) as stack,
                Answers(tables) as answers,
            ):
                page = f"{stack.api}/fleet?every={_EVERY}#key={key}"
                screen.say(f"The page: {page}")
                await _doctor(stack, clock, key, screen)
                await Rollout(stack, clock, answers, screen, devices=devices, seed=seed).play()
                received = await published(stack.event_hubs, TRANSITIONS)
                screen.events(received)
                if stack.board is not None:
                    screen.notices([notice.body["text"] for notice in stack.board.posted])
                if stay:
                    screen.say(f"\nThe clock is stopped. The page stays up until Ctrl-C: {page}")
                    await _interrupt()
    except AzuriteError:
        await asyncio.sleep(0)  # if Ctrl-C has also stopped Azurite, report the interrupt
        raise
    screen.say(_GO_ON)
    return received


async def _doctor(stack: Stack, clock: Clock, key: str, screen: Screen) -> None:
    """Print what doctor reports, after each timer of the app has run once."""
    for timer in ("flag_stuck", "resync"):
        await stack.host.run_timer(timer)
    screen.say("\npython -m status_app doctor:")
    url = stack.api.removesuffix("/api")
    await doctor(stack.settings, screen.say, url=url, key=key, clock=lambda: clock.now)
    screen.say()


async def _interrupt() -> None:
    """Wait for Ctrl-C. It cancels the task that asyncio runs, which is a normal end here."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()


def _log_to_file() -> Path:
    """Send the log of the app and the libraries to a file; return its path."""
    with tempfile.NamedTemporaryFile(prefix="edge-demo-", suffix=".log", delete=False) as file:
        path = Path(file.name)
    logging.basicConfig(filename=path, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("status_app").setLevel(logging.INFO)
    return path
