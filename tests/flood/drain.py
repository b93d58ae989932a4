"""The app over a backlog, from its start until nothing waits, and what was seen meanwhile."""

import gc
import json
import logging
import re
import resource
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.data.tables.aio import TableServiceClient

from local.stack import TRANSITIONS, TWIN_CHANGES, Stack, running_stack
from status_app.ingest.event_batch import IncomingEvent
from status_app.iothub.budget import QUERIES_OF_RESYNC, READS_OF_A_TIMER, Budget
from status_app.settings import Settings

from .backlog import Backlog, change, twin_of
from .clock import ClockedReader, ReadClock

WAITED = 3600
"""Seconds over which the notifications came before the app starts."""
SAMPLES = 40
FLOODS_ON = 100
"""Notifications that wait, for each that comes while the app drains."""
LINE = re.compile(r"batch of (\d+) events, (\d+) devices, up to (\w+)/(\d+), lag (\d+) s: ({.*?})")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as its log line counts it, and the figures of that moment.

    Attributes:
        number: Sequence number of its last event.
        published: Last sequence number of each partition of `transitions`.
        most_reads: The most twin reads of one device since the batch before of this partition.
        peak_kb: The most memory of the process up to now, with all stand-ins and what they keep.
    """

    events: int
    devices: int
    partition: str
    number: int
    lag: int
    outcomes: str
    published: Mapping[str, int]
    most_reads: int
    peak_kb: int


@dataclass(slots=True)
class Seen:
    """What was seen of a drain.

    Attributes:
        limit: Twins that may be read in a second for twin changes.
        query_limit: Queries that may be made in a minute for them.
        places: Of each device that has one notification: its partition and sequence number.
        floods_on: Notifications that came while the app drained.
        sent: Last sequence number of each partition of `twin-changes`.
        reads: When the hub was asked for a twin, in seconds of the clock.
        queries: When it was asked for those of several devices.
        took: Seconds of the clock from the start of the app to its end: how long the limits made it wait.
        held: How many events of each kind the process held, each time that was looked at.
        batches: All batches, in order.
        twins: The twins of the hub at the end.
        rows: The device rows at the end.
        first: Place in `transitions` of the first event of each device.
        failed: Runs of the app that failed.
    """

    limit: int = 0
    query_limit: int = 0
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    floods_on: int = 0
    sent: Mapping[str, int] = field(default_factory=dict)
    reads: list[float] = field(default_factory=list)
    queries: list[float] = field(default_factory=list)
    took: float = 0.0
    held: list[Counter[str]] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    twins: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    first: dict[str, tuple[str, int]] = field(default_factory=dict)
    failed: int = 0


async def drain(waiting: Backlog, tables: str, show: Callable[[str], None] = lambda _line: None) -> Seen:
    """Put a backlog into the event hub, start the app, and wait until it has handled all.

    While it drains, after each batch a flooding device changes once more, until that made a hundredth more
    notifications.

    Args:
        waiting: What waits.
        tables: Connection string of an empty table service.
        show: Gets each batch's log line.
    """
    seen, clock = Seen(), ReadClock()
    watch = _Watch(seen, clock, waiting, show)

    def twins(settings: Settings) -> ClockedReader:
        reader = ClockedReader(settings, clock)
        seen.limit = round(settings.twin_reads_per_second * (1 - 2 * READS_OF_A_TIMER))
        seen.query_limit = round(settings.twin_queries_per_minute * (1 - QUERIES_OF_RESYNC))
        seen.queries = reader.queries
        return reader

    def budget(settings: Settings) -> Budget:
        limits = settings.twin_reads_per_second, settings.twin_queries_per_minute
        return Budget(*limits, clock=clock, sleep=clock.sleep)

    with tempfile.TemporaryDirectory() as folder, _listening(watch):
        async with running_stack(
            Path(folder), tables, clock.utc, twins=twins, budget=budget, before=watch.fill
        ) as stack:
            began = clock.now
            while seen.sent != (newest := stack.event_hubs.last_sequence(TWIN_CHANGES)):
                seen.sent = newest
                await stack.drained()
            seen.took = clock.now - began
            seen.failed = sum(not outcome.ok for outcome in stack.host.invocations)
            for device in (*waiting.flooding, *waiting.single):
                seen.twins[device] = stack.iot_hub.registry.get(device) or {}
            for event in stack.event_hubs.events(TRANSITIONS):
                device = json.loads(event.body)["data"]["deviceId"]
                seen.first.setdefault(device, (event.partition_id, event.sequence_number))
    async with TableServiceClient.from_connection_string(tables) as service:
        table = service.get_table_client("DeploymentStatus")
        async for row in table.query_entities("RowKey eq 'device'"):
            seen.rows[row["PartitionKey"]] = row
    return seen


class _Watch(logging.Handler):
    """Fills the event hub, and watches each batch's log line and each twin read."""

    def __init__(self, seen: Seen, clock: ReadClock, waiting: Backlog, show: Callable[[str], None]) -> None:
        super().__init__()
        self._seen = seen
        self._clock = clock
        self._waiting = waiting
        self._show = show
        self._versions: Counter[str] = Counter()
        self._partitions: dict[str, str] = {}
        self._reads: dict[str, Counter[str]] = {}
        self._every = max(1, len(waiting.single) // SAMPLES)

    def fill(self, stack: Stack) -> None:
        """Everything happens before the app starts, spread over an hour."""
        self._stack = stack
        single = frozenset(self._waiting.single)
        for device in self._waiting.order:
            place = self._change(device)
            self._clock.now += WAITED / len(self._waiting.order)
            if device in single:
                self._seen.places[device] = place
        stack.iot_hub.on_read.add(self._on_read)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        match = LINE.match(text)
        if match is None:
            return
        self._show(text)
        events, devices, partition, number, lag, outcomes = match.groups()
        reads = self._reads.pop(partition, Counter())
        self._seen.batches.append(
            Batch(
                int(events),
                int(devices),
                partition,
                int(number),
                int(lag),
                outcomes,
                self._stack.event_hubs.last_sequence(TRANSITIONS),
                max(reads.values(), default=0),
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            )
        )
        if self._seen.floods_on < len(self._waiting.order) // FLOODS_ON:
            flooding = self._waiting.flooding
            self._change(flooding[self._seen.floods_on % len(flooding)])
            self._seen.floods_on += 1

    def _change(self, device: str) -> tuple[str, int]:
        """A device's twin changes; the place of its notification."""
        self._versions[device] += 1
        twin = twin_of(device, self._versions[device], at := self._clock.utc())
        self._stack.iot_hub.registry.put(twin, notify=False)
        place = self._stack.event_hubs.append(TWIN_CHANGES, self._stack.iot_hub.event(change(twin, at)))
        self._partitions[device] = place[0]
        return place

    def _on_read(self, device: str) -> None:
        self._seen.reads.append(self._clock.now)
        self._reads.setdefault(self._partitions[device], Counter())[device] += 1
        if len(self._seen.reads) % self._every == 0:
            kinds = (type(item) for item in gc.get_objects())
            self._seen.held.append(Counter(kind.__name__ for kind in kinds if kind in (IncomingEvent, _GIVEN)))


_GIVEN = func.EventHubEvent
"""An event as the functions host gives it."""


@contextmanager
def _listening(watch: _Watch) -> Iterator[None]:
    """Give a handler the app's lines, as the functions host gets them."""
    log = logging.getLogger("status_app.reconcile.twin_changes")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(watch)
    try:
        yield
    finally:
        log.removeHandler(watch)
        log.setLevel(level)
