"""Twins of a batch by one query: when it is made, which of its twins count, and that it can only cost time."""

import copy
import itertools
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import CREATED, DELETED, App, transitions

from status_app.iothub import queries
from status_app.iothub.breaker import PROBES
from status_app.reconcile.bulk_reads import CLOCKS_OF_THE_HUB, ENOUGH, PAUSE
from status_app.reconcile.decisions import QUERIES_LAG

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
type Twin = dict[str, Any]
type Answer = list[Twin]


async def known(app: App, count: int = ENOUGH) -> list[str]:
    """Devices that were read once, and none of whose twins has changed since."""
    devices = [app.put(f"d{number:03}", "003") for number in range(count)]
    for few in itertools.batched(devices, ENOUGH - 1, strict=False):
        await app.handle(*map(app.event, few))
    app.hub.reads.clear()
    assert app.hub.queried == []
    return devices


async def change(app: App, devices: list[str], after: timedelta = MINUTE, **properties: str) -> None:
    """Let m1 of each device fail, and handle the notifications of that in one batch."""
    app.now += after
    for device in devices:
        app.report(device, timedelta(0), runtimeStatus="backoff")
    await app.handle(*(app.event(device, **properties) for device in devices))


async def states(app: App, devices: list[str]) -> set[str]:
    return {(await app.rows(device))["device"]["State"] for device in devices}


async def test_one_query_gives_the_twins_of_a_batch(app: App) -> None:
    devices = await known(app)
    await change(app, devices)
    assert [sorted(asked) for asked in app.hub.queried] == [devices]
    assert app.hub.reads == []
    assert await states(app, devices) == {"module_failed"}


async def test_new_devices_are_queried_though_they_were_just_created(app: App) -> None:
    devices = [app.put(f"new{number}", "003") for number in range(ENOUGH)]
    for device in devices:
        app.report(device, timedelta(0), runtimeStatus="backoff")
    await app.handle(*(app.event(device, **kind) for device in devices for kind in (CREATED, {})))
    assert (len(app.hub.queried), app.hub.reads) == (1, [])
    assert await states(app, devices) == {"module_failed"}


async def test_devices_that_have_never_reported_are_queried(app: App) -> None:
    devices = [app.put(f"new{number}", "003") for number in range(ENOUGH)]
    app.now += MINUTE
    for device in devices:
        with app.edit(device, timedelta(0), "desired"):
            never = {"$version": 1, "$metadata": {"$lastUpdated": "0001-01-01T00:00:00Z"}}
        app.hub.twins[device]["properties"]["reported"] = never
    await app.handle(*map(app.event, devices))
    assert (len(app.hub.queried), app.hub.reads) == (1, [])
    assert await states(app, devices) == {"pending"}


async def test_few_devices_are_read_one_by_one(app: App) -> None:
    devices = await known(app, ENOUGH - 1)
    await change(app, devices)
    assert app.hub.queried == []
    assert sorted(app.hub.reads) == devices


def without(twin: Twin, key: str) -> Twin:
    return {name: value for name, value in twin.items() if name != key}


def stale(twin: Twin) -> Answer:
    return [twin | {"version": twin["version"] - 1}]


def dated(twin: Twin, time: str) -> Twin:
    found = copy.deepcopy(twin)
    for section in found["properties"].values():
        section["$metadata"]["$lastUpdated"] = time
    return found


def earlier(twin: Twin) -> Answer:
    """An identity that was there before: of a higher version, changed long ago."""
    return [dated(twin, "2024-05-02T08:00:00Z") | {"version": twin["version"] + 100}]


def timeless(twin: Twin) -> Answer:
    """Its reported section has no time of its change."""
    found = copy.deepcopy(twin)
    del found["properties"]["reported"]["$metadata"]
    return [found]


def half(twin: Twin) -> Answer:
    return [twin | {"properties": {"desired": twin["properties"]["desired"]}}]


def answer_of(kinds: Sequence[Callable[[Twin], Answer]]) -> Callable[[Answer], Answer]:
    """An answer in which each kind takes the place of the twin of some device."""

    def answer(twins: Answer) -> Answer:
        assert len(twins) >= len(kinds)
        return [found for twin, kind in zip(twins, itertools.cycle(kinds), strict=False) for found in kind(twin)]

    return answer


