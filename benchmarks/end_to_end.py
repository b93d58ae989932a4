"""The app through AMQP, the worker library, the IoT Hub stand-in and Azurite, beside what it replaces.

Two mixes of the same rollout. The app keeps up: each ten seconds of the fleet are a wave of notifications that is
handled before the next. And a backlog: all of them wait. Three sides handle them, each with stand-ins and an Azurite of
its own (in a short run, whose times say little, with accounts of one Azurite):

- the app;
- the naive function of `benchmarks/naive`, in the same host;
- the app's own SDK calls alone, as the app made them and without the app: what no logic could be faster than;
- `benchmarks/nothing`, which takes the events and does nothing with them: what the host alone does.

A first run of each counts requests behind a proxy, and its times are not kept. Then the sides take turns, and each
time is the median of the rounds. Where the app keeps up, it and the naive function are timed once more with calls that
take as long as in Azure (`latencies.py`). Two more runs of the app are counted: one in which flag_stuck runs each
minute too, and one without a limit of queries.
"""

import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.latencies import latencies
from benchmarks.rollout import START, Wave, backlog, waves
from benchmarks.sdk_calls import Call, Recording, recording, replaying
from benchmarks.table import Row
from local.azurite import azurite_accounts, azurite_tables
from local.stack import ROOT, Stack, running_stack
from local.tables import table_proxy

NAIVE: Final = ROOT / "benchmarks/naive"
NOTHING: Final = ROOT / "benchmarks/nothing"
WARM_UP: Final = ROOT / "tests/cases/048_200_module_backoff.json"
"""One device first: it makes every connection and table."""
TIMES_NAIVE: Final = {"kept up": 4, "backlog": 15}
TIMES_NAIVE_IN_AZURE: Final = 5.5
FLOOR: Final = 1.2
TWIN_REQUESTS: Final = {"kept up": 0.3, "backlog": 0.1}
UNLIMITED: Final = {"TWIN_QUERIES_PER_MINUTE": "0"}
MINUTE: Final = timedelta(minutes=1)
_PART: Final = "end to end"

type _Spent = tuple[float, float]
"""Seconds, and CPU seconds of this process: of a side and the stand-ins, without Azurite."""
type _Handle = Callable[[Stack, Wave], Awaitable[None]]
type _Tables = Callable[[], AbstractContextManager[str]]
"""Runs a table service for a side."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a side asked of the services for a rollout."""

    twin_reads: int
    table_requests: int
    entities: int


async def end_to_end(devices: int, rounds: int, *, short: bool) -> list[Row]:
    """Notifications a second of the sides, and what they ask of the services for each changed device."""
    devices, minutes, rounds = (4, 1, 1) if short else (devices, 5, rounds)
    story = list(waves(devices, minutes))
    if short:
        with azurite_accounts() as accounts:
            return await _mixes(story, rounds, lambda: nullcontext(next(accounts)))
    return await _mixes(story, rounds, azurite_tables)


async def _mixes(story: Sequence[Wave], rounds: int, tables: _Tables) -> list[Row]:
    kept_up = await _side_by_side("kept up", story, rounds, tables)
    kept_up += await _without_a_limit(story, tables)
    kept_up += await _with_latencies(story, rounds, tables)
    return kept_up + await _side_by_side("backlog", [backlog(story)], rounds, tables)


async def _with_latencies(story: Sequence[Wave], rounds: int, tables: _Tables) -> list[Row]:
    """The app and the naive function where each call takes as long as in Azure."""
    app: list[Sequence[_Spent]] = []
    naive: list[Sequence[_Spent]] = []
    with latencies():
        for _ in range(rounds):
            app.append(await _run(story, tables, ROOT))
            naive.append(await _run(story, tables, NAIVE))
    (mine, _), (theirs, _) = _median(app), _median(naive)
    events = sum(len(wave.events) for wave in story)
    return [
        Row(
            _PART,
            "kept up, calls as long as in Azure: app",
            f"{events / mine:,.0f}/s",
            f"{theirs / mine:.1f}",
            f"naive, {events / theirs:,.0f}/s",
            f">= {TIMES_NAIVE_IN_AZURE}",
        )
    ]


