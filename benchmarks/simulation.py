"""The app's own code in several processes, over services in memory that take the time of Azure.

Real are the handler of twin changes with all its phases, flag_stuck, resync, the budgets and their token buckets, the
breaker and the lanes. In memory are the tables (`local.tables.memory`), the twins of the hub (`local.iothub.Registry`),
and the event hubs. Each process has a partition, clients and a budget of its own, as the functions host would have it;
the first one runs the timers too. Time is virtual: a call takes what `Latencies` says, and work takes none.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest.mock import patch
from zlib import crc32

from local.iothub import Change, Registry, routed_event
from local.iothub.queries import Query
from local.iothub.unasked import UnaskedTwins
from local.stack import ROOT
from local.tables import memory
from local.tables.memory import Table, Tables, TableService
from status_app.events.lane import Lane
from status_app.ingest.event_batch import IncomingEvent
from status_app.iothub.budget import Budget, Share
from status_app.iothub.queries import PAGE_SIZE
from status_app.iothub.twins import TwinPage, outline
from status_app.reconcile.flag_stuck import FlagStuck
from status_app.reconcile.resync import Resync
from status_app.services import Services
from status_app.settings import Settings
from status_app.status_table import reader
from status_app.storage import transaction
from status_app.storage.keys import DEVICE, escape, unescape

START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
HUB: Final = "hub1"
BATCH: Final = json.loads((ROOT / "host.json").read_bytes())["extensions"]["eventHubs"]["maxEventBatchSize"]
MINUTE: Final = 60.0
HOUR: Final = 3600.0
UNLIMITED: Final = {"TWIN_READS_PER_SECOND": "0", "TWIN_QUERIES_PER_MINUTE": "0"}
_SETTINGS: Final = {
    "STATUS_TABLES": "UseDevelopmentStorage=true",
    "IOT_HUB": f"{HUB}.azure-devices.net",
    "Transitions": "Endpoint=sb://transitions",
    "TRANSITIONS_HUB": "transitions",
}


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds that a call takes, whatever it does: assumptions on Azure within a region."""

    tables: float = 0.008
    read: float = 0.020
    query: float = 0.150
    events: float = 0.008


@dataclass(frozen=True, slots=True)
class Known:
    """What the table holds of a device, and since when by the clock.

    Attributes:
        version: Of the whole twin.
        at: When it was committed first.
        settled: When no deadline of the device was left; None: one is.
    """

    version: int
    at: float
    settled: float | None


@dataclass(slots=True)
class Simulation:
    """The services, and what they saw.

    Attributes:
        queues: The events of twin changes that wait, by partition: of each one process.
        latencies: What a call takes.
        twins: The hub.
        reads: When the hub was asked for a twin.
        queries: When it was asked for those of several devices.
        known: What the table holds of each device.
        changed: When the twin of each device was changed last.
        is_routed: Whether changes of twins come to the event hub.
        calls: Requests to tables.
        entities: Entities that were written or deleted.
    """

    queues: Sequence[asyncio.Queue[IncomingEvent]]
    latencies: Latencies = field(default_factory=Latencies)
    tables: Tables = field(default_factory=Tables)
    reads: list[float] = field(default_factory=list)
    queries: list[float] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    is_routed: bool = True
    calls: int = 0
    entities: int = 0
    twins: Registry = field(init=False)
    _sent: int = 0

    def __post_init__(self) -> None:
        self.twins = Registry(self.utc, self.route)
        self.tables.now = self.utc

    @staticmethod
    def now() -> float:
        """Seconds of the clock."""
        return asyncio.get_running_loop().time()

    @staticmethod
    def utc() -> datetime:
        """The clock as a time of the day."""
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def route(self, change: Change) -> None:
        """Bring a change of a twin to its partition."""
        self.changed[change.device_id] = self.now()
        if not self.is_routed:
            return
        event = routed_event(change, HUB)
        partition = crc32(change.device_id.encode()) % len(self.queues)
        self._sent += 1
        self.queues[partition].put_nowait(
            IncomingEvent(event.body, event.properties, {}, str(partition), self._sent, self.utc())
        )

    async def table_call(self, name: str, do: Callable[[], Any]) -> Any:
        """A request to the table service."""
        self.calls += 1
        self.entities += name.endswith("_entity")
        await asyncio.sleep(self.latencies.tables)
        return do()

    async def submit(self, table: Table, operations: Sequence[transaction.Operation]) -> list[str]:
        """A transaction; a device's own row says what is known of it."""
        etags = await memory.submit(table, operations)
        self.entities += len(operations)
        for operation in operations:
            row = operation[1]
            if row["RowKey"] == DEVICE and "TwinVersion" in row and "State" in row:
                device, version = unescape(row["PartitionKey"]), row["TwinVersion"].value
                known, now = self.known.get(device), self.now()
                if known is None or known.version < version:
                    known = Known(version, now, None)
                self.known[device] = replace(known, settled=None if "LookAt" in row else known.settled or now)
        return etags

    async def send(self, events: Sequence[bytes]) -> int:
        """A batch of events, over one connection."""
        await asyncio.sleep(self.latencies.events)
        return len(events)

    def row(self, device_id: str) -> memory.Entity | None:
        """What the table holds of a device itself."""
        stored = self.tables.tables[reader.TABLE].get(escape(device_id), {}).get(DEVICE)
        return None if stored is None else stored.columns

    def services(self, settings: Mapping[str, str]) -> Services:
        """The app as one process has it."""
        read = Settings.read({**_SETTINGS, **settings})
        budget = _OfPartitions(len(self.queues), read)
        with patch("status_app.services.table_service", lambda *_: TableService(self.tables, self.table_call)):
            return Services(read, clock=self.utc, ticks=self.now, twins=_Hub(self), budget=budget)

    @asynccontextmanager
    async def running(self, settings: Mapping[str, str], *, timers: bool = True) -> AsyncIterator[None]:
        """Let a process for each partition work, and the timers in one of them."""
        apps = [self.services(settings) for _ in self.queues]
        async with asyncio.TaskGroup() as tasks:
            works = [self._follow(app, queue) for app, queue in zip(apps, self.queues, strict=True)]
            if timers:
                works.append(self._run_timer(await apps[0].flag_stuck(), MINUTE))
                works.append(self._run_timer(await apps[0].resync(), HOUR))
            running = [tasks.create_task(work) for work in works]
            yield
            for task in running:
                task.cancel()

    async def handled(self) -> None:
        """Wait until every event that was sent is handled."""
        for queue in self.queues:
            await queue.join()

    async def _follow(self, app: Services, queue: asyncio.Queue[IncomingEvent]) -> None:
        """Handle batch after batch, as the functions host lets a process; a batch that fails ends it all."""
        handler = await app.twin_changes()
        while True:
            batch = [await queue.get()]
            while len(batch) < BATCH and not queue.empty():
                batch.append(queue.get_nowait())
            await handler.handle(batch, attempt=0)
            for _ in batch:
                queue.task_done()

    async def _run_timer(self, timer: FlagStuck | Resync, every: float) -> None:
        while True:
            await timer.run()
            await asyncio.sleep(every - self.now() % every)


