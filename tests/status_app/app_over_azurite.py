"""The app's services over a real Azurite, with a hub and a clock in memory."""

import copy
import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient
from few_shards import few_shards
from model.outlines import outline_of
from model.promises import broken_promises

from status_app.errors import ContinuationError, QueryRefusedError, UnavailableError
from status_app.fleet_index.rows import MOVED
from status_app.ingest.event_batch import IncomingEvent
from status_app.iothub.twins import TwinPage
from status_app.reconcile import flag_stuck, resync_times
from status_app.reconcile.bulk_reads import changed_at
from status_app.reconcile.device_cache import DeviceCache
from status_app.services import Services
from status_app.settings import Settings
from status_app.storage.keys import escape, unescape

CASES = Path(__file__).parents[1] / "cases"
START = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)
"""Soon after the times of the cases: nothing in them is stuck yet."""
SECRET = "hunter2-correct-horse"
TABLES = ("DeploymentStatus", "DeploymentIndex", "Deployments")
"""The tables that a test empties."""
LIFECYCLE = {"iothub-message-schema": "deviceLifecycleNotification", "moduleId": ""}
CREATED = LIFECYCLE | {"opType": "createDeviceIdentity"}
DELETED = LIFECYCLE | {"opType": "deleteDeviceIdentity"}
"""Properties of the event that a device was deleted."""