async def _side_by_side(mix: str, story: Sequence[Wave], rounds: int, tables: _Tables) -> list[Row]:
    events = sum(len(wave.events) for wave in story)
    changed = sum(len(wave.twins) for wave in story)
    counts, recorded = await _counted_app(story, tables)
    naive_counts = await _counted_naive(story, tables)

    spent: dict[str, list[list[_Spent]]] = {"app": [], "calls": [], "naive": [], "nothing": []}
    for _ in range(rounds):
        spent["app"].append(await _run(story, tables, ROOT))
        spent["calls"].append(await _run_calls(story, tables, recorded))
        spent["naive"].append(await _run(story, tables, NAIVE))
        spent["nothing"].append(await _run(story, tables, NOTHING))
    sides = (_median(rounds) for rounds in spent.values())
    (app, app_cpu), (calls, calls_cpu), (naive, naive_cpu), (nothing, nothing_cpu) = sides
    by_timer = await _counted_timer(story, tables)
    return [
        Row(_PART, f"{mix}: naive, {events} notifications of {changed} changed devices", f"{events / naive:,.0f}/s"),
        Row(
            _PART,
            f"{mix}: app, the same",
            f"{events / app:,.0f}/s",
            f"{naive / app:.1f}",
            "naive",
            f">= {TIMES_NAIVE[mix]}",
        ),
        Row(_PART, f"{mix}: time of the app", f"{app:.2f} s", f"{app / calls:.2f}", "its SDK calls alone"),
        Row(
            _PART,
            f"{mix}: time of the app and its host",
            f"{app:.2f} s",
            f"{app / (calls + nothing):.2f}",
            "these and a host that does nothing",
            f"<= {FLOOR}",
        ),
        Row(
            _PART,
            f"{mix}: CPU of the app",
            f"{app_cpu:.2f} s",
            f"{app_cpu / naive_cpu:.2f}, {app_cpu / calls_cpu:.2f} and {app_cpu / (calls_cpu + nothing_cpu):.2f}",
            "naive, its SDK calls alone, these and such a host",
        ),
        *(
            Row(
                _PART,
                f"{mix}: {name} for each changed device",
                f"{mine / changed:.2f}",
                f"{mine / theirs:.2f}",
                f"naive, {theirs / changed:.2f}",
                aim,
            )
            for name, mine, theirs, aim in (
                ("requests for twins", counts.twin_reads, naive_counts.twin_reads, f"<= {TWIN_REQUESTS[mix]}"),
                ("table requests", counts.table_requests, naive_counts.table_requests, ""),
                ("entities written", counts.entities, naive_counts.entities, ""),
            )
        ),
        Row(_PART, f"{mix}: requests for twins by flag_stuck beside these", f"{by_timer / changed:.2f}"),
    ]


async def _without_a_limit(story: Sequence[Wave], tables: _Tables) -> list[Row]:
    """What queries could spare if the hub took any number of them."""
    changed = sum(len(wave.twins) for wave in story)
    counts, _ = await _counted_app(story, tables, UNLIMITED)
    what = "kept up, no limit of queries: requests for twins for each changed device"
    return [Row(_PART, what, f"{counts.twin_reads / changed:.2f}", aim=f"<= {TWIN_REQUESTS['kept up']}")]


def _median(rounds: Sequence[Sequence[_Spent]]) -> _Spent:
    """Seconds and CPU seconds of all waves, in the median of the rounds."""
    seconds, cpu = (median(sum(spent[which] for spent in waves) for waves in rounds) for which in (0, 1))
    return seconds, cpu


async def _counted_timer(story: Sequence[Wave], tables: _Tables) -> int:
    """Requests for twins that flag_stuck makes where it runs each minute, and for five minutes behind the last wave."""
    asked = 0
    with tables() as side:
        async with _staged(side, ROOT) as (stack, at):
            due = START + MINUTE
            for wave in (*story, Wave(story[-1].now + 5 * MINUTE, {}, ())):
                while due <= wave.now:
                    at.append(due)
                    before = _asked(stack)
                    await stack.host.run_timer("flag_stuck")
                    asked, due = asked + _asked(stack) - before, due + MINUTE
                _put(stack, wave, at)
                await _notify(stack, wave)
    return asked


