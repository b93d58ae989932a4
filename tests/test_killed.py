"""The app is killed at every point between two of its writes, and a new process makes the same of what is left.

A call that only reads leaves nothing: a kill beside it comes to what a kill beside the write before it comes to. The
model kills there too.
"""

import asyncio
import copy
import itertools
import json
import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import killed_app
import pytest
from aiohttp import web
from azure.data.tables.aio import TableServiceClient
from killed_app import DEVICE, Step

from local.clock import utc_now
from local.eventhubs import EventHubs
from local.eventhubs.errors import AmqpError, Condition
from local.tables import TableProxy
from status_app.events.cloud_event import cloud_event

AT_ONCE = 8
MODULES = 50
"""With a transition of each, and the device, more rows than a transaction holds."""
PATIENCE = 60
"""Seconds after which a process that does not end has failed."""
TRANSITIONS = "transitions"
START = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)
TWIN = json.loads(next((Path(__file__).parent / "cases").glob("048_*.json")).read_bytes())["twin"]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["azure.data.tables.aio", "azure.eventhub.aio", "azure.functions", "status_app.services"]
)


class Kill(Enum):
    """The app is killed before a call of it is done, or after, so that the answer goes nowhere."""

    BEFORE = "before"
    AFTER = "after"


class Phase(Enum):
    """What a call is a part of."""

    ANNOUNCE = "announce"
    COMMIT = "commit"
    PUBLISH = "publish"
    PROJECT = "project"
    OTHER = "another"

    @classmethod
    def of(cls, path: str, body: bytes) -> "Phase":
        """The phase of a request that writes into a table."""
        text = unquote(path) + unquote(body.decode())
        if "summary|" in text:
            return cls.PROJECT
        if "pending|" in text:
            return cls.ANNOUNCE
        return cls.COMMIT if '"RowKey": "transition:' in text else cls.OTHER


@dataclass
class Doom:
    """The call that a process does not survive.

    Attributes:
        at: Its number, from 1 on.
        calls: Calls of the process up to now: requests that write into a table, and sends to the event hub.
        phase: What the last of them was a part of.
    """

    kill: Kill
    at: float
    process: BaseProcess | None = None
    calls: int = 0
    phase: Phase = Phase.OTHER

    @property
    def is_over(self) -> bool:
        return self.calls >= self.at

    def count(self, phase: Phase) -> bool:
        """Count a call; whether it is the one."""
        if self.process is None or self.is_over:
            return False
        self.calls += 1
        self.phase = phase
        return self.is_over

    def end(self) -> None:
        assert self.process is not None
        self.process.kill()

    def storing(self) -> datetime:
        """The clock of the event hub, which is asked for each send that is about to be stored."""
        if self.count(Phase.PUBLISH):
            self.end()
            if self.kill is Kill.BEFORE:
                raise AmqpError(Condition.SERVER_BUSY, "The app is dead.")
        return utc_now()


class DoomedTables(TableProxy):
    """A table service in whose calls the app is killed."""

    def __init__(self, tables: str, doom: Doom) -> None:
        super().__init__(tables)
        self._doom = doom

    async def _hand_on(self, request: web.BaseRequest, body: bytes) -> web.Response:
        if request.method == "GET" or not self._doom.count(Phase.of(request.raw_path, body)):
            return await super()._hand_on(request, body)
        if self._doom.kill is Kill.BEFORE:
            self._doom.end()
            raise ConnectionResetError
        answer = await super()._hand_on(request, body)
        self._doom.end()
        return answer


@dataclass
class Remains:
    """What the app has left: rows of the status table and of the index, dead letters, and events in their order."""

    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    index: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    dead_letters: list[Any] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)