class Hub:
    """Twins in memory, in place of the hub: it counts reads, and fails on demand.

    Attributes:
        down: Devices whose twin cannot be read.
        lagging: What a query returns in place of a device's twin; None: it does not know the device yet.
        strays: What a query returns beside twins.
        pages_left: Pages that a query still returns before the hub does not answer; None: all of them.
        refused: Continuations that the hub no longer takes.
        asked: Continuations that it was asked for.
        device_tags: The tags of devices.
        tag_queries: The devices that each query of tags named; none where it asked for all.
        tags_are_down: A query of tags is refused.
        tags_have_a_turn: A query for the tags of some devices may be made.
        on_read: Called when a twin is read and has not arrived.
        on_page: Called with a page that is made and has not arrived.
        listed: The hub's own list of deployments; None: it refuses it.
        lists: How often it was asked for that list.
        changes_asked: The continuation and the start of each query for changes.
        refuses_changes: It does not take such a query.
        outlines_asked: The devices of each query for outlines.
        refuses_outlines: It does not take such a query.
        outline_answers: Turns the right answer of such a query into another one.
        queried: The devices of each query for the twins of some.
        answers: Turns the right answer of such a query into another one; None: it does not answer.
    """

    def __init__(self) -> None:
        self.twins: dict[str, dict[str, Any]] = {}
        self.reads: list[str] = []
        self.down: set[str] = set()
        self.page_size = 1000
        self.lagging: dict[str, dict[str, Any] | None] = {}
        self.strays: list[dict[str, Any]] = []
        self.pages_left: int | None = None
        self.refused: set[str] = set()
        self.asked: list[str | None] = []
        self.device_tags: dict[str, Mapping[str, Any]] = {}
        self.tag_queries: list[list[str]] = []
        self.tags_are_down = False
        self.tags_have_a_turn = True
        self.on_read: Callable[[], Awaitable[object]] | None = None
        self.on_page: Callable[[TwinPage], Awaitable[object]] | None = None
        self.listed: list[Any] | None = None
        self.lists = 0
        self.changes_asked: list[tuple[str | None, datetime]] = []
        self.refuses_changes = False
        self.outlines_asked: list[Sequence[str]] = []
        self.refuses_outlines = False
        self.outline_answers: Callable[[list[dict[str, Any]]], list[Any]] = list
        self.queried: list[Sequence[str]] = []
        self.answers: Callable[[list[dict[str, Any]]], list[Any] | None] = list

    async def read(self, device_id: str, _share: object = None) -> Mapping[str, Any] | None:
        self.reads.append(device_id)
        twin = self.twins.get(device_id)
        if self.on_read is not None:
            await self.on_read()
        if device_id in self.down:
            raise UnavailableError("iothub", "answer 503")
        return twin

    async def deployments(self) -> list[Any]:
        self.lists += 1
        if self.listed is None:
            raise UnavailableError("iothub", "answer 403")
        return self.listed

    async def several(self, device_ids: Sequence[str], _share: object = None) -> Sequence[Mapping[str, Any]]:
        self.queried.append(device_ids)
        known = self.twins | self.lagging
        answer = self.answers([twin for name in device_ids if (twin := known.get(name)) is not None])
        if answer is None:
            raise UnavailableError("iothub", "answer 429")
        return answer

    async def page(self, continuation: str | None, _share: object = None, since: datetime | None = None) -> TwinPage:
        if since is not None:
            return self._changed(continuation, since)
        self.asked.append(continuation)
        if continuation in self.refused:
            raise ContinuationError
        if self.pages_left is not None:
            if self.pages_left == 0:
                raise UnavailableError("iothub", "answer 429")
            self.pages_left -= 1
        known = {device: twin for device, twin in (self.twins | self.lagging).items() if twin is not None}
        devices = sorted(device for device in known if device > (continuation or ""))
        twins = [known[device] for device in devices[: self.page_size]]
        page = TwinPage(self.strays + twins, devices[self.page_size - 1] if len(devices) > self.page_size else None)
        if self.on_page is not None:
            await self.on_page(page)
        return page

    async def tags(self, continuation: str | None, device_ids: Sequence[str] = (), _share: object = None) -> TwinPage:
        self.tag_queries.append([*device_ids])
        if self.tags_are_down:
            raise UnavailableError("iothub", "answer 429")
        known = sorted(device for device in (device_ids or self.twins) if device in self.twins)
        known = [device for device in known if device > (continuation or "")]
        found = [{"deviceId": device, "tags": self.device_tags.get(device, {})} for device in known[: self.page_size]]
        return TwinPage(found, known[self.page_size - 1] if len(known) > self.page_size else None)

    async def tags_of(self, device_ids: Sequence[str], _share: object = None) -> Sequence[Mapping[str, Any]] | None:
        if not self.tags_have_a_turn:
            return None
        return (await self.tags(None, device_ids)).twins

    async def outlines(
        self, device_ids: Sequence[str], continuation: str | None = None, _share: object = None
    ) -> TwinPage:
        self.outlines_asked.append(device_ids)
        if self.refuses_outlines:
            raise QueryRefusedError
        known = self.twins | self.lagging
        found = [outline_of(twin) for name in device_ids if (twin := known.get(name)) is not None]
        found = self.outline_answers(found)
        start = int(continuation or 0)
        end = start + self.page_size
        return TwinPage(found[start:end], str(end) if len(found) > end else None)

    def _changed(self, continuation: str | None, since: datetime) -> TwinPage:
        self.changes_asked.append((continuation, since))
        if self.refuses_changes:
            raise QueryRefusedError
        found = [twin for _, twin in sorted((self.twins | self.lagging).items()) if twin is not None]
        changed = [twin for twin in found if (at := changed_at(twin)) is not None and at >= since]
        start = int(continuation or 0)
        end = start + self.page_size
        return TwinPage(changed[start:end], str(end) if len(changed) > end else None)


