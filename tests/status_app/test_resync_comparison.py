"""The daily comparison of outlines over real tables: what it reads, what it heals, and how it goes on."""

import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import App, fresh_app

from status_app.errors import UnavailableError
from status_app.fleet_index.rows import SHARDS, shard_of, summary_key
from status_app.reconcile import comparison, resync_times

SUCCESSFUL = "003"
EMPTY = "016"
DAY = timedelta(days=1)
APPLIED = {"configurations": {"camera-2": {"status": "Applied"}}}


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables, shards=4) as app:  # it goes from one partition to the next
        yield app


async def settled(app: App, count: int) -> list[str]:
    """A fleet that was compared as a whole, and of which nothing is due any more."""
    devices = [app.put(f"d{number:03d}", SUCCESSFUL, **APPLIED) for number in range(count)]
    await app.handle(*(app.event(device) for device in devices))
    await app.flag_stuck(timedelta(hours=1))
    await app.resync()
    app.hub.reads.clear()
    app.hub.asked.clear()
    return devices


async def test_a_fleet_in_which_nothing_changed_is_compared_once_a_day_without_a_read(app: App) -> None:
    await settled(app, 20)
    before = await app.etags()
    await app.hourly(DAY)
    assert (app.hub.reads, app.hub.asked) == ([], []), "no twin, no page of whole twins"
    assert sorted(name for names in app.hub.outlines_asked for name in names) == sorted(app.hub.twins)
    assert await app.etags() == before
    asked = len(app.hub.outlines_asked)
    await app.hourly()
    assert len(app.hub.outlines_asked) == asked, "the next one is a day later"
    await app.hourly(DAY)
    assert len(app.hub.outlines_asked) == 2 * asked


def is_credited_to_another(app: App, device: str) -> None:
    app.hub.twins[device] |= {"configurations": {"other": {"status": "Applied"}}}


def is_credited_no_longer(app: App, device: str) -> None:
    app.hub.twins[device] |= {"configurations": {"camera-2": {"status": "Targeted"}}}


def has_no_configurations(app: App, device: str) -> None:
    del app.hub.twins[device]["configurations"]


def is_deleted(app: App, device: str) -> None:
    del app.hub.twins[device]


def is_created_again(app: App, device: str) -> None:
    """Under the known version, and the query for changes came too early, since the hub's index lagged."""
    twin = app.hub.twins[device]
    for section in twin["properties"].values():
        section["$metadata"]["$lastUpdated"] = (app.now - timedelta(minutes=30)).isoformat()


@pytest.mark.parametrize(
    "change", [is_credited_to_another, is_credited_no_longer, has_no_configurations, is_deleted, is_created_again]
)
async def test_a_device_that_differs_is_read_and_no_other(app: App, change: Callable[[App, str], None]) -> None:
    one, *_ = await settled(app, 3)
    await app.hourly()
    change(app, one)
    await app.hourly(DAY)
    assert app.hub.reads == [one]
    rows = await app.rows(one)
    assert ("device" in rows) == (one in app.hub.twins)
    if one in app.hub.twins:
        applied = app.hub.twins[one].get("configurations", {})
        credited = [name for name, it in applied.items() if it["status"] == "Applied"]
        assert rows["device"]["Deployments"] == ('["' + '", "'.join(credited) + '"]' if credited else "[]")
    app.hub.reads.clear()
    await app.hourly(DAY)
    assert app.hub.reads == []


async def test_a_change_that_leaves_the_index_as_it_is_costs_one_read_of_the_device_row(app: App) -> None:
    one, *_ = await settled(app, 3)
    app.report(one, timedelta(minutes=1), lastStartTimeUtc="2024-05-02T10:00:00Z")
    await app.handle(app.event(one))
    await app.flag_stuck(timedelta(hours=1))
    app.hub.reads.clear()
    before = await app.etags()
    await app.hourly(DAY)
    assert app.hub.reads == []
    after = await app.etags()
    assert {key[2] for key in after if after[key] != before[key]} <= {f"summary|{one}"}
    assert await compared_singly(app) == 0, "from then on the index has it"


async def compared_singly(app: App) -> int:
    """The number of devices that a comparison takes one by one."""
    singly: list[Any] = []
    reconciler = await app.services.reconciler()
    run = reconciler.run

    async def watched(tasks: Any, *args: Any) -> Any:
        found = [*tasks]
        singly.extend(task for task in found if type(task).__name__ in ("Compared", "Unseen"))
        return await run(found, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciler, "run", watched)
        await app.hourly(DAY)
    return len(singly)


async def test_a_device_that_was_never_written_is_as_it_was(app: App) -> None:
    never = {"$metadata": {"$lastUpdated": "0001-01-01T00:00:00Z"}, "$version": 1}
    one = app.put("never", EMPTY, properties={"desired": never, "reported": never})
    await app.handle(app.event(one))
    await app.resync()
    app.hub.reads.clear()
    await app.hourly(DAY)
    assert app.hub.reads == []


@pytest.mark.parametrize("name", ["it's", "a" * 128])
async def test_a_device_whose_id_no_query_can_name_is_read(app: App, name: str) -> None:
    device = app.put(name[: 128 - len(app.prefix) - 1], SUCCESSFUL)
    await app.handle(app.event(device))
    await app.flag_stuck(timedelta(hours=1))
    await app.resync()
    app.hub.reads.clear()
    await app.hourly(DAY)
    assert app.hub.reads == ([device] if "'" in name else [])


