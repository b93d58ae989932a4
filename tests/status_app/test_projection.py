"""The index as a projection: it comes right when a writer is killed, late, or not alone."""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from app_over_azurite import DELETED, App, flags, forget, fresh_app, states
from azure.core.pipeline.transport import AioHttpTransport
from whole_index import wrong_rows

from status_app.fleet_index.rows import SHARDS
from status_app.reconcile.resync_position import LEASE
from status_app.services import Services

BACKOFF = "048"
SUCCESSFUL = "003"
NOW = timedelta(0)
MINUTE = timedelta(minutes=1)
GRACE = 15 * MINUTE
CARE = 10 * MINUTE
"""How long a module must run until it has recovered."""
LATE = datetime(2100, 1, 1, tzinfo=UTC)
"""A time when no writer lives any more, by the clock of the table service too."""
LIMIT = 10
"""Entities of a transaction, in these tests."""
MANY = 8
"""Modules that a device has beside m1, so that a change of all of them needs more than one."""


class Killed(BaseException):
    """The process has ended: nothing catches this."""


class Wire(AioHttpTransport):  # type: ignore[misc] # the SDK loads it lazily, without a type
    """The connection of one process to its tables.

    Attributes:
        kill_after: Writes that are still served before the process is killed; None: it lives.
        killed: Whether it was.
        before: Awaited with the method of each request, and its address with its body, before it is made.
    """

    def __init__(self) -> None:
        super().__init__(use_env_settings=False)
        self.kill_after: int | None = None
        self.killed = False
        self.before: Callable[[str, str], Awaitable[object]] | None = None

    async def send(self, request: Any, **options: Any) -> Any:
        if self.before is not None:
            await self.before(request.method, f"{request.url} {request.data!r}")
        if self.kill_after is not None:
            self.killed = self.killed or (self.kill_after == 0 and request.method != "GET")
            self.kill_after -= request.method != "GET"
            if self.killed:
                raise Killed
        return await super().send(request, **options)


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the app of its own."""

    services: Services
    wire: Wire

    async def notify(self, app: App, device: str) -> None:
        """Reconcile a device as after a notification."""
        properties = {} if device in app.hub.twins else DELETED
        await (await self.services.twin_changes()).handle([app.event(device, **properties)], attempt=0)

    async def timer(self, _app: App, _device: str) -> None:
        await (await self.services.flag_stuck()).run()

    async def resync(self, _app: App, _device: str) -> None:
        await (await self.services.resync()).run()

    @asynccontextmanager
    async def killed_after(self, writes: int) -> AsyncIterator[None]:
        """Kill the process after so many writes, and start it again."""
        await forget(self.services)
        self.wire.kill_after = writes
        self.wire.killed = False
        with suppress(Killed):
            yield
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left)
        self.wire.kill_after = None
        await forget(self.services)


@pytest.fixture
async def app(tables: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    """Its parameter is the number of partitions of the index."""
    for module in ("status_table.parts", "storage.transaction"):
        monkeypatch.setattr(f"status_app.{module}.TRANSACTION_LIMIT", LIMIT)
    async with fresh_app(tables, shards=getattr(request, "param", 2)) as app:
        yield app


def put(app: App, name: str = "d", case: str = SUCCESSFUL, *deployments: str) -> str:
    """Put the twin of a case into the hub, with applied deployments."""
    applied = {deployment: {"status": "Applied"} for deployment in deployments or ("base", "camera-2")}
    return app.put(name, case, configurations=applied)


async def process(app: App, monkeypatch: pytest.MonkeyPatch) -> Process:
    wire = Wire()
    with monkeypatch.context() as patch:
        patch.setattr("status_app.storage.client.TableTransport", lambda **_: wire)
        services = app.another()
    await services.reconciler()  # the tables are there
    return Process(services, wire)


def many(app: App, device: str) -> None:
    """Give a device many modules, each like its m1."""
    app.hub.twins[device] = copy.deepcopy(app.hub.twins[device])
    for section in ("desired", "reported"):
        modules = app.hub.twins[device]["properties"][section]["modules"]
        modules |= {f"n{number:02d}": copy.deepcopy(modules["m1"]) for number in range(MANY)}


def all_report(app: App, device: str, after: timedelta = MINUTE, **module: Any) -> None:
    with app.edit(device, after) as reported:
        reported["modules"] = {name: old | module for name, old in reported["modules"].items()}


def wants(app: App, device: str, image: str) -> None:
    with app.edit(device, MINUTE, "desired") as desired:
        desired["modules"]["m1"]["settings"]["image"] = image
        desired["modules"]["m2"] = desired["modules"]["m1"]


def pass_time(app: App, time: timedelta) -> None:
    app.now += time


def vanish(app: App, device: str, after: timedelta) -> None:
    app.now += after
    del app.hub.twins[device]


def edge_hub_fails(app: App, device: str) -> None:
    with app.edit(device, GRACE) as reported:
        reported["systemModules"]["edgeHub"]["runtimeStatus"] = "backoff"


type Step = Callable[[App, str], Awaitable[object]]


async def new(_app: App, _device: str) -> None:
    """The app does not know the device."""


async def seen(app: App, device: str) -> None:
    await app.handle(app.event(device))


async def failing(app: App, device: str) -> None:
    app.report(device, NOW, runtimeStatus="backoff")
    await seen(app, device)


async def stuck(app: App, device: str) -> None:
    await failing(app, device)
    await app.flag_stuck(GRACE)


async def recovering(app: App, device: str) -> None:
    await stuck(app, device)
    app.report(device, MINUTE, runtimeStatus="running")
    await seen(app, device)


async def deleted(app: App, device: str) -> None:
    await failing(app, device)
    twin = app.hub.twins.pop(device)
    await app.flag_stuck(GRACE)
    app.hub.twins[device] = twin
    app.report(device, MINUTE)


async def large(app: App, device: str) -> None:
    many(app, device)
    await seen(app, device)


async def large_and_failing(app: App, device: str) -> None:
    many(app, device)
    all_report(app, device, runtimeStatus="backoff")
    await seen(app, device)


async def large_and_stuck(app: App, device: str) -> None:
    await large_and_failing(app, device)
    await app.flag_stuck(GRACE)


type Act = Callable[[Process, App, str], Awaitable[None]]

CHANGES: dict[str, tuple[Step, Callable[[App, str], object], Act]] = {
    "a first look": (new, lambda app, device: app.report(device, NOW, runtimeStatus="backoff"), Process.notify),
    "a module fails": (seen, lambda app, device: app.report(device, MINUTE, runtimeStatus="backoff"), Process.notify),
    "another reason": (failing, lambda app, device: app.report(device, MINUTE, runtimeStatus="failed"), Process.notify),
    "it runs again": (failing, lambda app, device: app.report(device, MINUTE, runtimeStatus="running"), Process.notify),
    "a new version": (stuck, lambda app, device: wants(app, device, "sensor:2"), Process.notify),
    "a deletion": (recovering, lambda app, device: app.hub.twins.pop(device), Process.notify),
    "a new life": (deleted, lambda _app, _device: None, Process.notify),
    "it gets stuck": (failing, lambda app, _device: pass_time(app, GRACE), Process.timer),
    "it recovers": (recovering, lambda app, _device: pass_time(app, CARE), Process.timer),
    "a timer sees another failure and a flag": (
        failing,
        lambda app, device: app.report(device, GRACE, runtimeStatus="failed", exitCode=3),
        Process.timer,
    ),
    "a timer sees another module fail too": (failing, edge_hub_fails, Process.timer),
    "a timer sees a deletion": (
        failing,
        lambda app, device: vanish(app, device, GRACE),
        Process.timer,
    ),
    "a resync sees a failure": (
        seen,
        lambda app, device: app.report(device, MINUTE, runtimeStatus="backoff"),
        Process.resync,
    ),
    "a resync sees a deletion": (
        failing,
        lambda app, device: vanish(app, device, MINUTE),
        Process.resync,
    ),
    "a large first look": (new, many, Process.notify),
    "a large failure": (large, lambda app, device: all_report(app, device, runtimeStatus="backoff"), Process.notify),
    "a large recovery": (
        large_and_failing,
        lambda app, device: all_report(app, device, runtimeStatus="running"),
        Process.notify,
    ),
    "many get stuck": (large_and_failing, lambda app, _device: pass_time(app, GRACE), Process.timer),
    "a timer sees a large change and flags": (
        large_and_failing,
        lambda app, device: all_report(app, device, GRACE, settings={"image": "sensor:0"}),
        Process.timer,
    ),
    "a large deletion": (large_and_stuck, lambda app, device: app.hub.twins.pop(device), Process.notify),
}


async def heal_by_repeating(process: Process, app: App, device: str, act: Act) -> None:
    """Repeat it, as the host does with an unfinished batch and with a timer."""
    await act(process, app, device)


async def heal_by_resync(process: Process, app: App, device: str, _act: Act) -> None:
    await process.resync(app, device)
    for _ in range(2):  # the second reconciles what the first has projected as due
        await process.timer(app, device)


async def outcome(app: App, device: str) -> dict[str, Any]:
    """The rows of a device, without the times at which they were seen.

    A change that is written in parts may order transitions of one time otherwise, so they have no order here.
    """
    rows = states(await app.rows(device))
    found = {}
    for key, row in rows.items():
        if "Kind" not in row:
            found[key] = row
            continue
        place = f"{row['At']} {row['Kind']} {row['Module']}"
        if row["Kind"] == "deleted":  # its time is when the app saw it
            place = "deleted"
            del row["At"], row["Since"], row["DurationSeconds"]
        assert place not in found
        found[place] = {name: value for name, value in row.items() if name not in ("RowKey", "Sequence")}
    return found


REPEATED = (
    *("a first look", "a module fails", "it runs again", "a new version", "a deletion", "it gets stuck"),
    *("a timer sees another module fail too", "a resync sees a failure", "a large failure"),
)


@pytest.mark.parametrize(
    ("name", "heal"),
    [*((name, heal_by_resync) for name in CHANGES), *((name, heal_by_repeating) for name in REPEATED)],
)
@pytest.mark.parametrize("app", [1], indirect=True)
async def test_a_change_that_is_killed_between_any_two_writes_comes_to_the_same_end(
    app: App, monkeypatch: pytest.MonkeyPatch, name: str, heal: Callable[..., Awaitable[None]]
) -> None:
    prepare, change, act = CHANGES[name]
    victim = await process(app, monkeypatch)

    async def story(writes: int) -> tuple[Any, ...]:
        await app.empty()
        device = put(app)
        await prepare(app, device)
        change(app, device)
        async with victim.killed_after(writes):
            await act(victim, app, device)
        assert "large" in name or await app.broken_promises() == []
        app.now += LEASE if act is Process.resync else NOW  # the killed process has left its lease
        await heal(victim, app, device, act)
        assert await app.broken_promises() == []
        healed = await outcome(app, device)
        app.now = LATE  # its leftovers go once it cannot live any more
        for _ in range(2):  # the second reconciles what the first has made due
            await victim.timer(app, device)
        assert await wrong_rows(app) == {}
        await victim.resync(app, device)
        return healed, await outcome(app, device), sorted(await app.index_keys())

    expected = await story(10**6)
    for writes in count():
        assert await story(writes) == expected
        if not victim.wire.killed:
            assert writes
            break


class Gate:
    """Holds the first request of a process that matches, until it is opened."""

    def __init__(self, process: Process, method: str, part: str) -> None:
        self._asked = method, part
        self._reached, self._opened = asyncio.Event(), asyncio.Event()
        process.wire.before = self._wait

    async def hold(self, act: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start something, up to that request."""
        task, reached = asyncio.create_task(act), asyncio.create_task(self._reached.wait())
        await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
        assert reached.done(), "it ended without such a request"
        return task

    async def let(self, task: asyncio.Task[None]) -> None:
        """Let it go on to its end."""
        self._opened.set()
        await task

    async def _wait(self, method: str, request: str) -> None:
        if method == self._asked[0] and self._asked[1] in request and not self._reached.is_set():
            self._reached.set()
            await self._opened.wait()