class App:
    """The app's services over Azurite, with a hub and a clock in memory.

    Attributes:
        stands_still: No run takes any time: the clock jumps while runs go on.
    """

    def __init__(self, tables: str, **settings: str) -> None:
        self.hub = Hub()
        self.now = START
        self.stands_still = False
        self.sequence = 0
        self.prefix = uuid.uuid4().hex[:8]
        self.environment = {"STATUS_TABLES": tables, "IOT_HUB": "hub1.azure-devices.net", "HISTORY_LIMIT": "200"}
        self.others: list[Services] = []
        self.services = self._services(settings)
        self.client = TableServiceClient.from_connection_string(tables)

    def another(self, **settings: str) -> Services:
        """Another process of the app: over the same tables, the same hub and the same clock."""
        self.others.append(self._services(settings))
        return self.others[-1]

    def restart(self, **settings: str) -> None:
        """Go on with another process, as after a deployment of the app."""
        self.others.append(self.services)
        self.services = self._services(settings)

    async def empty(self) -> None:
        """Begin again: empty tables, an empty hub, the clock at its start."""
        for name in TABLES:
            await self.client.delete_table(name)
            await self.client.create_table(name)
        await forget(self.services)
        self.hub.twins.clear()
        self.hub.listed = None
        self.now = START

    async def close(self) -> None:
        for services in (self.services, *self.others):
            await services.close()
        await self.client.close()

    def _ticks(self) -> float:
        return 0.0 if self.stands_still else self.now.timestamp()

    def _services(self, settings: dict[str, str]) -> Services:
        read = Settings.read(self.environment | settings)
        return Services(read, clock=lambda: self.now, twins=self.hub, deployments=self.hub, ticks=self._ticks)

    def put(self, name: str, case: str, **changes: Any) -> str:
        """Put the twin of a case into the hub, under a device id of this test's own."""
        device = f"{self.prefix}-{name}"
        path = next(CASES.glob(f"{case}_*.json"))
        twin = json.loads(path.read_bytes())["twin"] | {"deviceId": device, "version": 7} | changes
        self.hub.twins[device] = twin
        return device

    @contextmanager
    def edit(self, device: str, after: timedelta, section: str = "reported") -> Iterator[dict[str, Any]]:
        """Change a section of a device's twin, after a while: a new twin, one version later."""
        self.now += after
        twin = copy.deepcopy(self.hub.twins[device])
        changed = twin["properties"][section]
        yield changed
        twin["version"] += 1
        changed["$version"] += 1
        changed["$metadata"]["$lastUpdated"] = self.now.isoformat()
        self.hub.twins[device] = twin

    def report(self, device: str, after: timedelta, **m1: Any) -> None:
        """Change what a device reports of its module m1."""
        with self.edit(device, after) as reported:
            reported["modules"]["m1"] |= m1

    def deploy(self, device: str, after: timedelta, **m1: Any) -> None:
        """Deploy another image of m1. The device takes it at once, and reports this of m1.

        So its state is announced: no window and no announcement is left of the version before.
        """
        with self.edit(device, after, "desired") as desired:
            image = f"sensor:{desired['$version'] + 1}"
            desired["modules"]["m1"]["settings"]["image"] = image
        with self.edit(device, timedelta(0)) as reported:
            reported["lastDesiredVersion"] = desired["$version"]
            reported["modules"]["m1"]["settings"]["image"] = image
            reported["modules"]["m1"] |= m1

    def event(self, device: str, body: bytes | None = None, /, **properties: str) -> IncomingEvent:
        self.sequence += 1
        twin = self.hub.twins.get(device, {})
        known = {
            "iothub-message-schema": "twinChangeNotification",
            "opType": "updateTwin",
            "hubName": "hub1",
            "deviceId": device,
            "moduleId": "$edgeAgent",
            "operationTimestamp": self.now.isoformat(),
        }
        return IncomingEvent(
            body=json.dumps({"version": twin.get("version", 1)}).encode() if body is None else body,
            properties={key: value for key, value in (known | properties).items() if value},
            system_properties={},
            partition_id=self.prefix,
            sequence_number=self.sequence,
            enqueued_time=self.now,
        )

    async def handle(self, *events: IncomingEvent, attempt: int = 0) -> None:
        await (await self.services.twin_changes()).handle(events, attempt=attempt)

    async def flag_stuck(self, after: timedelta = timedelta(0)) -> None:
        """Fire the timer of deadlines, after a while."""
        self.now += after
        await (await self.services.flag_stuck()).run()

    async def resync(self, after: timedelta = timedelta(0)) -> None:
        """Fire the timer of resync, after a while: every device is due to be compared."""
        self.now += after
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resync_times, "WHOLE_EVERY", timedelta(0))
            await (await self.services.resync()).run()

    async def hourly(self, after: timedelta = timedelta(hours=1)) -> None:
        """Fire the same timer, after an hour: devices are due by their own times."""
        self.now += after
        await (await self.services.resync()).run()

    async def etags(self) -> dict[tuple[str, ...], Any]:
        """The ETags of the rows of these tables: they are equal until something is written about a device.

        It leaves out the position of the check of the index, which each resync writes, and the settings of the app,
        which each process writes.
        """
        found: dict[tuple[str, ...], Any] = {}
        for name in TABLES:
            async for row in self.client.get_table_client(name).list_entities():
                found[name, row["PartitionKey"], row["RowKey"]] = row.metadata["etag"]
        own = {
            ("DeploymentIndex", "build", "check"),
            ("DeploymentIndex", "compared", "times"),
            ("Deployments", "app", "settings"),
        }
        return {key: etag for key, etag in found.items() if key not in own}

    async def rows(self, device: str) -> dict[str, Any]:
        table = self.client.get_table_client("DeploymentStatus")
        query = table.query_entities(f"PartitionKey eq '{escape(device)}'")
        return {row["RowKey"]: row async for row in query}

    async def state(self, device: str) -> dict[str, Any]:
        """The rows of a device without its history."""
        return {key: row for key, row in (await self.rows(device)).items() if not key.startswith("transition:")}

    async def index(self, kind: str = "") -> list[str]:
        """The row keys of a kind of index rows, without the kind; of all kinds as they are."""
        keys = [
            row if partition.startswith("index:") else f"{partition}|{row}"
            for partition, row in await self.index_keys()
        ]
        return [key.removeprefix(f"{kind}|") for key in keys if key.startswith(kind)]

    async def index_keys(self) -> list[tuple[str, str]]:
        """The keys of the rows that belong to devices, and of the counters."""
        table = self.client.get_table_client("DeploymentIndex")
        others = " and ".join(f"PartitionKey ne '{name}'" for name in ("build", "heartbeats", "peers", "cohorts"))
        rows = table.query_entities(f"{others} and RowKey ne '{MOVED}'")
        return [(row["PartitionKey"], row["RowKey"]) async for row in rows]

    async def broken_promises(self) -> list[str]:
        """What is wrong with any device of the tables: its history, and what points to it."""
        table = self.client.get_table_client("DeploymentStatus")
        devices: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        async for row in table.list_entities():
            devices[row["PartitionKey"]][row["RowKey"]] = row
        index = set(await self.index_keys())
        found = []
        for key, rows in devices.items():
            device = unescape(key)
            state = {key: row for key, row in rows.items() if not key.startswith("transition:")}
            found += [f"{device}: {text}" for text in broken_promises(device, state, transitions(rows), index)]
        return found

    async def dead_letters(self) -> list[Any]:
        table = self.client.get_table_client("DeadLetter")
        return [row async for row in table.query_entities(f"PartitionKey eq '{self.prefix}'")]