async def test_a_twin_that_is_not_as_good_as_a_read_is_read(app: App) -> None:
    kinds: list[Callable[[Twin], Answer]] = [
        lambda twin: [twin, twin],
        lambda twin: [twin | {"deviceId": "another"}],
        lambda twin: [twin | {"moduleId": "$edgeHub"}],
        lambda twin: [twin | {"version": str(twin["version"])}],
        lambda twin: [without(twin, "version")],
        lambda twin: [without(twin, "properties")],
        lambda twin: [without(twin, "deviceId")],
        half,
        timeless,
        stale,
        earlier,
    ]
    devices = await known(app, len(kinds))
    app.hub.answers = answer_of(kinds)
    await change(app, devices)
    assert len(app.hub.queried) == 1
    assert sorted(app.hub.reads) == devices
    assert await states(app, devices) == {"module_failed"}


async def test_true_is_not_version_1(app: App) -> None:
    devices = [app.put(f"new{number}", "003", version=0) for number in range(ENOUGH)]
    for device in devices:
        app.report(device, timedelta(0))
    app.hub.answers = lambda twins: [twin | {"version": True} for twin in twins]
    await app.handle(*map(app.event, devices))
    assert (len(app.hub.queried), sorted(app.hub.reads)) == (1, devices)


@pytest.mark.parametrize("answer", [None, []], ids=["refused", "empty"])
async def test_where_a_query_gives_nothing_every_device_is_read(app: App, answer: Answer | None) -> None:
    devices = await known(app)
    app.hub.answers = lambda _: answer
    await change(app, devices)
    assert sorted(app.hub.reads) == devices
    assert await states(app, devices) == {"module_failed"}