WRONG_ANSWERS: dict[str, Callable[[list[dict[str, Any]]], list[Any]]] = {
    "none": lambda _: [],
    "twice": lambda found: [*found, *found],
    "version null": lambda found: [{**found[0], "version": None}],
    "version as text": lambda found: [{**found[0], "version": "7"}],
    "no version": lambda found: [{name: value for name, value in found[0].items() if name != "version"}],
    "another device": lambda found: [{**found[0], "deviceId": "another"}],
    "no device": lambda found: [{**found[0], "deviceId": ["no text"]}],
    "another module": lambda found: [{**found[0], "moduleId": "$edgeHub"}],
    "no times": lambda found: [{**found[0], "properties": {}}],
    "no configurations": lambda found: [{**found[0], "configurations": "none"}],
    "an earlier version": lambda found: [{**found[0], "version": found[0]["version"] - 1}],
}


async def test_a_wrong_answer_costs_a_read_and_nothing_else(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync_times, "WHOLE_EVERY", timedelta.max)
    (one,) = await settled(app, 1)
    before = await app.etags()
    for name, answer in WRONG_ANSWERS.items():
        app.hub.reads.clear()
        app.hub.outline_answers = answer
        await app.hourly(DAY)
        assert app.hub.reads == [one], name
        assert await app.etags() == before, name


async def test_pages_with_fewer_than_were_asked_for_are_followed_and_one_that_never_ends_is_left(
    app: App,
) -> None:
    names = (f"d{number:03d}" for number in range(200))
    devices = [app.put(name, SUCCESSFUL, **APPLIED) for name in names if shard_of(f"{app.prefix}-{name}") == SHARDS[0]]
    devices = devices[:4]
    await app.handle(*map(app.event, devices))
    app.hub.twins = {device: app.hub.twins[device] for device in devices}
    await app.flag_stuck(timedelta(hours=1))
    await app.resync()
    app.hub.reads.clear()
    app.hub.page_size = 1
    await app.hourly(DAY)
    assert app.hub.reads == []
    app.hub.page_size = 0
    await app.hourly(DAY)
    assert sorted(app.hub.reads) == sorted(devices)


@pytest.mark.parametrize("is_refused", [True, False])
async def test_without_outlines_the_whole_fleet_is_compared_each_day_and_a_warning_logged(
    app: App, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    monkeypatch.setattr(comparison, "ENOUGH", 1)
    one, two, *_ = await settled(app, 3)
    app.hub.refuses_outlines = is_refused
    if not is_refused:  # it leaves out what it does not know
        app.hub.outline_answers = lambda found: [
            {name: value for name, value in outline.items() if name != "configurations"} for outline in found
        ]
    is_credited_to_another(app, one)
    is_deleted(app, two)
    with caplog.at_level(logging.WARNING):
        await app.hourly(DAY)
    assert "refuses the query for outlines" in caplog.text
    assert app.hub.reads == [two]
    assert (await app.rows(one))["device"]["Deployments"] == '["other"]'
    assert "device" not in await app.rows(two)
    asked = len(app.hub.asked)
    await app.hourly()
    assert len(app.hub.asked) == asked
    await app.hourly(DAY)
    assert len(app.hub.asked) > asked


async def test_a_comparison_goes_on_where_the_last_run_stopped(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = await settled(app, 12)
    is_credited_to_another(app, devices[0])
    answer = app.hub.outlines
    asked: list[Any] = []

    async def fails(device_ids: Any, *args: Any) -> Any:
        asked.append(device_ids)
        if len(asked) == 2:
            raise UnavailableError("iothub", "answer 503")
        return await answer(device_ids, *args)

    monkeypatch.setattr(app.hub, "outlines", fails)
    await app.hourly(DAY)
    await app.hourly()
    assert asked.pop(1) == asked[1]
    assert sorted(name for names in asked for name in names) == sorted(devices)
    assert app.hub.reads == [devices[0]]


async def test_a_hub_that_does_not_answer_fails_the_run(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await settled(app, 2)

    async def fails(*_: Any) -> Any:
        raise UnavailableError("iothub", "answer 503")

    monkeypatch.setattr(app.hub, "outlines", fails)
    with pytest.RaisesGroup(UnavailableError):
        await app.hourly(DAY)


async def test_a_week_and_a_release_bring_whole_twins(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await settled(app, 2)
    for _ in range(6):
        await app.hourly(DAY)
    assert app.hub.asked == []
    await app.hourly(DAY)
    assert app.hub.asked == [None]
    monkeypatch.setattr(resync_times, "VERSION", "another")
    await app.hourly()
    assert app.hub.asked == [None, None]


async def test_other_settings_bring_whole_twins(app: App) -> None:
    await settled(app, 2)
    app.restart(GRACE_DEFAULT="PT30M")
    await app.hourly()
    await app.hourly()
    assert app.hub.asked == [None]


async def test_a_damaged_summary_costs_one_read_of_the_device_row_and_is_repaired(app: App) -> None:
    one, _ = await settled(app, 2)
    table = app.client.get_table_client("DeploymentIndex")
    key = {"PartitionKey": shard_of(one), "RowKey": summary_key(one)}
    before = await table.get_entity(key["PartitionKey"], key["RowKey"])
    await table.update_entity({**key, "Flags": "{"})
    assert await compared_singly(app) == 1
    assert app.hub.reads == []
    assert await table.get_entity(key["PartitionKey"], key["RowKey"]) == before
