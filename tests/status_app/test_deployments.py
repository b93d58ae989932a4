"""Whole deployments over real tables and an event hub: their counts, their milestones, and that none is lost."""

import asyncio
import copy
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from app_over_azurite import CASES, DELETED, TABLES, App
from asking import listed
from azure.data.tables import UpdateMode
from few_shards import few_shards
from transition_hub import TRANSITIONS, running_hub
from whole_index import wrong_rows

from local.eventhubs import EventHubs
from local.tables import Operation, TableProxy, is_transaction, table_proxy
from status_app.events import publisher
from status_app.events.publisher import TransitionPublisher
from status_app.http import routes
from status_app.reconcile.twin_changes import BatchError
from status_app.rollouts.deployment_rows import DeploymentRows

SUCCESSFUL, BACKOFF, PULLING, PENDING, INVALID = "003", "048", "028", "002", "007"
CAMERA: Final = "camera-2"
MINUTE: Final = timedelta(minutes=1)
GRACE: Final = timedelta(minutes=15)
LATE: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""When no writer lives any more, by the clock of the table service too."""
NUMBERS: Final = ("version", "devices", "successful", "failing")


class Crash(BaseException):
    """The end of the process: nothing of the app may catch it."""


class World:
    """What the app runs in: a table service and an event hub that fail on demand."""

    def __init__(self, proxy: TableProxy, event_hubs: EventHubs) -> None:
        self.proxy = proxy
        self.event_hubs = event_hubs
        self.apps: list[App] = []

    def app(self, **settings: str) -> App:
        """The app: one process. All of them have the hub and the time of the first."""
        transitions = {"Transitions": self.event_hubs.connection_string(), "TRANSITIONS_HUB": TRANSITIONS}
        app = App(self.proxy.connection_string, **transitions, **settings)
        if self.apps:
            app.now = self.apps[0].now
            app.hub.twins = self.apps[0].hub.twins
            app.prefix = self.apps[0].prefix
        self.apps.append(app)
        return app

    def refuse(self, count: int) -> None:
        self.event_hubs.faults.refuse(TRANSITIONS, count)

    def events(self) -> list[bytes]:
        """The events of deployments that the event hub holds, in their order."""
        events = [event for event in self.event_hubs.events(TRANSITIONS) if b"/deployments/" in event.body]
        assert all(event.partition_key == json.loads(event.body)["data"]["deployment"] for event in events)
        return [event.body for event in events]

    def announced(self, deployment: str = CAMERA) -> list[tuple[str, int, int, int, int]]:
        """Each event of a deployment: its milestone, and NUMBERS."""
        events = [json.loads(event) for event in self.events()]
        return [
            (event["type"].rpartition(".")[2], *(event["data"][name] for name in NUMBERS))
            for event in events
            if event["data"]["deployment"] == deployment
        ]

    def milestones(self, deployment: str = CAMERA) -> list[str]:
        return [milestone for milestone, *_ in self.announced(deployment)]


@pytest.fixture
async def world(tables: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(publisher, "RETRY", replace(publisher.RETRY, first_wait=0.0))  # nobody waits for an attempt
    with few_shards():
        async with table_proxy(tables) as proxy, running_hub() as event_hubs:
            world = World(proxy, event_hubs)
            yield world
            proxy.before = None
            proxy.faults.clear()
            for app in world.apps:
                await app.services.close()
                for name in TABLES:
                    await app.client.delete_table(name)
                await app.client.close()


def put(app: App, name: str, case: str, *deployments: str) -> str:
    """Put the twin of a case into the hub, reported now, with deployments applied."""
    configurations = {deployment: {"status": "Applied"} for deployment in deployments or (CAMERA,)}
    known = app.hub.twins.get(f"{app.prefix}-{name}", {"version": 6})
    twin = copy.deepcopy(json.loads(next(CASES.glob(f"{case}_*.json")).read_bytes())["twin"])
    twin["properties"]["reported"]["$metadata"]["$lastUpdated"] = app.now.isoformat()
    changes = {"configurations": configurations, "version": known["version"] + 1, "properties": twin["properties"]}
    return app.put(name, case, **changes)


async def show(app: App, name: str, case: str, *deployments: str) -> str:
    """Do the same, and notify the app."""
    device = put(app, name, case, *deployments)
    await app.handle(app.event(device))
    return device


async def timer(app: App, after: timedelta = MINUTE) -> None:
    app.now += after
    await (await app.services.flag_stuck()).run()


async def entities(app: App, table: str, query: str) -> list[Any]:
    return [row async for row in app.client.get_table_client(table).query_entities(query)]


async def applied(app: App) -> list[tuple[str, str]]:
    """Deployments with the devices that they are applied to, by the index."""
    rows = await entities(app, "DeploymentIndex", "RowKey ge 'deployment|' and RowKey lt 'deployment}'")
    return sorted((str(row["RowKey"]).split("|")[1], row["Device"]) for row in rows)


async def counted(app: App) -> dict[str, int]:
    """The states of the devices of a deployment, counted now."""
    answer = await app.services.fleet().deployment(CAMERA)
    assert answer is not None
    return dict(answer["states"])


async def stored(app: App, deployment: str = CAMERA) -> Any:
    """The row of a deployment."""
    (row,) = await entities(
        app, "Deployments", f"PartitionKey eq 'deployments' and RowKey eq 'deployment|{deployment}'"
    )
    return row


async def test_a_rollout_with_a_failure_announces_each_milestone_once(world: World) -> None:
    app = world.app()
    await asyncio.gather(*(show(app, name, PENDING) for name in "abc"))
    await timer(app)
    await timer(app)
    await show(app, "a", SUCCESSFUL)
    await show(app, "b", INVALID)
    await timer(app)
    assert world.announced() == [("started", 1, 3, 0, 0), ("first_failure", 1, 3, 1, 1)]
    await show(app, "b", SUCCESSFUL)
    await show(app, "c", SUCCESSFUL)
    await timer(app)
    for _ in range(4):
        await timer(app, 5 * MINUTE)
    assert world.announced()[2:] == [("completed", 1, 3, 3, 0)]
    await show(app, "c", BACKOFF)
    await timer(app, GRACE)
    await timer(app, GRACE)
    assert len(world.announced()) == 3
    row = await stored(app)
    assert [row[name] for name in ("Version", "Devices", "Successful", "Failing", "Stuck")] == [1, 3, 2, 1, 1]
    assert list(json.loads(row["Reached"])) == ["started", "first_failure", "completed"]


async def test_an_event_of_a_deployment_is_this(world: World) -> None:
    app = world.app()
    await show(app, "a", PENDING)
    await show(app, "b", SUCCESSFUL)
    await timer(app)
    assert [json.loads(event) for event in world.events()] == [
        {
            "specversion": "1.0",
            "id": "hub1/deployments/camera-2/1/started",
            "source": "/hubs/hub1/deployments/camera-2/1",
            "type": "edge.deployment.started",
            "subject": "camera-2",
            "time": "2024-05-02T09:11:00.000000Z",
            "sequence": "0000000000000000001",
            "severity": "info",
            "dataschema": "urn:edge-deployment-status:2:edge.deployment.started",
            "datacontenttype": "application/json",
            "data": {
                "hub": "hub1",
                "deployment": "camera-2",
                "version": 1,
                "devices": 2,
                "successful": 1,
                "settling": 0,
                "failing": 0,
                "waiting": 0,
                "targeted": None,
                "failureThreshold": None,
                "states": {"pending": 1, "successful": 1},
            },
        }
    ]


async def test_a_rollout_without_progress_stalls_once_and_a_completed_one_never(world: World) -> None:
    app = world.app()
    await show(app, "a", PENDING)
    await show(app, "b", SUCCESSFUL)
    await show(app, "c", SUCCESSFUL, "done")
    await timer(app)
    await timer(app, timedelta(minutes=14))
    assert world.announced() == [("started", 1, 2, 1, 0), ("first_failure", 1, 2, 1, 1)]
    for _ in range(4):
        await timer(app, 5 * MINUTE)
    assert world.announced()[2:] == [("stalled", 1, 2, 1, 1)]
    assert world.milestones("done") == ["started", "completed"]


async def test_a_stall_is_announced_long_after_the_last_change_of_a_device(world: World) -> None:
    app = world.app(GRACE_DEFAULT="PT3H", STABLE_AFTER="PT2H")
    await show(app, "a", PULLING)
    await show(app, "b", SUCCESSFUL, "done")
    for minutes in (1, 30, 88, 1, 1):
        await timer(app, minutes * MINUTE)
    assert world.milestones("done") == ["started", "completed"]
    for minutes in (58, 1, 1):
        assert "stalled" not in world.milestones()
        await timer(app, minutes * MINUTE)
    assert "stalled" in world.milestones()


async def test_a_deployment_that_returns_after_no_device_had_it_is_another_version_with_its_own_events(
    world: World,
) -> None:
    app = world.app()
    await show(app, "a", SUCCESSFUL)
    await timer(app)
    await timer(app)
    await show(app, "a", SUCCESSFUL, "camera-3")
    await timer(app)
    await timer(app, 60 * MINUTE)
    await show(app, "a", SUCCESSFUL)
    await timer(app)
    await timer(app)
    assert world.announced() == [
        ("started", 1, 1, 1, 0),
        ("completed", 1, 1, 1, 0),
        ("superseded", 1, 0, 0, 0),
        ("started", 2, 1, 1, 0),
        ("completed", 2, 1, 1, 0),
    ]
    events = [json.loads(event) for event in world.events() if b'"camera-2"' in event]
    assert len({event["id"] for event in events}) == 5
    places = [(event["source"][-2:], int(event["sequence"])) for event in events]
    # So a subscriber takes none for a duplicate.
    assert places == [("/1", 1), ("/1", 2), ("/1", 3), ("/2", 1), ("/2", 2)]


async def test_the_index_and_its_counters_always_agree_with_the_rows_of_devices(world: World) -> None:
    app = world.app()

    async def is_so(count: int) -> bool:
        return len(await applied(app)) == count and await wrong_rows(app) == {}

    one = await show(app, "one", PENDING)
    await show(app, "two", BACKOFF)
    assert await is_so(2)
    await timer(app, GRACE)
    assert await is_so(2)
    await show(app, "two", SUCCESSFUL)
    await timer(app, 2 * MINUTE)
    assert await is_so(2)
    await show(app, "layers", "090", "base", "layer-camera", "layer-motion")
    assert await is_so(5)
    await show(app, "layers", "090", "base", "layer-motion", CAMERA)
    assert await is_so(5)
    app.now += MINUTE
    app.hub.twins[one]["configurations"] = {"camera-3": {"status": "Applied"}, CAMERA: {"status": "Targeted"}}
    await app.handle(app.event(one))  # no other version of the twin
    assert await is_so(5)
    assert {deployment for deployment, device in await applied(app) if device == one} == {"camera-3"}
    del app.hub.twins[one]
    await app.handle(app.event(one, b"{}", **DELETED))
    assert await is_so(4)
    put(app, "two", SUCCESSFUL, "camera-4")
    app.now += MINUTE
    await (await app.services.resync()).run()
    assert await is_so(4)
    assert {deployment for deployment, _ in await applied(app)} == {"base", "layer-motion", CAMERA, "camera-4"}


async def test_a_row_of_the_release_before_has_0_for_what_that_did_not_count(world: World) -> None:
    app = world.app()
    for number, case in enumerate((SUCCESSFUL, BACKOFF, PENDING)):
        await show(app, f"d{number}", case)
    await timer(app)
    row = dict(await stored(app))
    lacking = ("Settling", "Waiting", "JoinedAt", "CreatedAt", "FailureThreshold")
    before = {name: value for name, value in row.items() if name not in lacking}
    await app.client.get_table_client("Deployments").upsert_entity(before, UpdateMode.REPLACE)
    (answer,) = await listed(app.services.fleet(), routes.deployments)
    assert [answer[name] for name in NUMBERS] == [1, 3, row["Successful"], row["Failing"]]
    assert (answer["settling"], answer["waiting"], answer["failureThreshold"]) == (0, 0, None)
    announced = world.announced()
    await timer(world.app())
    assert dict(await stored(app)).keys() >= {"Settling", "Waiting"}
    assert world.announced() == announced, "it is the same version, whose milestones were announced"


async def test_two_deployments_on_one_device_are_both_counted(world: World) -> None:
    app = world.app()
    await show(app, "a", INVALID, "base", "layer")
    await show(app, "b", SUCCESSFUL, "base")
    await timer(app)
    assert world.announced("base") == [("started", 1, 2, 1, 1), ("first_failure", 1, 2, 1, 1)]
    assert world.announced("layer") == [("started", 1, 1, 0, 1), ("first_failure", 1, 1, 0, 1)]


async def test_a_device_is_counted_once_before_each_write_of_a_change(world: World) -> None:
    app = world.app()
    await show(app, "a", PENDING)
    found: list[dict[str, int]] = []

    async def look(op: Operation, _path: str) -> None:
        if op == "write":
            found.append(await counted(app))

    world.proxy.before = look
    await show(app, "a", SUCCESSFUL)
    world.proxy.before = None
    assert found == [{"pending": 1}] * 3  # it is announced, committed, and projected
    assert await counted(app) == {"successful": 1}


async def test_a_change_whose_writer_began_early_and_committed_late_is_counted(world: World) -> None:
    app, writer = world.app(), world.app()
    await show(app, "a", PENDING)
    await timer(app)
    held, goes_on = asyncio.Event(), asyncio.Event()

    async def hold(op: Operation, path: str) -> None:
        if op == "write" and is_transaction(path, "DeploymentStatus") and not held.is_set():
            held.set()
            await goes_on.wait()

    world.proxy.before = hold
    writer.now = app.now
    change = asyncio.create_task(show(writer, "a", INVALID))
    await held.wait()
    await timer(app, 10 * MINUTE)
    assert world.announced()[1:] == []
    goes_on.set()
    await change
    await timer(app, 4 * MINUTE)
    assert world.milestones() == ["started", "first_failure"]


async def test_a_deployment_is_not_counted_again_when_no_device_of_it_changes_any_more(world: World) -> None:
    app = world.app()
    await show(app, "a", SUCCESSFUL)
    for _ in range(2):
        await timer(app)
    before = {name: count.copy() for name, count in world.proxy.requests_of.items()}
    await timer(app)
    made = {name: count - before[name] for name, count in world.proxy.requests_of.items()}
    # Of each shard what is to be done, and the rows of deployments.
    assert {name: dict(count) for name, count in made.items() if count} == {
        "DeploymentIndex": {"read": 2},
        "Deployments": {"read": 1},
    }


async def test_two_runs_that_count_at_the_same_time_lose_and_repeat_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "status_app.rollouts.deployments")
    app, other = world.app(), world.app()
    await show(app, "a", INVALID)
    runs: list[int] = []

    async def overtake(op: Operation, path: str) -> None:
        if op == "write" and is_transaction(path, "Deployments") and not runs:
            runs.append(1)
            other.now = app.now
            await timer(other, timedelta(0))

    world.proxy.before = overtake
    await timer(app)
    await show(app, "a", SUCCESSFUL)
    world.proxy.before = overtake
    runs.clear()
    await timer(app)
    line = """deployment 'camera-2': another run has counted it {"deployments": ["camera-2"]}"""
    lines = [record.message for record in caplog.records if record.name == "status_app.rollouts.deployments"]
    assert lines == [line] * 2
    await timer(app)
    await asyncio.gather(timer(app), timer(other))
    assert world.announced() == [("started", 1, 1, 0, 1), ("first_failure", 1, 1, 0, 1), ("completed", 1, 1, 1, 0)]


async def test_while_the_event_hub_refuses_milestones_are_kept_and_sent_later_as_they_were(world: World) -> None:
    app = world.app()
    world.refuse(10**6)
    await show(app, "a", INVALID)
    await show(app, "b", PENDING)
    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            await timer(app)
    await show(app, "a", SUCCESSFUL)
    await show(app, "b", SUCCESSFUL)
    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            await timer(app)
    assert list(json.loads((await stored(app))["Reached"])) == ["started", "first_failure", "completed"]
    assert world.events() == []
    world.refuse(0)
    await timer(app)
    await timer(app)
    assert world.announced() == [("started", 1, 2, 0, 1), ("first_failure", 1, 2, 0, 1), ("completed", 1, 2, 2, 0)]
    assert await entities(app, "Deployments", "RowKey ge 'event|' and RowKey lt 'event}'") == []


@pytest.mark.parametrize(
    ("owner", "name", "times"), [(TransitionPublisher, "publish", 1), (DeploymentRows, "forget", 2)]
)
async def test_after_a_crash_each_event_comes_at_least_once_and_always_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, times: int
) -> None:
    app = world.app()
    await show(app, "a", INVALID, "é\x7f'")

    async def crash(*_: Any) -> None:
        await asyncio.sleep(0)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crash)
        with pytest.raises(Crash):
            await timer(app)
    await show(app, "a", SUCCESSFUL, "é\x7f'")
    await timer(world.app())
    assert list(Counter(world.events()).values()) == [times, 1, 1]
    successful = [json.loads(event)["data"]["successful"] for event in world.events()]
    assert successful == [0] * (times + 1) + [1]


async def test_an_event_that_cannot_be_sent_holds_back_only_its_own_deployment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = world.app()
    await show(app, "a", INVALID, "bad")
    await show(app, "b", INVALID, "good")
    publish = TransitionPublisher.publish

    async def publish_or_fail(self: TransitionPublisher, deployment: str, events: Sequence[bytes]) -> None:
        if deployment == "bad" and b"started" in events[0]:
            raise KeyError("a bug")
        await publish(self, deployment, events)

    with monkeypatch.context() as patch:
        patch.setattr(TransitionPublisher, "publish", publish_or_fail)
        with pytest.raises(ExceptionGroup, match="flag_stuck: 1 failed"):
            await timer(app)
    assert (world.milestones("bad"), world.milestones("good")) == ([], ["started", "first_failure"])
    await timer(app)
    assert world.milestones("bad") == ["started", "first_failure"]


async def test_without_an_event_hub_deployments_are_counted_and_no_event_waits(world: World) -> None:
    app = App(world.proxy.connection_string)
    world.apps.append(app)
    await show(app, "a", SUCCESSFUL)
    await timer(app)
    await timer(app)
    assert list(json.loads((await stored(app))["Reached"])) == ["started", "completed"]
    assert await entities(app, "Deployments", "RowKey ge 'event|' and RowKey lt 'event}'") == []


async def test_a_deployment_may_have_any_name(world: World) -> None:
    app = world.app()
    name = "a|b:c/d~%é#?"
    await show(app, "a", SUCCESSFUL, name)
    await show(app, "b", PENDING, "a", "b")
    await timer(app)
    await timer(app)
    assert world.announced(name) == [("started", 1, 1, 1, 0), ("completed", 1, 1, 1, 0)]
    assert [json.loads(event)["source"] for event in world.events() if b"completed" in event] == [
        "/hubs/hub1/deployments/a%7Cb:c%2Fd~%25%C3%A9%23%3F/1"
    ]
    assert await wrong_rows(app) == {}


@asynccontextmanager
async def failing_at_the_change(world: World) -> AsyncIterator[None]:
    """The table service fails from the first change of a device on."""

    async def fail(_op: Operation, path: str) -> None:
        if is_transaction(path, "DeploymentStatus"):
            world.proxy.faults.add("write", 403, 10**6)
            raise ConnectionResetError

    world.proxy.before = fail
    with suppress(BatchError):
        yield
    world.proxy.before = None
    world.proxy.faults.clear()


@asynccontextmanager
async def failing_after_the_change(world: World) -> AsyncIterator[None]:
    """The table service fails from the first write on that comes after a change."""
    committed: list[str] = []

    async def fail(op: Operation, path: str) -> None:
        if committed and op == "write":
            world.proxy.faults.add("write", 403, 10**6)
            raise ConnectionResetError
        if op == "write" and "DeploymentStatus" in path:
            committed.append(path)

    world.proxy.before = fail
    yield
    world.proxy.before = None
    world.proxy.faults.clear()


async def test_what_was_announced_and_never_committed_is_not_counted(world: World) -> None:
    app = world.app()
    await show(app, "a", SUCCESSFUL)
    async with failing_at_the_change(world):
        await show(app, "a", BACKOFF)
    await timer(app)
    assert world.announced() == [("started", 1, 1, 1, 0)]
    assert list(await wrong_rows(app)) == ["too many"]  # the announcement, whose writer may live
    app.now = LATE
    await timer(app)
    await timer(app)
    assert world.announced()[1:] == [("completed", 1, 1, 1, 0)]
    assert await wrong_rows(app) == {}


async def test_a_change_that_its_writer_could_not_project_is_counted_by_the_next_run(world: World) -> None:
    app = world.app()
    await show(app, "a", SUCCESSFUL)
    device = await show(app, "b", SUCCESSFUL)
    await timer(app)
    async with failing_after_the_change(world):
        await show(app, "a", SUCCESSFUL, "camera-3")
    del app.hub.twins[device]
    async with failing_after_the_change(world):
        await app.handle(app.event(device, b"{}", **DELETED))
    assert (await stored(app))["Devices"] == 2
    await timer(app)
    assert (await stored(app))["Devices"] == 0
    assert world.milestones("camera-3") == ["started"]
    app.now = LATE
    await timer(app)
    assert await wrong_rows(app) == {}
