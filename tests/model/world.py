"""The world of a history: a hub, the services, a clock, and the processes of the app."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, Final
from unittest.mock import patch

from local.tables.memory import Tables, submit
from status_app.errors import LostRaceError, UnavailableError
from status_app.fleet_index import former, index_transaction, lookups, rows
from status_app.ingest.event_batch import IncomingEvent
from status_app.reconcile import bulk_reads, comparison, resync, resync_times, tasks, twin_phase
from status_app.reconcile.twin_changes import MAX_RETRIES, BatchError
from status_app.settings import Settings
from status_app.status_table import parts, reader
from status_app.status_table.stored_device import StoredDevice
from status_app.storage import transaction
from status_app.storage.keys import DEVICE, escape

from . import older_release
from .faults import Killed
from .fleet import Act, Change, Device, Judge
from .hub_list import Created, Deployments, Gives, Removed
from .log_lines import LogLines
from .process import SETTINGS, Process
from .steps import Both, History, Jump, Lose, Page, Restart, Run, Step, Wait

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
NAMES: Final = ("edge-01", "edge|02", "edge/03")
SHARDS: Final = rows.SHARDS[:2]


@dataclass
class World:
    """What a history happens in.

    Attributes:
        waiting: Notifications that are not delivered.
        published: What the event hub of the transitions holds, each with its partition key.
        lag: How many twins a query is behind, by device.
        pages: What the next pages of a query are like.
        hub_list: The deployments of the hub.
        written_by_older: Devices that a process of the release before has handled.
    """

    history: History
    now: datetime = START
    tables: Tables = field(default_factory=Tables)
    published: list[tuple[str, bytes]] = field(default_factory=list)
    waiting: list[IncomingEvent] = field(default_factory=list)
    lag: dict[str, int] = field(default_factory=dict)
    log: LogLines = field(default_factory=LogLines)
    pages: Iterator[Page] = field(default_factory=lambda: iter(()))
    hub_list: Deployments = field(default_factory=Deployments)
    written_by_older: set[str] = field(default_factory=set)
    sequence: int = 0

    def __post_init__(self) -> None:
        self.judge = Judge()
        self.devices = {name: Device(name, self.judge) for name in NAMES[: self.history.devices]}
        self.random = Random(self.history.seed)  # noqa: S311 (an order, no secret)
        self._older = iter(self.history.older)
        self.page_size = self.history.page_size
        self.settings = _settings(self.history.history_limit)
        self.tables.limit = self.history.transaction_limit
        self.tables.now = lambda: self.now
        self.changes: list[tuple[str, datetime, bool]] = []
        self.processes = [self.process(), self.process()]

    def process(self) -> Process:
        """Another process of the app."""
        return Process(self, self.settings)

    async def take(self, step: Step) -> None:
        """Let a step happen."""
        match step:
            case Change():
                self.change(step)
            case Created() | Removed() | Gives():
                self.hub_list.take(step, self.now)
                self.now += timedelta(milliseconds=1)
            case Wait(seconds):
                self.now += timedelta(seconds=seconds)
            case Lose(pick):
                if self.waiting:
                    del self.waiting[pick % len(self.waiting)]
            case Restart(number):
                self._replace(number)
            case Jump(number, seconds):
                self.processes[number].ahead = timedelta(seconds=seconds)
            case Run():
                await self._alone(self._run(step))
            case Both(first, second):
                await self._alone(self._run(first), self._run(second))

    def change(self, change: Change) -> None:
        """Change a twin; its notification waits to be delivered."""
        name = NAMES[change.device % len(self.devices)]
        device = self.devices[name]
        is_seen = self.has_seen(device)
        if not device.change(change, self.now):
            return
        self.changes.append((name, self.now, is_seen))
        if change.act is not Act.CREDIT:
            self.waiting.append(self._notification(device, change.act))
        self.now += timedelta(milliseconds=1)  # no two changes of a hub have one time

    def has_seen(self, device: Device) -> bool:
        """Whether what is stored of a device comes from the twin that the hub holds now."""
        rows = self.rows(device.device_id)
        twin, row = device.twin, rows.get("device")
        if twin is None or row is None:
            return twin is None and row is None
        version = row.get("TwinVersion")
        changed = max(twin["properties"][part]["$metadata"]["$lastUpdated"] for part in ("desired", "reported"))
        is_later = row["ObservedAt"] >= datetime.fromisoformat(changed)
        return is_later and version is not None and bool(version.value == twin["version"])

    def rows(self, device_id: str) -> dict[str, dict[str, Any]]:
        """What is stored of a device now, by RowKey."""
        partition = escape(device_id)
        rows = self.tables.tables.get(reader.TABLE, {}).get(partition, {})
        return {key: dict(row.columns) for key, row in rows.items()}

    def stored(self, device_id: str) -> StoredDevice:
        """A device as it is stored now."""
        partition = self.tables.tables.get(reader.TABLE, {}).get(escape(device_id), {})
        state = {key: dict(row.columns) for key, row in partition.items() if not key.startswith("transition:")}
        last = max((row.columns["Sequence"].value for key, row in partition.items() if key not in state), default=0)
        return StoredDevice(device_id, state, partition[DEVICE].etag if DEVICE in partition else None, last)

    async def rival(self, device: int) -> None:
        """Let another process look at a device, from beginning to end."""
        found = self.devices[NAMES[device % len(self.devices)]]
        with _refused_at_most():
            await self._invoke(self.process(), [self._notification(found, Act.DELETE)])

    async def meanwhile(self, device: int) -> None:
        """Let another process look at a device, and run the timer of each minute."""
        process = self.process()
        found = self.devices[NAMES[device % len(self.devices)]]
        with _refused_at_most():
            await self._invoke(process, [self._notification(found, Act.DELETE)])
        with _refused_at_most():
            await (await process.services.flag_stuck()).run()

    def _replace(self, number: int) -> None:
        """Put another process in the place of one, on the same machine."""
        ahead = self.processes[number].ahead
        self.processes[number] = self.process()
        self.processes[number].ahead = ahead

    async def settle(self, *runs: Run) -> None:
        """Let the app come to rest, with nothing that goes wrong: a run after one that wrote nothing does nothing."""
        for run in runs:
            before = self.tables.changes
            await self._alone(self._run(run))
            if self.tables.changes == before:
                return

    def _notification(self, device: Device, act: Act) -> IncomingEvent:
        self.sequence += 1
        lifecycle = {Act.DELETE: "deleteDeviceIdentity", Act.CREATE: "createDeviceIdentity"}.get(act)
        return IncomingEvent(
            body=json.dumps(self._body(device.twin or {})).encode(),
            properties={
                "iothub-message-schema": "deviceLifecycleNotification" if lifecycle else "twinChangeNotification",
                "opType": lifecycle or "updateTwin",
                "hubName": "hub1",
                "deviceId": device.device_id,
                "moduleId": "" if lifecycle else "$edgeAgent",
                "operationTimestamp": self.now.isoformat(),
            },
            system_properties={},
            partition_id="0",
            sequence_number=self.sequence,
            enqueued_time=self.now,
        )

    def _body(self, twin: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a notification: the whole twin, a patch of one section, or nothing."""
        properties = twin.get("properties", {})
        part = self.random.choice(["desired", "reported", None, "", "", ""])
        if part is None:
            return {}
        sections = {part: properties.get(part)} if part else properties
        return {"version": twin.get("version"), "properties": sections}

    async def _alone(self, *runs: Awaitable[None]) -> None:
        """Run to the end, and let whatever a killed process has begun come to its end too."""
        await asyncio.gather(*runs)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others, return_exceptions=True)

    async def _run(self, run: Run) -> None:
        process = self.processes[run.process]
        process.expect(run.faults)
        self.lag, self.pages = dict(zip(self.devices, run.lag, strict=False)), iter(run.pages)
        try:
            with _refused_at_most():
                if run.what == "delivery":
                    await self._deliver(process, run)
                elif run.what == "flag_stuck":
                    await (await process.services.flag_stuck()).run()
                else:
                    await (await process.services.resync()).run()
        except Killed:
            self._replace(run.process)
        finally:
            process.expect(())

    async def _deliver(self, process: Process, run: Run) -> None:
        events = [self.waiting[pick % len(self.waiting)] for pick in run.picks if self.waiting]
        if not events:
            return
        if next(self._older, False):
            await self._let_older_handle(process, events)
        else:
            await self._invoke(process, events, (0, 1, MAX_RETRIES) if run.gives_up else (0, 1))
        if not run.keeps:
            self.waiting = [event for event in self.waiting if event not in events]

    async def _let_older_handle(self, process: Process, events: Sequence[IncomingEvent]) -> None:
        for device_id in dict.fromkeys(event.properties["deviceId"] for event in events):
            self.written_by_older.add(device_id)
            with suppress(LostRaceError):
                await older_release.handle(process, self, device_id)

    async def _invoke(self, process: Process, events: Sequence[IncomingEvent], attempts: Sequence[int] = (0,)) -> None:
        for attempt in attempts:
            try:
                await (await process.services.twin_changes()).handle(events, attempt=attempt)
            except BatchError:
                if attempt == attempts[-1]:
                    raise
            else:
                return


