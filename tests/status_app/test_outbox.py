"""From a committed row to its event: real tables, an event hub that refuses and loses, and a real consumer."""

import asyncio
import copy
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from app_over_azurite import App, transitions
from transition_hub import TRANSITIONS, body, received, running_hub, stored

from local.azurite import azurite_tables
from local.clock import utc_now
from local.eventhubs import EventHubs
from local.tables import Operation, TableProxy, table_proxy
from status_app.events.cloud_event import cloud_event
from status_app.events.outbox import PAUSE
from status_app.events.publisher import TransitionPublisher
from status_app.tables.deployment_index import WRITERS_END_AFTER
from status_app.twin_changes import BatchError

BACKOFF = "048"
FOR_EVER = 10**6
MINUTE = timedelta(minutes=1)
DELETION = {"iothub-message-schema": "deviceLifecycleNotification", "opType": "deleteDeviceIdentity", "moduleId": ""}


class World:
    """What the app runs in: a table service and an event hub that fail as they are told to.

    Attributes:
        publications: How many events of a device each call of a publisher was about, in order.
        on_store: Called when the event hub is about to store a batch.
    """

    def __init__(self, proxy: TableProxy) -> None:
        self.proxy = proxy
        self.event_hubs = EventHubs({})
        self.publications: list[int] = []
        self.on_store: Callable[[], object] | None = None
        self.apps: list[App] = []

    def now(self) -> datetime:
        if self.on_store is not None:
            self.on_store()
        return utc_now()

    def app(self, *, publishes: bool = True, **settings: str) -> App:
        """The app with a clock of its own: one process."""
        if publishes:
            settings |= {"Transitions": self.event_hubs.connection_string(), "TRANSITIONS_HUB": TRANSITIONS}
        self.apps.append(App(self.proxy.connection_string, **settings))
        return self.apps[-1]

    def refuse(self, count: int = FOR_EVER) -> None:
        self.event_hubs.faults.refuse(TRANSITIONS, count)

    async def clean(self) -> None:
        self.proxy.before = None
        self.proxy.faults.clear()
        for app in self.apps:
            await app.services.close()
            for name in ("DeploymentStatus", "DeploymentIndex"):
                await app.client.delete_table(name)
            await app.client.close()


@pytest.fixture(scope="module")
def tables() -> Iterator[str]:
    """A table service of these tests alone: a timer sends every event that is unsent."""
    with azurite_tables() as connection_string:
        yield connection_string


