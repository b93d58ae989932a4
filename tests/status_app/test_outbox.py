"""From a committed row to its event, over real tables, an event hub that refuses and loses, and a real consumer."""

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from app_over_azurite import DELETED, TABLES, App, transitions, writers_are_dead
from azure.data.tables import UpdateMode
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from few_shards import few_shards
from transition_hub import PATIENCE, TRANSITIONS, body, running_hub, stored

from local.clock import utc_now
from local.eventhubs import EventHubs
from local.tables import Operation, TableProxy, is_transaction, table_proxy
from status_app.events import publisher
from status_app.events.cloud_event import cloud_event
from status_app.events.outbox import PAUSE
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index.rows import shard_of, summary_key
from status_app.reconcile.twin_changes import BatchError
from status_app.services import Services

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACKOFF = "048"
FOR_EVER = 10**6
NOW = timedelta(0)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class Transitions:
    """The event hub of these tests, and a consumer that reads it all the time.

    Attributes:
        on_store: Called when a batch is about to be stored.
    """

    def __init__(self) -> None:
        self.namespace = EventHubs({})
        self.on_store: Callable[[], object] | None = None
        self._received: dict[tuple[str, int | None], EventData] = {}
        self._news = asyncio.Event()

    def now(self) -> datetime:
        if self.on_store is not None:
            self.on_store()
        return utc_now()

    def refuse(self, count: int = FOR_EVER) -> None:
        self.namespace.faults.refuse(TRANSITIONS, count)

    async def on_event(self, partition: PartitionContext, event: EventData | None) -> None:
        if event is not None:  # after a cut connection the consumer starts again, and gets it again
            self._received[partition.partition_id, event.sequence_number] = event
            self._news.set()

    async def of(self, app: App) -> dict[str, list[bytes]]:
        """The events of the devices of an app, by device, once the consumer has received all that are stored."""
        async with asyncio.timeout(PATIENCE):
            while len(self._received) < len(stored(self.namespace)):
                self._news.clear()
                await self._news.wait()
        found = defaultdict(list)
        for _, event in sorted(self._received.items()):
            device = (event.partition_key or b"").decode()
            if device.startswith(app.prefix):
                found[device].append(body(event))
        return found


class World:
    """What the app runs in: a table service and an event hub that fail on demand.

    Attributes:
        publications: How many events of a device each call of a publisher had, in order.
    """

    def __init__(self, proxy: TableProxy, transitions: Transitions, publications: list[int]) -> None:
        self.proxy = proxy
        self.transitions = transitions
        self.publications = publications
        self._apps: list[App] = []

    @property
    def settings(self) -> dict[str, str]:
        """Settings of an app that publishes."""
        return {"Transitions": self.transitions.namespace.connection_string(), "TRANSITIONS_HUB": TRANSITIONS}

    def app(self, **settings: str) -> App:
        self._apps.append(App(self.proxy.connection_string, **settings))
        return self._apps[-1]

    async def clean(self) -> None:
        self.transitions.on_store = self.proxy.before = None
        self.transitions.refuse(0)
        self.proxy.faults.clear()
        for app in self._apps:
            for name in TABLES:
                await app.client.delete_table(name)
            await app.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def consumed() -> AsyncIterator[Transitions]:
    """One consumer for all tests: it takes two seconds to start and stop."""
    transitions = Transitions()
    async with running_hub(transitions.now) as transitions.namespace:
        client = EventHubConsumerClient.from_connection_string(
            transitions.namespace.connection_string(TRANSITIONS),
            "$Default",
            load_balancing_interval=0.05,
            retry_backoff_factor=0.01,
        )
        receiving = asyncio.create_task(client.receive(transitions.on_event, starting_position="-1"))
        yield transitions
        await client.close()
        await receiving