async def test_two_writers_of_one_change_leave_one_deadline_and_no_announcement(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await process(app, monkeypatch), await process(app, monkeypatch)
    device = put(app)
    await seen(app, device)
    app.report(device, MINUTE, runtimeStatus="backoff")
    for method, part in (("PUT", "pending"), ("POST", "transition:"), ("POST", "summary")):
        gate = Gate(first, method, part)
        slow = await gate.hold(first.notify(app, device))
        await second.notify(app, device)
        await gate.let(slow)
        assert await wrong_rows(app) == {}
        assert len(await app.index("reconcile")) == 1
        app.report(device, MINUTE, runtimeStatus="running")
        await seen(app, device)
        await app.flag_stuck(120 * MINUTE)  # after that no window is open any more
        assert await app.index("reconcile") == []
        app.report(device, MINUTE, runtimeStatus="backoff")


async def test_a_late_projection_never_replaces_a_newer_one(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, quick = await process(app, monkeypatch), await process(app, monkeypatch)
    device = put(app)
    await failing(app, device)
    app.report(device, MINUTE, runtimeStatus="running")
    gate = Gate(slow, "POST", "summary")
    late = await gate.hold(slow.notify(app, device))
    app.report(device, NOW, runtimeStatus="backoff", exitCode=1)  # it fails again, and waits for the same time
    await quick.notify(app, device)
    before = await app.index()
    await gate.let(late)
    assert set(await app.index()) < set(before)  # its announcement is gone, and no row is new
    assert await wrong_rows(app) == {}
    await app.flag_stuck(GRACE - MINUTE)
    assert flags(await app.rows(device)) == [("stuck", "m1")]


async def test_the_next_run_of_the_timer_projects_a_change_of_a_dead_writer(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await process(app, monkeypatch)
    device = put(app)
    await seen(app, device)
    app.report(device, MINUTE, runtimeStatus="backoff")
    async with writer.killed_after(2):  # it is announced and committed
        await writer.notify(app, device)
    assert (await app.rows(device))["device"]["State"] == "module_failed"
    assert [key.partition("|")[0] for key in await app.index("state")] == ["successful"]
    await app.flag_stuck()
    assert [key.partition("|")[0] for key in await app.index("state")] == ["module_failed"]
    assert len(await app.index("pending")) == 1  # its writer may live
    app.now = LATE
    await app.flag_stuck()
    assert await wrong_rows(app) == {}


async def test_the_announcement_of_a_dead_writer_goes_while_another_writes_the_same_change(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, timer = await process(app, monkeypatch), await process(app, monkeypatch)
    device = put(app)
    await seen(app, device)
    app.report(device, MINUTE, runtimeStatus="backoff")
    async with writer.killed_after(1):  # it is announced, and no more
        await writer.notify(app, device)
    assert len(await app.index("pending")) == 1
    app.now = LATE
    gate = Gate(timer, "POST", "pending")
    finishing = await gate.hold(timer.timer(app, device))
    await writer.notify(app, device)
    await gate.let(finishing)
    assert await wrong_rows(app) == {}
    assert await app.index("reconcile") == []
    await app.flag_stuck()
    assert flags(await app.rows(device)) == [("stuck", "m1")]


async def test_a_change_that_the_index_does_not_show_leaves_it_alone(app: App) -> None:
    device = put(app)
    await failing(app, device)

    async def etags() -> dict[tuple[str, ...], Any]:
        return {key: etag for key, etag in (await app.etags()).items() if key[0] == "DeploymentIndex"}

    before = await etags()
    app.report(device, MINUTE, lastExitTimeUtc="2024-05-02T09:01:00Z")
    await seen(app, device)
    assert (await app.rows(device))["module:m1"]["LastExitAt"].minute == 1
    assert await etags() == before
    app.report(device, MINUTE, runtimeStatus="failed")  # this is a new reason, which counters have
    await seen(app, device)
    written = {row.partition("|")[0] for (*_, row), _ in before.items() ^ (await etags()).items()}
    assert written == {"summary", "count", "cause", "progress"}


@pytest.mark.parametrize("app", [1], indirect=True)
async def test_counters_are_right_after_two_processes_changed_them_at_the_same_time(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "status_app.fleet_index.index_transaction.TRANSACTION_LIMIT"
    monkeypatch.setattr(limit, 30)  # a batch has several transactions
    processes = [await process(app, monkeypatch), await process(app, monkeypatch)]
    devices = [put(app, f"d{number:02d}", SUCCESSFUL, "base", f"layer-{number % 3}") for number in range(24)]

    async def handle(number: int, some: list[str]) -> None:
        for device in some:
            if device not in app.hub.twins:
                continue
            app.report(device, NOW, runtimeStatus=("backoff", "running", "failed")[number % 3])
        handler = await processes[number % 2].services.twin_changes()
        events = [app.event(device, **({} if device in app.hub.twins else DELETED)) for device in some]
        await handler.handle(events, attempt=0)

    for start in range(6):
        app.now += MINUTE
        for device in devices[:start]:
            app.hub.twins.pop(device, None)
        await asyncio.gather(*(handle(start + part, devices[part::4]) for part in range(4)))
        assert await app.broken_promises() == []
    app.now = LATE
    await app.flag_stuck()
    assert await wrong_rows(app) == {}
    table = app.client.get_table_client("DeploymentIndex")
    counted = [row async for row in table.list_entities() if row["RowKey"].startswith("count|base|")]
    assert sum(row["Devices"] for row in counted) == len(devices) - 5


@pytest.mark.parametrize("app", [1], indirect=True)
async def test_a_refused_row_of_one_device_of_a_batch_costs_no_other_device_its_projection(app: App) -> None:
    devices = [put(app, f"d{number}") for number in range(4)]
    await app.handle(*map(app.event, devices))
    bad = app.client.get_table_client("DeploymentIndex")
    for key in await app.index("state"):
        if key.endswith(devices[1]):
            await bad.delete_entity(SHARDS[0], f"state|{key}")  # a row that the projection will delete
    for device in devices:
        app.report(device, NOW, runtimeStatus="backoff")
    await app.handle(*map(app.event, devices))
    assert await wrong_rows(app) == {}


async def test_a_missing_counter_costs_no_device_its_projection(app: App, caplog: pytest.LogCaptureFixture) -> None:
    device = put(app, "d", SUCCESSFUL, "base")
    await seen(app, device)
    table = app.client.get_table_client("DeploymentIndex")
    async for row in table.list_entities():
        if row["RowKey"].startswith("count|"):
            await table.delete_entity(row)
    await forget(app.services)
    app.report(device, MINUTE, runtimeStatus="backoff")
    await seen(app, device)
    assert await wrong_rows(app) == {}
    assert [record.message for record in caplog.records if "would have become negative" in record.message]


async def test_a_device_whose_change_was_killed_between_two_parts_is_flagged_in_time(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = await process(app, monkeypatch)
    device = app.put("d", SUCCESSFUL)
    await large(app, device)
    all_report(app, device, runtimeStatus="backoff")
    async with victim.killed_after(2):  # it is announced, and one transaction is done
        await victim.notify(app, device)
    waits = await app.broken_promises()
    for _ in range(20):
        await app.flag_stuck(MINUTE)
    stuck = flags(await app.rows(device))
    await app.resync()  # the rest of the change, so that nothing else is broken
    assert (len(stuck), waits) == (MANY + 1, [])