async def _counted_app(
    story: Sequence[Wave], tables: _Tables, settings: Mapping[str, str] | None = None
) -> tuple[Counts, list[Recording]]:
    """What the app asks for, and its calls, those of the warm-up first."""
    parts: list[Recording] = []
    with tables() as side, recording() as kept:
        async with table_proxy(side) as proxy, _staged(proxy.connection_string, ROOT, settings) as (stack, at):
            parts.append(kept.take())
            before = proxy.requests.total(), _asked(stack)
            for wave in story:
                _put(stack, wave, at)
                await _notify(stack, wave)
                parts.append(kept.take())
            calls = [call for part in parts[1:] for call in part.calls]
            entities = sum(call.entities for call in calls)
            return Counts(_asked(stack) - before[1], proxy.requests.total() - before[0], entities), parts


def _asked(stack: Stack) -> int:
    """Requests for twins: reads, and queries."""
    return stack.iot_hub.reads.total() + stack.iot_hub.queries


async def _counted_naive(story: Sequence[Wave], tables: _Tables) -> Counts:
    with tables() as side:
        async with table_proxy(side) as proxy, _staged(proxy.connection_string, NAIVE) as (stack, at):
            before = proxy.requests.total(), _asked(stack)
            await _play(story, stack, at, _notify)
            requests = proxy.requests.total() - before[0]
            return Counts(_asked(stack) - before[1], requests, requests)  # each writes one


async def _run(story: Sequence[Wave], tables: _Tables, app_dir: Path) -> list[_Spent]:
    """What each wave took."""
    with tables() as side:
        async with _staged(side, app_dir) as (stack, at):
            return await _play(story, stack, at, _notify)


async def _run_calls(story: Sequence[Wave], tables: _Tables, recorded: Sequence[Recording]) -> list[_Spent]:
    """What the SDK calls of each wave took."""
    warm_up, *parts = recorded
    calls: list[Call] = [call for part in recorded for call in part.calls]
    left = iter(parts)
    with tables() as side:
        async with AsyncExitStack() as running:
            stack, at = await running.enter_async_context(_staged(side, NAIVE))
            names = sorted({call.table for call in calls if call.service == "tables"})
            hubs, hub = stack.event_hubs.connection_string(), stack.iot_hub.connection_string
            replay = await running.enter_async_context(replaying(side, hubs, hub, names))
            await replay.run(warm_up)
            return await _play(story, stack, at, lambda _stack, _wave: replay.run(next(left)))


@asynccontextmanager
async def _staged(
    tables: str, app_dir: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Stack, list[datetime]]]:
    """A running app that has handled one device, and its clock: the last time of the list."""
    at = [START]
    with tempfile.TemporaryDirectory() as folder:
        async with running_stack(Path(folder), tables, lambda: at[-1], app_dir=app_dir, own_settings=settings) as stack:
            twin: dict[str, Any] = json.loads(WARM_UP.read_bytes())["twin"]
            stack.iot_hub.registry.put(twin)
            await stack.drained()
            yield stack, at


async def _play(story: Sequence[Wave], stack: Stack, at: list[datetime], handle: _Handle) -> list[_Spent]:
    """Let each wave happen. What it took until all of it was handled."""
    spent = []
    for wave in story:
        _put(stack, wave, at)
        started, cpu = time.perf_counter(), time.process_time()
        await handle(stack, wave)
        spent.append((time.perf_counter() - started, time.process_time() - cpu))
    return spent


def _put(stack: Stack, wave: Wave, at: list[datetime]) -> None:
    at.append(wave.now)
    for twin in wave.twins.values():
        stack.iot_hub.registry.put(twin, notify=False)


async def _notify(stack: Stack, wave: Wave) -> None:
    for event in wave.events:
        stack.send(event)
    await stack.drained()