@pytest_asyncio.fixture(loop_scope="module")
async def world(tables: str, consumed: Transitions, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    publish, publications = TransitionPublisher.publish, list[int]()

    async def counted(sender: TransitionPublisher, device_id: str, events: Sequence[bytes]) -> None:
        if b'"deviceId":' in events[0]:
            publications.append(len(events))
        await publish(sender, device_id, events)

    monkeypatch.setattr(TransitionPublisher, "publish", counted)
    monkeypatch.setattr(publisher, "RETRY", replace(publisher.RETRY, first_wait=0.0))  # nobody waits for an attempt
    with few_shards():
        async with table_proxy(tables) as proxy:
            world = World(proxy, consumed, publications)
            yield world
            await world.clean()


@pytest.fixture
def app(world: World) -> App:
    return world.app(**world.settings)


def turn(app: App, *devices: str, after: timedelta = MINUTE) -> None:
    """Let time pass, and with a new version let m1 of each device fail if it ran, and run if it failed.

    A device has two transitions by it, and a new device has one.
    """
    app.now += after
    for device in devices:
        status = app.hub.twins[device]["properties"]["reported"]["modules"]["m1"]["runtimeStatus"]
        app.deploy(device, NOW, runtimeStatus="running" if status == "backoff" else "backoff")


async def change(app: App, *devices: str, after: timedelta = MINUTE) -> None:
    """Turn devices, and notify the app."""
    turn(app, *devices, after=after)
    await app.handle(*(app.event(device) for device in devices))


async def handle(services: Services, app: App, device: str) -> None:
    """Notify another process of the app."""
    await (await services.twin_changes()).handle([app.event(device)], attempt=0)


async def events_of_rows(app: App, device: str) -> list[bytes]:
    return [cloud_event(device, row) for row in transitions(await app.rows(device))]


async def fail_largely(app: App, count: int) -> str:
    """A device that was seen running, and all of whose modules fail: a change of more rows than a transaction holds.

    It has two transitions of the device, with one of each module between them.
    """
    device = app.put("large", BACKOFF)
    properties = app.hub.twins[device]["properties"]
    for section in ("desired", "reported"):
        module = properties[section]["modules"]["m1"]
        properties[section]["modules"] = {f"m{number}": module for number in range(count)}
    for status in ("running", "backoff"):
        if status == "backoff":
            await app.handle(app.event(device))
        with app.edit(device, MINUTE) as reported:
            modules = reported["modules"].items()
            reported["modules"] = {name: module | {"runtimeStatus": status} for name, module in modules}
    return device


def shrunk(twin: dict[str, Any], count: int) -> dict[str, Any]:
    """The next version of a twin, with fewer modules."""
    twin = copy.deepcopy(twin) | {"version": twin["version"] + 1}
    modules = twin["properties"]["desired"]["modules"]
    twin["properties"]["desired"]["modules"] = dict(list(modules.items())[:count])
    return twin


async def test_each_row_of_a_change_is_one_event_in_order_and_none_is_left_unsent(world: World, app: App) -> None:
    devices = [app.put("one", BACKOFF), app.put("two", BACKOFF), app.put("o/d|d'é", BACKOFF)]
    await app.handle(*(app.event(device) for device in devices))
    await change(app, *devices)
    await change(app, devices[0])
    expected = {device: await events_of_rows(app, device) for device in devices}
    assert [len(sent) for sent in expected.values()] == [5, 3, 3]
    assert await world.transitions.of(app) == expected
    assert await app.index("publish") == []
    assert len(world.publications) == 7


async def test_a_flag_of_the_timer_is_published_too(world: World, app: App) -> None:
    device = app.put("d", BACKOFF)
    await change(app, device)
    await change(app, device)
    await app.flag_stuck(20 * MINUTE)
    assert transitions(await app.rows(device))[-1]["Kind"] == "stuck"
    assert await world.transitions.of(app) == {device: await events_of_rows(app, device)}
    assert await app.index("publish") == []


async def test_while_the_event_hub_refuses_states_are_on_time_and_later_every_event_comes_once_in_order(
    world: World, app: App
) -> None:
    devices = [app.put(name, BACKOFF) for name in "abc"]
    world.transitions.refuse()
    for number in range(5):
        await change(app, *devices)
        for device in devices:
            row = (await app.rows(device))["device"]
            assert row["State"] == ("module_failed" if number % 2 else "successful")
            assert row["ObservedAt"] == app.now
        with pytest.raises(ExceptionGroup, match="flag_stuck: 2 failed"):
            await app.flag_stuck()
    assert await world.transitions.of(app) == {}
    assert sorted(await app.index("publish")) == devices
    world.transitions.refuse(0)
    await app.flag_stuck(MINUTE)
    expected = {device: await events_of_rows(app, device) for device in devices}
    assert [len(sent) for sent in expected.values()] == [9, 9, 9]
    assert await world.transitions.of(app) == expected
    assert await app.index("publish") == []
    before = len(world.publications)
    await app.flag_stuck(MINUTE)
    assert len(world.publications) == before


async def test_after_a_refusal_nothing_is_sent_during_the_pause(world: World, app: App) -> None:
    first, second = app.put("first", BACKOFF), app.put("second", BACKOFF)
    world.transitions.refuse()
    await change(app, first)
    assert len(world.publications) == 1
    await change(app, second, after=NOW)
    await change(app, first, after=PAUSE - SECOND)
    assert len(world.publications) == 1
    assert sorted(await app.index("publish")) == [first, second]
    await change(app, first, after=SECOND)
    assert len(world.publications) == 2
    world.transitions.refuse(0)
    await change(app, first, after=PAUSE)
    await change(app, first, after=NOW)
    assert world.publications[2:] == [7, 2]
    assert await world.transitions.of(app) == {first: await events_of_rows(app, first)}


async def test_a_timer_tries_one_device_where_the_event_hub_refuses(world: World, app: App) -> None:
    devices = [app.put(f"d{number}", BACKOFF) for number in range(5)]
    world.transitions.refuse()
    await change(app, *devices)
    world.publications.clear()
    with pytest.raises(ExceptionGroup):
        await app.flag_stuck(MINUTE)
    assert len(world.publications) == 1


async def test_a_change_first_sends_the_unsent_events_of_its_device(world: World, app: App) -> None:
    device, other = app.put("d", BACKOFF), app.put("other", BACKOFF)
    world.transitions.refuse()
    await change(app, device, other)
    world.transitions.refuse(0)
    await change(app, device, after=PAUSE)
    assert await world.transitions.of(app) == {device: await events_of_rows(app, device)}
    assert await app.index("publish") == [other]


async def test_a_deletion_is_published_after_the_rest_and_a_new_life_after_it(world: World, app: App) -> None:
    device = app.put("d", BACKOFF)
    world.transitions.refuse()
    await change(app, device)
    world.transitions.refuse(0)
    twin = app.hub.twins.pop(device)
    app.now += MINUTE
    await app.handle(app.event(device, b"{}", **DELETED))
    found = await world.transitions.of(app)
    assert found == {device: await events_of_rows(app, device)}
    assert b'"type":"edge.deployment.device.deleted"' in found[device][1]
    app.hub.twins[device] = twin
    await change(app, device)
    expected = await events_of_rows(app, device)
    assert len(expected) == 3
    assert await world.transitions.of(app) == {device: expected}
    assert await app.index("publish") == []


async def test_where_the_answer_of_a_send_is_lost_the_same_events_come_again(world: World, app: App) -> None:
    device = app.put("d", BACKOFF)

    def lose_the_answer() -> None:
        world.transitions.on_store = None
        world.transitions.namespace.faults.drop_connections()

    world.transitions.on_store = lose_the_answer
    await change(app, device)
    await change(app, device)
    expected = await events_of_rows(app, device)
    assert await world.transitions.of(app) == {device: [*expected[:1], *expected]}
    assert await app.index("publish") == []


async def test_the_announcement_of_an_uncommitted_change_sends_nothing_and_goes_with_its_writer(
    world: World, app: App
) -> None:
    device = app.put("d", BACKOFF)

    async def stop_the_change(_op: Operation, path: str) -> None:
        if is_transaction(path, "DeploymentStatus"):
            raise ConnectionResetError

    world.proxy.before = stop_the_change
    with pytest.raises(BatchError):
        await change(app, device)
    world.proxy.before = None
    for _ in range(2):
        await app.flag_stuck(MINUTE)
        assert len(await app.index("pending")) == 1
    with writers_are_dead():
        await app.flag_stuck(MINUTE)
    assert await app.index() == []
    assert world.publications == []
    await change(app, device)
    assert await world.transitions.of(app) == {device: await events_of_rows(app, device)}


async def test_if_the_tables_fail_between_change_and_send_the_timer_sends(world: World, app: App) -> None:
    device = app.put("d", BACKOFF)
    world.transitions.refuse()
    await change(app, device)
    world.transitions.refuse(0)

    async def fail_after_the_change(_op: Operation, path: str) -> None:
        if is_transaction(path, "DeploymentStatus"):
            world.proxy.before = None
            world.proxy.faults.add("read", 403)  # the events that were unsent before have to be read

    world.proxy.before = fail_after_the_change
    await change(app, device, after=PAUSE)
    expected = await events_of_rows(app, device)
    assert len(expected) == 3
    assert await world.transitions.of(app) == {}
    assert await app.index("publish") == [device]
    await app.flag_stuck(MINUTE)
    assert await world.transitions.of(app) == {device: expected}
    assert await app.index("publish") == []


async def test_if_the_tables_fail_after_a_send_the_timer_sends_the_same_events_again(world: World, app: App) -> None:
    device = app.put("d", BACKOFF)
    await change(app, device)

    def fail_the_next_write() -> None:
        world.transitions.on_store = None
        world.proxy.faults.add("write", 403)

    world.transitions.on_store = fail_the_next_write
    await change(app, device)
    assert len(await app.index("pending")) == 1
    await app.flag_stuck(MINUTE)
    await app.flag_stuck(MINUTE)
    expected = await events_of_rows(app, device)
    assert await world.transitions.of(app) == {device: [*expected, *expected[1:]]}
    assert await app.index("publish") == []


async def test_a_row_that_no_event_can_be_made_of_keeps_no_other_device_waiting(
    world: World, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = app.put("bad", BACKOFF), app.put("good", BACKOFF)
    world.transitions.refuse()
    await change(app, bad, good)
    world.transitions.refuse(0)
    row = transitions(await app.rows(bad))[0] | {"Kind": "of a later release"}
    await app.client.get_table_client("DeploymentStatus").upsert_entity(row)
    await app.flag_stuck(MINUTE)
    assert await world.transitions.of(app) == {good: await events_of_rows(app, good)}
    assert f"device '{bad}': its events cannot be sent" in caplog.text
    assert await app.index("publish") == [bad]
    await change(app, bad)
    assert await app.index("publish") == [bad]
    assert await app.index("pending") == []
    assert f"state|module_failed|{bad}" in await app.index(), "its state is known all the same"


async def test_no_transition_is_trimmed_before_its_event_was_sent(world: World) -> None:
    app = world.app(HISTORY_LIMIT="4", **world.settings)
    device = app.put("d", BACKOFF)
    world.transitions.refuse()
    for _ in range(6):
        await change(app, device)
    expected = await events_of_rows(app, device)
    assert len(expected) == 11
    world.transitions.refuse(0)
    await app.flag_stuck(MINUTE)
    assert await world.transitions.of(app) == {device: expected}
    await change(app, device)
    left = await events_of_rows(app, device)
    assert len(left) == 4
    assert await world.transitions.of(app) == {device: expected + left[-2:]}


async def test_a_change_sends_all_that_is_unsent_before_it_trims_the_history(world: World) -> None:
    app = world.app(HISTORY_LIMIT="4", **world.settings)
    device = app.put("d", BACKOFF)
    world.transitions.refuse()
    for _ in range(6):
        await change(app, device)
    expected = await events_of_rows(app, device)
    world.transitions.refuse(0)
    await change(app, device)
    left = await events_of_rows(app, device)
    assert len(left) == 4
    assert await world.transitions.of(app) == {device: expected + left[-2:]}
    assert await app.index("publish") == []


async def test_a_part_of_a_change_is_sent_once_and_the_rest_when_it_is_committed(world: World, app: App) -> None:
    device = await fail_largely(app, 80)
    batches = 0

    async def stop_the_second_part(_op: Operation, path: str) -> None:
        nonlocal batches
        batches += is_transaction(path, "DeploymentStatus")
        if is_transaction(path, "DeploymentStatus") and batches in (2, 3):  # it is sent once more
            raise ConnectionResetError

    world.proxy.before = stop_the_second_part
    with pytest.raises(BatchError):
        await app.handle(app.event(device))
    world.proxy.before = None
    part = await events_of_rows(app, device)
    for _ in range(3):
        await app.flag_stuck(MINUTE)
    assert await world.transitions.of(app) == {device: part}
    assert (len(await app.index("pending")), await app.index("publish")) == (1, [])
    await app.handle(app.event(device))
    expected = await events_of_rows(app, device)
    assert expected[: len(part)] == part
    assert len(expected) > len(part) > 0
    assert await world.transitions.of(app) == {device: expected}
    assert await app.index("publish") == []


async def test_a_writer_that_lost_the_race_does_not_send_what_the_winner_has_sent(world: World, app: App) -> None:
    device = app.put("d", BACKOFF)
    await change(app, device)
    before = app.hub.twins[device]
    turn(app, device)

    async def be_first_with_less(_op: Operation, path: str) -> None:
        if is_transaction(path, "DeploymentStatus"):
            world.proxy.before = None
            app.hub.twins[device] = before
            with app.edit(device, SECOND) as reported:
                reported["lastDesiredStatus"]["code"] = 406
            await handle(app.another(**world.settings), app, device)

    world.proxy.before = be_first_with_less
    await app.handle(app.event(device))
    assert (await app.index("pending"), await app.index("publish")) == ([], [])
    for _ in range(3):
        await app.flag_stuck(MINUTE)
    expected = await events_of_rows(app, device)
    assert len(expected) == 2
    assert await world.transitions.of(app) == {device: expected}


async def test_a_writer_that_lost_the_race_for_the_index_does_not_send_its_events_again(world: World, app: App) -> None:
    device = app.put("d", BACKOFF)
    await change(app, device)
    index, place = app.client.get_table_client("DeploymentIndex"), (shard_of(device), summary_key(device))

    async def come_first(_op: Operation, path: str) -> None:
        if is_transaction(path, "DeploymentIndex"):
            world.proxy.before = None
            await index.upsert_entity(dict(await index.get_entity(*place)), UpdateMode.REPLACE)

    world.proxy.before = come_first
    world.publications.clear()
    await change(app, device)
    assert world.proxy.before is None
    assert world.publications == [2]
    assert (await app.index("pending"), await app.index("publish")) == ([], [])
    assert await world.transitions.of(app) == {device: await events_of_rows(app, device)}


async def test_a_writer_that_lost_the_race_for_the_index_does_not_send_the_events_of_the_winner(
    world: World, app: App
) -> None:
    device = app.put("d", BACKOFF)
    await change(app, device)

    async def be_first_with_more(_op: Operation, path: str) -> None:
        if is_transaction(path, "DeploymentIndex"):
            world.proxy.before = None
            turn(app, device)
            await handle(app.another(**world.settings), app, device)

    world.proxy.before = be_first_with_more
    world.publications.clear()
    await change(app, device)
    assert world.publications == [2, 4], "the winner cannot know which were sent"
    assert (await app.index("pending"), await app.index("publish")) == ([], [])
    expected = await events_of_rows(app, device)
    assert list(dict.fromkeys((await world.transitions.of(app))[device])) == expected


async def test_a_writer_that_loses_between_two_parts_hides_no_event_of_the_second(world: World) -> None:
    app = world.app(HISTORY_LIMIT="10", **world.settings)
    device = await fail_largely(app, 80)
    batches = 0

    async def come_between(_op: Operation, path: str) -> None:
        nonlocal batches
        if not is_transaction(path, "DeploymentStatus"):
            return
        batches += 1
        if batches == 2:
            app.hub.twins[device] = shrunk(app.hub.twins[device], 60)
            with pytest.raises(BatchError):
                await handle(app.another(**world.settings, HISTORY_LIMIT="10"), app, device)
        elif batches in (3, 4):  # it is sent once more
            raise ConnectionResetError

    world.proxy.before = come_between
    await app.handle(app.event(device))
    world.proxy.before = None
    left = await events_of_rows(app, device)
    found = (await world.transitions.of(app))[device]
    assert len(found) == 82
    assert left == [found[0], *found[-10:]], "the first of the version is kept"
    assert len(await app.index("pending")) == 1  # of the writer that came between
    with writers_are_dead():
        await app.flag_stuck(MINUTE)
    assert (await app.index("pending"), await app.index("publish")) == ([], [])


async def test_two_processes_that_trim_one_history_do_not_fail_each_other(world: World) -> None:
    app = world.app(HISTORY_LIMIT="2", **world.settings)
    device = app.put("d", BACKOFF)
    await change(app, device)
    batches = 0

    async def trim_first(_op: Operation, path: str) -> None:
        nonlocal batches
        batches += is_transaction(path, "DeploymentStatus")
        if batches == 2:
            world.proxy.before = None
            turn(app, device)
            await handle(app.another(**world.settings, HISTORY_LIMIT="2"), app, device)

    world.proxy.before = trim_first
    await change(app, device)
    assert world.proxy.before is None
    assert len(await events_of_rows(app, device)) == 2
    assert len((await world.transitions.of(app))[device]) == 5


async def test_two_processes_that_reconcile_one_device_send_its_events_in_order(world: World, app: App) -> None:
    device = app.put("d", BACKOFF)
    processes = [app.services, app.another(**world.settings)]
    for _ in range(15):
        turn(app, device)
        batches = [handle(services, app, device) for services in processes]
        timers = [(await services.flag_stuck()).run() for services in processes]
        await asyncio.gather(*batches, *timers)
    with writers_are_dead():
        await app.flag_stuck(MINUTE)
    expected = await events_of_rows(app, device)
    assert len(expected) >= 29
    assert list(dict.fromkeys((await world.transitions.of(app))[device])) == expected
    assert await app.index("publish") == []


async def test_without_the_setting_nothing_is_unsent_and_the_history_is_trimmed(world: World) -> None:
    app = world.app(HISTORY_LIMIT="4")
    device = app.put("d", BACKOFF)
    for _ in range(4):
        await change(app, device)
    await app.flag_stuck(MINUTE)
    assert len(await events_of_rows(app, device)) == 4
    assert f"state|module_failed|{device}" in await app.index()
    assert await app.index("publish") == []
    assert await world.transitions.of(app) == {}
