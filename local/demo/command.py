"""The demo from start to end: everything it needs is started, and stopped whatever happens."""

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
"""Seconds between two updates of the page: the story is over soon."""
_GO_ON: Final = """
Everything is stopped again. To go on:
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
        events: Gets what a subscriber of the event hub received, one event a line.
        stay: Whether the page stays up at the end, until an interrupt.

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
                    screen.say(f"\nThe page stays up, its clock stopped, until Ctrl-C: {page}")
                    await _interrupt()
    except AzuriteError:
        await asyncio.sleep(0)  # where an interrupt has stopped Azurite too, the interrupt is what counts
        raise
    screen.say(_GO_ON)
    return received


async def _doctor(stack: Stack, clock: Clock, key: str, screen: Screen) -> None:
    """Print what doctor says of the app, each timer of which has run once."""
    for timer in ("flag_stuck", "resync"):
        await stack.host.run_timer(timer)
    screen.say("\npython -m status_app doctor:")
    url = stack.api.removesuffix("/api")
    await doctor(stack.settings, screen.say, url=url, key=key, clock=lambda: clock.now)
    screen.say()


async def _interrupt() -> None:
    """Wait for Ctrl-C, which cancels the task that asyncio runs: here that is the end, and no failure."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()


def _log_to_file() -> Path:
    """Keeps what the app and the libraries log out of the story."""
    with tempfile.NamedTemporaryFile(prefix="edge-demo-", suffix=".log", delete=False) as file:
        path = Path(file.name)
    logging.basicConfig(filename=path, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("status_app").setLevel(logging.INFO)
    return path