@pytest.fixture
async def world(tables: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    publish = TransitionPublisher.publish
    monkeypatch.setattr("status_app.events.publisher.FIRST_WAIT", 0)  # nobody waits for an attempt
    async with table_proxy(tables) as proxy:
        world = World(proxy)

        async def counted(publisher: TransitionPublisher, key: str, events: Sequence[bytes]) -> None:
            if is_of_a_device(events[0]):
                world.publications.append(len(events))
            await publish(publisher, key, events)

        monkeypatch.setattr(TransitionPublisher, "publish", counted)
        async with running_hub(world.now) as world.event_hubs:
            yield world
            await world.clean()


def is_of_a_device(event: bytes) -> bool:
    """Whether an event is about one device, and not about a deployment."""
    return "deviceId" in json.loads(event)["data"]


def turn(app: App, *devices: str, after: timedelta = MINUTE) -> None:
    """Let time pass, and the module m1 of devices fail where it ran, and run where it failed: two transitions each."""
    app.now += after
    for device in devices:
        twin = app.hub.twins[device] = copy.deepcopy(app.hub.twins[device])
        twin["version"] += 1
        reported = twin["properties"]["reported"]
        reported["$metadata"]["$lastUpdated"] = app.now.isoformat()
        module = reported["modules"]["m1"]
        module["runtimeStatus"] = "running" if module["runtimeStatus"] == "backoff" else "backoff"


async def change(app: App, *devices: str, after: timedelta = MINUTE) -> None:
    turn(app, *devices, after=after)
    await app.handle(*(app.event(device) for device in devices))


async def timer(app: App, after: timedelta = MINUTE) -> None:
    app.now += after
    await (await app.services.flag_stuck()).run()


async def unsent(app: App) -> list[str]:
    """The row keys of the index rows of events that are not sent."""
    table = app.client.get_table_client("DeploymentIndex")
    return [
        row["RowKey"] async for row in table.query_entities("PartitionKey ge 'unsent:' and PartitionKey lt 'unsent;'")
    ]


async def events_of_rows(app: App, device: str) -> list[bytes]:
    return [cloud_event(device, row) for row in transitions(await app.rows(device))]


async def events(world: World) -> dict[str, list[bytes]]:
    """What a consumer gets now, by device."""
    found = defaultdict(list)
    for event in await received(world.event_hubs, len(stored(world.event_hubs))):
        assert event.partition_key is not None
        if is_of_a_device(body(event)):
            found[event.partition_key.decode()].append(body(event))
    return found


async def test_each_row_of_a_change_is_one_event_in_order_and_nothing_is_left_unsent(world: World) -> None:
    app = world.app()
    devices = [app.put("one", BACKOFF), app.put("two", BACKOFF), app.put("o/d|d'é", BACKOFF)]
    await app.handle(*(app.event(device) for device in devices))
    await change(app, *devices)
    await change(app, devices[0])
    expected = {device: await events_of_rows(app, device) for device in devices}
    assert [len(sent) for sent in expected.values()] == [7, 5, 5]
    assert await events(world) == expected
    assert await unsent(app) == []
    assert len(world.publications) == 7


async def test_what_is_flagged_by_the_timer_is_published_too(world: World) -> None:
    app = world.app()
    device = app.put("d", BACKOFF)
    await change(app, device)
    await change(app, device)
    await timer(app, 20 * MINUTE)
    rows = await app.rows(device)
    assert transitions(rows)[-1]["Kind"] == "stuck"
    assert await events(world) == {device: await events_of_rows(app, device)}
    assert await unsent(app) == []


async def test_while_the_event_hub_refuses_states_are_on_time_and_later_every_event_comes_once_in_order(
    world: World,
) -> None:
    app = world.app()
    devices = [app.put(name, BACKOFF) for name in "abc"]
    world.refuse()
    for number in range(5):
        await change(app, *devices)
        for device in devices:
            row = (await app.rows(device))["device"]
            assert row["State"] == ("module_failed" if number % 2 else "successful")
            assert row["ObservedAt"] == app.now
        with pytest.raises(ExceptionGroup, match="flag_stuck: 2 failed"):
            await timer(app, timedelta(0))
    assert stored(world.event_hubs) == []
    assert len(await unsent(app)) == 15
    world.refuse(0)
    await timer(app)
    expected = {device: await events_of_rows(app, device) for device in devices}
    assert [len(sent) for sent in expected.values()] == [11, 11, 11]
    assert await events(world) == expected
    assert await unsent(app) == []
    before = len(world.publications)
    await timer(app)
    assert len(world.publications) == before


async def test_after_a_refusal_nothing_is_tried_for_the_length_of_the_pause(world: World) -> None:
    app = world.app()
    first, second = app.put("first", BACKOFF), app.put("second", BACKOFF)
    world.refuse()
    await change(app, first)
    assert len(world.publications) == 1
    await change(app, second, after=timedelta(0))
    await change(app, first, after=PAUSE - timedelta(seconds=1))
    assert len(world.publications) == 1
    assert len(await unsent(app)) == 3
    await change(app, first, after=timedelta(seconds=1))
    assert len(world.publications) == 2
    world.refuse(0)
    await change(app, first, after=PAUSE)
    await change(app, first, after=timedelta(0))
    assert world.publications[2:] == [9, 2]
    assert await events(world) == {first: await events_of_rows(app, first)}


async def test_a_timer_tries_one_device_where_the_event_hub_refuses(world: World) -> None:
    app = world.app()
    devices = [app.put(f"d{number}", BACKOFF) for number in range(5)]
    world.refuse()
    await change(app, *devices)
    world.publications.clear()
    with pytest.raises(ExceptionGroup):
        await timer(app)
    assert len(world.publications) == 1


async def test_a_change_sends_what_is_unsent_of_its_device_first(world: World) -> None:
    app = world.app()
    device, other = app.put("d", BACKOFF), app.put("other", BACKOFF)
    world.refuse()
    await change(app, device, other)
    world.refuse(0)
    await change(app, device, after=PAUSE)
    assert await events(world) == {device: await events_of_rows(app, device)}
    assert [key.partition("|")[0] for key in await unsent(app)] == [other]


async def test_a_deletion_is_published_after_the_rest_and_a_new_life_after_it(world: World) -> None:
    app = world.app()
    device = app.put("d", BACKOFF)
    world.refuse()
    await change(app, device)
    world.refuse(0)
    twin = app.hub.twins.pop(device)
    app.now += MINUTE
    await app.handle(app.event(device, b"{}", **DELETION))
    found = (await events(world))[device]
    assert found == await events_of_rows(app, device)
    assert b'"type":"edge.deployment.device.deleted"' in found[-1]
    app.hub.twins[device] = twin
    await change(app, device)
    expected = await events_of_rows(app, device)
    assert len(expected) == 7
    assert await events(world) == {device: expected}
    assert await unsent(app) == []


async def test_where_the_answer_of_a_send_is_lost_the_same_events_come_again(world: World) -> None:
    app = world.app()
    device = app.put("d", BACKOFF)

    def lose_the_answer() -> None:
        world.on_store = None
        world.event_hubs.faults.drop_connections()

    world.on_store = lose_the_answer
    await change(app, device)
    await change(app, device)
    expected = await events_of_rows(app, device)
    assert await events(world) == {device: [*expected[:3], *expected]}
    assert await unsent(app) == []


async def test_an_unsent_row_whose_change_was_never_committed_sends_nothing_and_goes_after_its_writer(
    world: World,
) -> None:
    app = world.app()
    device = app.put("d", BACKOFF)

    async def stop_the_change(_op: Operation, path: str) -> None:
        if "$batch" in path:
            raise ConnectionResetError

    world.proxy.before = stop_the_change
    with pytest.raises(BatchError):
        await change(app, device)
    world.proxy.before = None
    assert len(await unsent(app)) == 1
    await timer(app, WRITERS_END_AFTER - timedelta(seconds=1))
    assert len(await unsent(app)) == 1
    await timer(app, timedelta(seconds=1))
    assert await unsent(app) == []
    assert world.publications == []
    await change(app, device)
    assert await events(world) == {device: await events_of_rows(app, device)}


@pytest.mark.parametrize("reads", [1, 2], ids=["the index", "the transitions"])
async def test_where_the_tables_fail_between_change_and_send_the_timer_sends(world: World, reads: int) -> None:
    app = world.app()
    device = app.put("d", BACKOFF)
    await change(app, device)

    async def fail_after_the_change(op: Operation, path: str) -> None:
        nonlocal reads
        if "$batch" in path or (op == "read" and reads == 1):
            reads -= 1
            world.proxy.faults.add("read", 403, reads == 0)

    world.proxy.before = fail_after_the_change
    await change(app, device)
    world.proxy.before = None
    world.proxy.faults.clear()
    assert len(await events_of_rows(app, device)) == 5
    assert len(stored(world.event_hubs)) == 3
    assert len(await unsent(app)) == 1
    await timer(app)
    assert await events(world) == {device: await events_of_rows(app, device)}
    assert await unsent(app) == []


async def test_where_the_tables_fail_after_a_send_the_timer_sends_the_same_events_again(world: World) -> None:
    app = world.app()
    device = app.put("d", BACKOFF)
    await change(app, device)

    def fail_the_next_write() -> None:
        world.on_store = None
        world.proxy.faults.add("write", 403)

    world.on_store = fail_the_next_write
    await change(app, device)
    assert len(await unsent(app)) == 1
    await timer(app)
    await timer(app)
    expected = await events_of_rows(app, device)
    assert await events(world) == {device: [*expected, *expected[3:]]}
    assert await unsent(app) == []


async def test_no_transition_goes_before_its_event_was_sent(world: World) -> None:
    app = world.app(HISTORY_LIMIT="4")
    device = app.put("d", BACKOFF)
    world.refuse()
    for _ in range(6):
        await change(app, device)
    expected = await events_of_rows(app, device)
    assert len(expected) == 13
    world.refuse(0)
    await timer(app)
    assert await events(world) == {device: expected}
    await change(app, device)
    expected += (await events_of_rows(app, device))[-2:]
    assert len(await events_of_rows(app, device)) == 4
    assert await events(world) == {device: expected}


async def test_without_the_setting_nothing_is_unsent_and_the_history_is_trimmed(world: World) -> None:
    app = world.app(publishes=False, HISTORY_LIMIT="4")
    device = app.put("d", BACKOFF)
    written: list[str] = []

    async def note(op: Operation, path: str) -> None:
        if op == "write":
            written.append(path)

    world.proxy.before = note
    for _ in range(4):
        await change(app, device)
    await timer(app)
    assert len(await events_of_rows(app, device)) == 4
    assert not any("unsent" in path for path in written)
    assert await unsent(app) == []
    assert stored(world.event_hubs) == []


async def test_two_processes_that_look_at_one_device_send_its_events_in_order(world: World) -> None:
    apps = [world.app(), world.app()]
    device = apps[0].put("d", BACKOFF)
    apps[1].hub.twins = apps[0].hub.twins
    for _ in range(15):
        turn(apps[0], device)
        apps[1].now = apps[0].now
        looks = [app.handle(app.event(device)) for app in apps]
        timers = [timer(app, timedelta(0)) for app in apps]
        await asyncio.gather(*looks, *timers)
    await timer(apps[0], WRITERS_END_AFTER)
    expected = await events_of_rows(apps[0], device)
    assert len(expected) == 31
    assert list(dict.fromkeys((await events(world))[device])) == expected
    assert await unsent(apps[0]) == []