@contextmanager
def world(history: History) -> Iterator[World]:
    """The world of a history, with its limits in force."""
    log = logging.getLogger("status_app")
    level, propagate = log.level, log.propagate
    with ExitStack() as stack:
        for module in (parts, transaction):
            stack.enter_context(patch.object(module, "TRANSACTION_LIMIT", history.transaction_limit))
        # A device alone fits in any case.
        stack.enter_context(patch.object(index_transaction, "TRANSACTION_LIMIT", 2 * history.transaction_limit))
        for module in (rows, lookups, comparison):  # each shard is queried separately: two show as much as sixteen
            stack.enter_context(patch.object(module, "SHARDS", SHARDS))
        stack.enter_context(patch.object(former, "_PARTITIONS", {shard: former._PARTITIONS[shard] for shard in SHARDS}))  # noqa: SLF001
        stack.enter_context(patch.object(resync, "TWINS_PER_RUN", history.twins_per_run))
        stack.enter_context(patch.object(resync, "PAGES_KEPT", history.pages_kept))
        stack.enter_context(patch.object(bulk_reads, "ENOUGH", history.enough))
        stack.enter_context(patch.object(resync_times, "WHOLE_EVERY", timedelta(hours=history.whole_every)))
        stack.enter_context(patch.object(resync_times, "COMPARE_EVERY", timedelta(hours=history.compare_every)))
        stack.enter_context(patch.object(transaction, "submit", submit))
        found = World(history)
        for user in (twin_phase, tasks, comparison):
            stack.enter_context(patch.object(user, "evaluate", found.judge))
        log.addHandler(found.log)
        log.setLevel(logging.INFO)
        log.propagate = False
        try:
            yield found
        finally:
            log.removeHandler(found.log)
            log.setLevel(level)
            log.propagate = propagate


@cache
def _settings(history_limit: int) -> Settings:
    return Settings.read(SETTINGS | {"HISTORY_LIMIT": str(history_limit)})


@contextmanager
def _refused_at_most() -> Iterator[None]:
    """Let a run fail where a service did not answer, or its time was over, and for nothing else."""
    try:
        yield
    except (UnavailableError, BatchError, ExceptionGroup) as error:
        if not _is_refusal(error):
            raise


def _is_refusal(error: BaseException) -> bool:
    """Whether a service that did not answer is all that an error is about."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_refusal, error.exceptions))
    return isinstance(error, (UnavailableError, BatchError))