@contextmanager
def writers_are_dead() -> Iterator[None]:
    """Let no writer of an announcement live: the tables have the time of this machine, and the app has its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flag_stuck, "WRITERS_END_AFTER", -timedelta(days=36_525))
        patch.setattr(flag_stuck, "FORGOTTEN_AFTER", -timedelta(days=36_525))
        yield


async def forget(services: Services) -> None:
    """Let a process forget devices and counters, as if it had just begun."""
    reconciler = await services.reconciler()
    reconciler._cache = DeviceCache()  # noqa: SLF001 (quicker than another process)
    reconciler._index._projection._counters.clear()  # noqa: SLF001 (as above)
    reconciler._hub_list._read_at = None  # noqa: SLF001 (as above)


def transitions(rows: Mapping[str, Any]) -> list[Any]:
    """The transition rows of a device, oldest first."""
    found = [row for key, row in rows.items() if key.startswith("transition:")]
    return sorted(found, key=lambda row: row["Sequence"].value)


def flags(rows: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The transitions to stuck and recovered, oldest first, with the module."""
    return [(row["Kind"], row["Module"]) for row in transitions(rows) if row["Kind"] in ("stuck", "recovered")]


def states(rows: Mapping[str, Any]) -> dict[str, Any]:
    """The rows of a device without the columns that differ between devices and between reads."""
    own = ("PartitionKey", "EventId", "ObservedAt", "Published")
    return {key: {name: value for name, value in row.items() if name not in own} for key, row in rows.items()}


@asynccontextmanager
async def fresh_app(tables: str, *, shards: int = 2, **settings: str) -> AsyncIterator[App]:
    """An app over empty tables; at the end no device has a broken promise.

    Args:
        tables: Connection string of the table service.
        shards: How many partitions of the index devices are spread over. A test that counts requests says how many.
        settings: Settings of the app, beside those that it needs.
    """
    app = App(tables, **settings)
    with few_shards(shards):
        try:
            await app.services.reconciler()  # it creates the tables
            yield app
            broken = await app.broken_promises()
            if broken:
                raise AssertionError("\n".join(broken))
        finally:
            for name in TABLES:
                await app.client.delete_table(name)
            await app.close()