async def test_of_half_an_answer_the_other_half_is_read(app: App) -> None:
    devices = await known(app)
    app.hub.answers = lambda twins: twins[: ENOUGH // 2]
    await change(app, devices)
    assert sorted(app.hub.reads) == devices[ENOUGH // 2 :]
    await change(app, devices)
    assert len(app.hub.queried) == 2, "half of it was of use"


async def test_after_an_answer_of_which_less_than_half_is_new_enough_no_query_is_made_for_two_minutes(app: App) -> None:
    devices = await known(app)
    app.hub.answers = lambda twins: twins[: ENOUGH // 2 - 1]
    await change(app, devices)
    app.hub.answers = list
    await change(app, devices, PAUSE - SECOND)
    assert len(app.hub.queried) == 1
    await change(app, devices, SECOND)
    assert len(app.hub.queried) == 2


async def test_a_twin_may_be_stamped_a_little_before_its_notification(app: App) -> None:
    devices = await known(app)
    late = (app.now + MINUTE + CLOCKS_OF_THE_HUB).isoformat()
    await change(app, devices, operationTimestamp=late)
    assert app.hub.reads == []
    later = (app.now + MINUTE + CLOCKS_OF_THE_HUB + SECOND).isoformat()
    await change(app, devices, operationTimestamp=later)
    assert sorted(app.hub.reads) == devices


@pytest.mark.parametrize(
    "properties", [{"operationTimestamp": ""}, CREATED, DELETED], ids=["no time", "created", "deleted"]
)
async def test_a_notification_that_leaves_the_identity_in_doubt_asks_for_a_read(
    app: App, properties: dict[str, str]
) -> None:
    devices = await known(app)
    await change(app, devices, MINUTE, **properties)
    assert (app.hub.queried, sorted(app.hub.reads)) == ([], devices)


async def test_a_device_that_was_removed_is_read(app: App) -> None:
    devices = await known(app)
    twins = dict(app.hub.twins)
    app.hub.twins.clear()
    await app.handle(*(app.event(device, **DELETED) for device in devices))
    assert [device for device in devices if "device" in await app.rows(device)] == []
    app.hub.twins |= twins
    app.hub.reads.clear()
    await change(app, devices)
    assert (app.hub.queried, sorted(app.hub.reads)) == ([], devices)


async def test_a_queried_twin_holds_up_to_its_last_change_or_until_ten_minutes_before_the_query(
    app: App,
) -> None:
    devices = await known(app)
    await change(app, devices)
    changed = app.now
    assert {(await app.rows(device))["device"]["ObservedAt"] for device in devices} == {changed}
    app.now += SECOND
    for device in devices:
        app.report(device, timedelta(0), runtimeStatus="failed")
    events = [app.event(device) for device in devices]
    app.now += QUERIES_LAG + MINUTE
    await app.handle(*events)
    assert (len(app.hub.queried), app.hub.reads) == (2, [])
    assert {(await app.rows(device))["device"]["ObservedAt"] for device in devices} == {app.now - QUERIES_LAG}


async def test_a_twin_that_is_no_later_than_the_stored_one_is_read(app: App) -> None:
    """Its notification came after the time up to which the stored twin holds: the identity may be another one."""
    devices = await known(app)
    await change(app, devices)
    app.now += SECOND
    await app.handle(*map(app.event, devices))
    assert (len(app.hub.queried), sorted(app.hub.reads)) == (2, devices)


async def test_a_clock_does_not_end_by_a_queried_twin_that_may_have_changed_since(app: App) -> None:
    devices = await known(app)
    app.now += MINUTE
    for device in devices:
        app.deploy(device, timedelta(0))
    await app.handle(*map(app.event, devices))
    for device in devices:
        app.report(device, timedelta(seconds=0 if device != devices[0] else 30), exitCode=0)
    events = [app.event(device) for device in devices]
    app.now += timedelta(minutes=5)  # the window of STABLE_AFTER is over by now, and not by the twin's last change
    await app.handle(*events)
    assert (len(app.hub.queried), app.hub.reads) == (2, [])
    kinds = [row["ToState"] for device in devices for row in transitions(await app.rows(device))[1:]]
    assert "successful" not in kinds
    await app.flag_stuck()
    assert {transitions(await app.rows(device))[-1]["ToState"] for device in devices} == {"successful"}


def test_ids_of_any_legal_character_are_queried_but_for_the_quote_which_a_literal_cannot_hold() -> None:
    legal = "azAZ09-.+%_#*?!(),:=@$"
    assert list(queries.portions([legal, "it's", "a" * 129, ""])) == [[legal]]
    assert f"['{legal}']" in queries.of_devices([legal])


def test_a_query_has_at_most_a_hundred_devices_and_no_more_characters_than_the_hub_takes() -> None:
    short = [f"d{number}" for number in range(250)]
    assert [len(portion) for portion in queries.portions(short)] == [100, 100, 50]
    long = [f"{number:0128}" for number in range(150)]
    portions = list(queries.portions(long))
    assert [device for portion in portions for device in portion] == long
    lengths = [len(queries.of_devices(portion)) for portion in portions]
    assert max(lengths) <= queries.LIMIT < max(lengths) + 128


async def overdue(app: App, since: timedelta) -> list[str]:
    """Devices whose m1 failed, and whose grace has been over for so long."""
    devices = await known(app, ENOUGH + PROBES)
    await change(app, devices)
    app.hub.queried.clear()
    app.now += 15 * MINUTE + since
    return devices


async def stuck(app: App, devices: list[str]) -> set[str]:
    return {device for device in devices if "StuckSince" in (await app.rows(device))["module:m1"]}


async def test_a_deadline_that_has_been_over_for_as_long_as_queries_lag_ends_by_one_query(app: App) -> None:
    devices = await overdue(app, QUERIES_LAG)
    await app.flag_stuck()
    assert len(app.hub.reads) == PROBES, "these go first, and show whether the hub answers"
    assert [{*asked} for asked in app.hub.queried] == [{*devices} - {*app.hub.reads}]
    assert await stuck(app, devices) == {*devices}
    app.hub.queried.clear()
    await app.flag_stuck(MINUTE)
    assert app.hub.queried == [], "nothing is due any more"


async def test_a_deadline_that_is_just_over_ends_by_reads(app: App) -> None:
    devices = await overdue(app, QUERIES_LAG - SECOND)
    await app.flag_stuck()
    assert (app.hub.queried, sorted(app.hub.reads)) == ([], devices)
    assert await stuck(app, devices) == {*devices}


def another_identity(twin: Twin) -> Answer:
    """An identity of the same version that was created later."""
    return [dated(twin, "2024-05-02T09:20:00Z")]


@pytest.mark.parametrize(
    "answer",
    [answer_of([stale, earlier, timeless, half, another_identity]), lambda _: [], lambda _: None],
    ids=["of another", "empty", "refused"],
)
async def test_a_queried_twin_that_may_be_another_ends_no_deadline(
    app: App, answer: Callable[[Answer], Answer | None]
) -> None:
    devices = await overdue(app, QUERIES_LAG)
    app.hub.answers = answer
    await app.flag_stuck()
    assert len(app.hub.queried) == 1
    assert sorted(app.hub.reads) == devices


async def test_a_later_twin_ends_the_clock_that_had_run_out_before_it_changed(app: App) -> None:
    devices = await overdue(app, QUERIES_LAG)
    for device in devices:
        app.report(device, timedelta(0), runtimeStatus="running")
    await app.flag_stuck(SECOND)
    assert len(app.hub.reads) == PROBES
    assert await states(app, devices) == {"successful"}