def twin(version: int, at: datetime, **statuses: str) -> dict[str, Any]:
    """A twin whose modules are asked to run, and report these statuses."""
    found: dict[str, Any] = copy.deepcopy(TWIN) | {"deviceId": DEVICE, "version": version, "configurations": {}}
    desired, reported = found["properties"]["desired"], found["properties"]["reported"]
    m1_desired, m1_reported = desired["modules"]["m1"], reported["modules"]["m1"]
    desired["modules"] = dict.fromkeys(statuses, m1_desired)
    reported["modules"] = {name: m1_reported | {"runtimeStatus": status} for name, status in statuses.items()}
    reported["$metadata"]["$lastUpdated"] = at.isoformat()
    return found


def life() -> list[Step]:
    """A device comes, changes, gets stuck, goes, and comes back."""
    times = [START + timedelta(minutes=minutes) for minutes in (0, 1, 30, 31, 32)]
    first = twin(7, times[0], m1="backoff", m2="running", m3="running")
    second = twin(8, times[1], m1="running", m2="backoff", m4="running")
    third = twin(1, times[4], m1="backoff", m4="running")
    return [
        Step("notification", times[0], first),
        Step("notification", times[1], second),
        Step("flag_stuck", times[2], second),
        Step("notification", times[3], None),
        Step("notification", times[4], third),
    ]


def large_life() -> list[Step]:
    """A device of more modules than a transaction holds, with more transitions than the history keeps."""
    first = twin(7, START, **{f"m{number}": "running" for number in range(MODULES)})
    second = twin(8, START + timedelta(minutes=1), **{f"m{number}": "backoff" for number in range(MODULES)})
    return [Step("notification", START, first), Step("notification", START + timedelta(minutes=1), second)]


async def live(tables: str, steps: Sequence[Step], doom: Doom, *, history_limit: int) -> Remains:
    """Run the app until its doom; then let a new process begin with what was not done, and come to rest."""
    async with AsyncExitStack() as running:
        event_hubs = EventHubs({TRANSITIONS: 1}, now=doom.storing)
        await event_hubs.start()
        running.push_async_callback(event_hubs.stop)
        doomed = DoomedTables(tables, doom)
        await doomed.start()
        running.push_async_callback(doomed.stop)
        settings = {
            "IOT_HUB": "hub1.azure-devices.net",
            "Transitions": event_hubs.connection_string(),
            "TRANSITIONS_HUB": TRANSITIONS,
            "HISTORY_LIMIT": str(history_limit),
        }
        done = await process(settings | {"STATUS_TABLES": doomed.connection_string}, steps, doom)
        last = steps[-1]
        end = last.at + timedelta(minutes=20)
        # The first run of the timer finishes what is left, and the next one sees what became due by that.
        timers = [Step("flag_stuck", end + timedelta(minutes=minute), last.twin) for minute in (0, 1)]
        rest = [*steps[done:], *timers, Step("resync", timers[-1].at, last.twin)]
        assert await process(settings | {"STATUS_TABLES": tables}, rest) == len(rest)
        return await remains(tables, event_hubs)