@contextmanager
def simulation(partitions: int) -> Iterator[Simulation]:
    """A simulation, with its services in the place of the real ones. What comes of it runs in a `VirtualLoop`."""
    found = Simulation([asyncio.Queue() for _ in range(partitions)])
    with (
        patch.object(transaction, "submit", found.submit),
        patch.object(Lane, "_send_batch", lambda _lane, _key, events: found.send(events)),
    ):
        yield found


_OUTLINE: Final = Query("outlines", None, {})


class _OfPartitions(Budget):
    """A budget that knows how many partitions there are, which the app asks the event hub for."""

    def __init__(self, partitions: int, settings: Settings) -> None:
        super().__init__(
            settings.twin_reads_per_second, settings.twin_queries_per_minute, clock=Simulation.now, sleep=asyncio.sleep
        )
        self._count = partitions

    def partition(self, partition_id: str, partitions: int) -> Share:  # noqa: ARG002 (it knows better)
        return super().partition(partition_id, self._count)


class _Hub(UnaskedTwins):
    """The hub as one process asks it. Its index is not behind."""

    def __init__(self, world: Simulation) -> None:
        self._world = world

    async def read(self, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        assert share is not None  # noqa: S101 (the services bring it)
        await share.reads.take()
        self._world.reads.append(self._world.now())
        await asyncio.sleep(self._world.latencies.read)
        return self._world.twins.get(device_id)

    async def several(
        self, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        assert share is not None  # noqa: S101 (as above)
        if not share.queries.try_take():
            return None
        return await self._answer(device_ids)

    async def page(
        self, continuation: str | None, share: Share | None = None, since: datetime | None = None
    ) -> TwinPage:
        assert share is not None  # noqa: S101 (as above)
        await share.queries.take()
        after, earliest = continuation or "", 0.0 if since is None else (since - START).total_seconds()
        names = sorted(name for name, at in self._world.changed.items() if name > after and at >= earliest)
        return TwinPage(await self._answer(names[:PAGE_SIZE]), names[PAGE_SIZE - 1] if names[PAGE_SIZE:] else None)

    async def outlines(
        self, device_ids: Sequence[str], _continuation: str | None = None, share: Share | None = None
    ) -> TwinPage:
        assert share is not None  # noqa: S101 (as above)
        await share.queries.take()
        found = await self._answer(device_ids)
        return TwinPage([outline(_OUTLINE.item(twin, lambda _: {})) for twin in found], None)

    async def _answer(self, device_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        self._world.queries.append(self._world.now())
        await asyncio.sleep(self._world.latencies.query)
        return [twin for device_id in device_ids if (twin := self._world.twins.get(device_id)) is not None]
