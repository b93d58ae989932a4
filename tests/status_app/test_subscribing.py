"""docs/subscribing.md: its subscriber runs, and its event is a real one."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from test_event_models import PAGE, blocks
from transition_hub import PATIENCE, TRANSITIONS, running_hub
from transition_rows import rows_of_one_device

from local.eventhubs import EventHubs
from status_app.events.cloud_event import cloud_event
from status_app.events.deployment_event import deployment_event
from status_app.events.publisher import TransitionPublisher
from status_core import Counts, Milestone, Rollout

ROOT = Path(__file__).parents[2]
TIME = "2024-05-02T09:02:10.765432Z"


def events_of(device_id: str, count: int) -> list[bytes]:
    return [cloud_event(device_id, row) for row in rows_of_one_device(device_id, count)]


def deployment_events(version: int) -> list[bytes]:
    """The events of a version of a deployment that came to its end."""
    at, counts = datetime.fromisoformat(TIME), Counts(3, 3, 0)
    rollout = Rollout(version, counts, 3, at, at, reached=((Milestone.STARTED, at), (Milestone.COMPLETED, at)))
    return [deployment_event("hub1", "camera-2", rollout, reached, {"successful": 3}) for reached in rollout.reached]


@asynccontextmanager
async def publishing(namespace: EventHubs) -> AsyncIterator[Callable[[str, Sequence[bytes]], Awaitable[None]]]:
    publisher = TransitionPublisher(namespace.connection_string(), TRANSITIONS)
    try:
        yield publisher.publish
    finally:
        await publisher.close()


class Subscriber:
    """The running subscriber."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def lines(self, count: int) -> list[str]:
        """What it prints next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return [(await self._process.stdout.readline()).decode().strip() for _ in range(count)]


@asynccontextmanager
async def subscribing(namespace: EventHubs, folder: Path) -> AsyncIterator[Subscriber]:
    """The block in a process of its own, which is interrupted at the end, as by Ctrl+C."""
    file = folder / "subscriber.py"
    code, _function = blocks("python")
    file.write_text(code)
    environment = {
        **os.environ,
        "TRANSITIONS": namespace.connection_string(),
        "TRANSITIONS_HUB": TRANSITIONS,
        "CONSUMER_GROUP": "alerts",
        "PROGRESS": str(folder / "progress.db"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(file),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Subscriber(process)
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()


async def test_the_subscriber_of_the_page_prints_each_transition_once_and_gaps_over_a_restart_too(
    tmp_path: Path,
) -> None:
    one, two = events_of("edge-01", 6), events_of("edge-02", 3)
    async with running_hub() as namespace, publishing(namespace) as publish:
        await publish("edge-01", one[:2])
        async with subscribing(namespace, tmp_path) as subscriber:
            assert await subscriber.lines(2) == [
                "2024-05-02T09:10:00.123456Z device edge-01 - absent -> successful as_desired",
                "2024-05-02T12:10:00.123456Z module edge-01 m1 settled -> wrong_status backoff",
            ]
            await publish("edge-01", [*one[:3], one[1]])
            assert await subscriber.lines(1) == [
                "2024-05-02T12:10:00.123456Z device edge-01 - successful -> module_failed backoff"
            ]
        await publish("edge-01", [*one[1:4], one[5]])
        async with subscribing(namespace, tmp_path) as subscriber:
            assert await subscriber.lines(3) == [
                "2024-05-02T15:20:00.123456Z module edge-01 m1 wrong_status -> settled as_desired",
                "missed /hubs/hub1/devices/edge-01 5 to 5",
                "2024-05-02T18:10:00.123456Z module edge-01 m1 settled -> wrong_status backoff",
            ]
            await publish("edge-02", two)
            assert [line.split()[2] for line in await subscriber.lines(3)] == ["edge-02"] * 3
            first, second = deployment_events(1), deployment_events(2)
            await publish("camera-2", [*first, *first, *second])
            assert await subscriber.lines(4) == [
                f"{TIME} edge.deployment.{milestone} camera-2 {version} 3 of 3 successful, 0 failing"
                for version, milestone in ((1, "started"), (1, "completed"), (2, "started"), (2, "completed"))
            ]


def test_the_event_that_the_page_shows_is_a_real_one() -> None:
    shown = json.loads(blocks("json")[0])
    real = json.loads(events_of("edge-01", 2)[1])
    real["data"]["evidence"] = real["data"]["evidence"][1:]
    assert {**shown, "data": {**shown["data"], "message": ""}} == {**real, "data": {**real["data"], "message": ""}}


def test_the_data_that_the_page_shows_are_those_of_a_deployment() -> None:
    shown = json.loads(blocks("json")[1])
    assert list(shown) == list(json.loads(deployment_events(1)[0])["data"])
    assert sum(shown["states"].values()) == shown["devices"]


def test_the_page_names_every_type_of_event_and_no_other() -> None:
    named = re.findall(r"^\| `(edge\.deployment\.[a-z_.]+)` \|", PAGE, re.MULTILINE)
    assert sorted(named) == sorted(path.stem for path in (ROOT / "schemas").glob("edge.*.json"))