async def process(settings: Mapping[str, str], steps: Sequence[Step], doom: Doom | None = None) -> int:
    """Run the app in a process. How many steps it has done."""
    done = PROCESSES.Value("i", 0)
    running = PROCESSES.Process(target=killed_app.run, args=(settings, steps, done))
    running.start()
    if doom is not None:
        doom.process = running
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(running.sentinel, ended.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    finally:
        loop.remove_reader(running.sentinel)
        running.kill()
        running.join()
    killed = False
    if doom is not None:
        killed, doom.process = doom.is_over, None
    assert running.exitcode == (-signal.SIGKILL if killed else 0)
    return int(done.value)


async def remains(tables: str, event_hubs: EventHubs) -> Remains:
    found = Remains(events=[event.body for event in event_hubs.events(TRANSITIONS)])
    async with TableServiceClient.from_connection_string(tables) as service:
        async for row in service.get_table_client("DeploymentStatus").list_entities():
            found.rows[row["RowKey"]] = row
        async for row in service.get_table_client("DeploymentIndex").list_entities():
            found.index[row["PartitionKey"], row["RowKey"]] = {**row, "StatusETag": None}
        async for row in service.get_table_client("DeadLetter").list_entities():
            found.dead_letters.append(row)
    return found


def check(found: Remains, expected: Remains, history_limit: int) -> None:
    """Assert that what is left after a kill is what is left without one."""
    assert compared(found, expected, history_limit) == compared(expected, expected, history_limit)
    assert found.dead_letters == []
    # The announcement of a writer that was killed stays for as long as it might have lived.
    left = {key: row for key, row in found.index.items() if not key[1].startswith("pending|")}
    assert left == expected.index
    assert not [key for key in left if key[1].startswith("publish|")]
    history = [row for key, row in sorted(found.rows.items(), reverse=True) if key.startswith("transition:")]
    sequences = [row["Sequence"].value for row in history]
    all_of_them = list(range(1, sequences[-1] + 1))
    assert sequences[-history_limit:] == all_of_them[-history_limit:]
    firsts = list(dict.fromkeys(found.events))
    assert [json.loads(event)["id"] for event in firsts] == [f"hub1/{DEVICE}/{number}" for number in all_of_them]
    assert [firsts[number - 1] for number in sequences] == [cloud_event(DEVICE, row) for row in history]


def compared(found: Remains, expected: Remains, history_limit: int) -> dict[str, dict[str, Any]]:
    """The rows without when they were looked at and published, and without transitions that the next change trims."""
    history = sorted(key for key in found.rows if key.startswith("transition:"))
    trimmed = set(history[history_limit:]) - expected.rows.keys()
    return {
        key: {**row, "ObservedAt": None, "Published": None} for key, row in found.rows.items() if key not in trimmed
    }


def outlasting(events: Sequence[bytes], history_limit: int) -> list[int]:
    """The sequences of the transitions that stay beyond the limit, of all that were published.

    They are the first of the present version, and the newest `stuck` and `recovered` of each place.
    """
    history = [json.loads(event)["data"] for event in dict.fromkeys(events)]
    old = list(enumerate(history[:-history_limit], 1))
    of_the_version = [number for number, data in old if data["desiredVersion"] == history[-1]["desiredVersion"]]
    newest = {(data["kind"], data["module"]): number for number, data in old if data["kind"] in {"stuck", "recovered"}}
    return sorted({*of_the_version[:1], *newest.values()})


@pytest.mark.parametrize("kill", Kill)
@pytest.mark.parametrize(("steps", "history_limit"), [(life(), 200), (large_life(), 20)], ids=["life", "large"])
async def test_wherever_the_app_is_killed_a_new_process_comes_to_the_same(
    accounts: Iterator[str], steps: Sequence[Step], history_limit: int, kill: Kill
) -> None:
    expected = await live(next(accounts), steps, Doom(kill, float("inf")), history_limit=history_limit)
    check(expected, expected, history_limit)
    history = sorted(key for key in expected.rows if key.startswith("transition:"))
    kept = [expected.rows[key]["Sequence"].value for key in reversed(history[history_limit:])]
    assert kept == outlasting(expected.events, history_limit)
    numbers, killed, failures = itertools.count(1), list[Phase](), list[Exception]()

    async def kill_one_after_the_other() -> None:
        for number in numbers:
            doom = Doom(kill, number)
            found = await live(next(accounts), steps, doom, history_limit=history_limit)
            try:
                check(found, expected, history_limit)
            except AssertionError as error:
                error.add_note(f"killed {kill.value} call {number}, to {doom.phase.value}")
                failures.append(error)
            if not doom.is_over:
                return
            killed.append(doom.phase)

    await asyncio.gather(*(kill_one_after_the_other() for _ in range(AT_ONCE)))
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(killed)} kills left something else", failures)
    changes = sum(step.run == "notification" for step in steps)
    for phase in (Phase.ANNOUNCE, Phase.COMMIT, Phase.PUBLISH, Phase.PROJECT):
        assert killed.count(phase) >= changes
