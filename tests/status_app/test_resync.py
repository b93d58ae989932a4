"""The timer of the whole fleet over real tables: what it heals, what it leaves, and how it goes on."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from app_over_azurite import CREATED, DELETED, START, App, flags, states, transitions
from azure.data.tables.aio import TableClient

from status_app.errors import UnavailableError
from status_app.iothub.twins import TwinPage
from status_app.reconcile.decisions import QUERIES_LAG
from status_app.reconcile.resync_position import Cycle, ResyncPosition, digest
from status_app.status_table.commit import Change, DeviceCommit
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.columns import Row
from status_core import DeploymentStatus, evaluate

BACKOFF = "048"
SUCCESSFUL = "003"
NOW = timedelta(0)
MINUTE = timedelta(minutes=1)
GRACE = 15 * MINUTE


async def fleet(app: App, count: int) -> list[str]:
    """Devices that the app has seen."""
    devices = [app.put(f"d{number:02d}", SUCCESSFUL) for number in range(count)]
    await app.handle(*(app.event(device) for device in devices))
    return devices


async def known(app: App) -> list[str]:
    """The devices that have a state."""
    table = app.client.get_table_client("DeploymentStatus")
    return sorted([row["PartitionKey"] async for row in table.query_entities("RowKey eq 'device'")])


def position(app: App) -> TableClient:
    return app.client.get_table_client("DeploymentIndex")


async def test_a_fleet_that_was_there_before_the_app_is_filled_by_one_run(app: App) -> None:
    cases = {"successful": SUCCESSFUL, "module_failed": BACKOFF, "pending": "002", "no_deployment": "016"}
    devices = {app.put(state, case): state for state, case in cases.items()}
    app.hub.page_size = 3
    await app.resync()
    assert {device: (await app.rows(device))["device"]["State"] for device in devices} == devices
    assert app.hub.reads == []
    assert len(await app.index("state")) == len(devices)
    assert await app.index("resync") == []


async def test_a_twin_that_cannot_be_judged_costs_only_its_device(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, well = app.put("bad", SUCCESSFUL), app.put("well", SUCCESSFUL)

    def judge(twin: Any, *, now: datetime | None = None) -> DeploymentStatus:
        if twin["deviceId"] == bad:
            raise RuntimeError("a bug")
        return evaluate(twin, now=now)

    monkeypatch.setattr("status_app.reconcile.tasks.evaluate", judge)
    with pytest.raises(ExceptionGroup, match="1 failed"):
        await app.resync()
    assert await known(app) == [well]


def fails(app: App, device: str) -> dict[str, str]:
    app.report(device, NOW, runtimeStatus="backoff", exitCode=1)
    return {}


def runs_again(app: App, device: str) -> dict[str, str]:
    app.report(device, NOW, runtimeStatus="running", exitCode=0)
    return {}


def wants_another_version(app: App, device: str) -> dict[str, str]:
    with app.edit(device, NOW, "desired") as desired:
        desired["modules"]["m1"]["settings"]["image"] = "sensor:2"
        desired["modules"]["m2"] = desired["modules"].pop("m1")
    return {}


def is_credited_to_another_deployment(app: App, device: str) -> dict[str, str]:
    app.hub.twins[device] = app.hub.twins[device] | {"configurations": {"other": {"status": "Applied"}}}
    return {"operationTimestamp": (app.now + MINUTE).isoformat()}  # its version is not a new one


def is_deleted(app: App, device: str) -> dict[str, str]:
    del app.hub.twins[device]
    return DELETED


def is_created_again(app: App, device: str) -> dict[str, str]:
    app.put(device.partition("-")[2], "005", version=2)
    for section in ("desired", "reported"):
        app.hub.twins[device]["properties"][section]["$metadata"]["$lastUpdated"] = app.now.isoformat()
    return CREATED


@pytest.mark.parametrize(
    ("change", "case"),
    [
        (fails, SUCCESSFUL),
        (runs_again, BACKOFF),
        (wants_another_version, SUCCESSFUL),
        (wants_another_version, BACKOFF),
        (is_credited_to_another_deployment, BACKOFF),
        (is_deleted, BACKOFF),
        (is_created_again, BACKOFF),
    ],
)
async def test_what_a_lost_notification_left_behind_becomes_what_its_arrival_would_have_made(
    app: App, change: Callable[[App, str], dict[str, str]], case: str
) -> None:
    notified, missed = app.put("notified", case), app.put("missed", case)
    for device in (notified, missed):
        app.report(device, NOW)
    await app.handle(app.event(notified), app.event(missed))
    await app.flag_stuck(2 * GRACE)
    app.now += MINUTE
    for device in (notified, missed):
        properties = change(app, device)
    await app.handle(app.event(notified, **properties))
    assert states(await app.rows(notified)) != states(await app.rows(missed))
    await app.resync()
    assert states(await app.rows(missed)) == states(await app.rows(notified))
    for _ in range(3):
        await app.flag_stuck(GRACE)
    assert states(await app.rows(missed)) == states(await app.rows(notified))
    ends = {state.replace(missed, notified) for state in await app.index("state") if missed in state}
    assert ends == {state for state in await app.index("state") if notified in state}


async def test_a_recovery_that_is_seen_long_after_its_window_has_its_own_time(app: App) -> None:
    notified, missed = app.put("notified", BACKOFF), app.put("missed", BACKOFF)
    await app.handle(app.event(notified), app.event(missed))
    await app.flag_stuck(GRACE)
    for device in (notified, missed):
        app.report(device, NOW, runtimeStatus="running")
    await app.handle(app.event(notified))
    await app.flag_stuck(MINUTE)
    await app.resync(10 * MINUTE)
    await app.flag_stuck()
    rows = await app.rows(missed)
    assert flags(rows) == [("stuck", "m1"), ("recovered", "m1")]
    assert states(rows) == states(await app.rows(notified))


async def test_a_device_without_any_notification_is_created_by_a_resync(app: App) -> None:
    notified, missed = app.put("notified", BACKOFF), app.put("missed", BACKOFF)
    for device in (notified, missed):
        app.report(device, timedelta(0))
    await app.handle(app.event(notified))
    await app.resync()
    assert states(await app.rows(missed)) == states(await app.rows(notified))
    await app.flag_stuck(GRACE)
    assert states(await app.rows(missed)) == states(await app.rows(notified))
    assert flags(await app.rows(missed)) == [("stuck", "m1")]


async def test_a_query_that_lags_behind_the_table_does_not_win(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    app.hub.lagging[device] = app.hub.twins[device]
    fails(app, device)
    await app.handle(app.event(device))
    before = await app.etags()
    app.hub.reads.clear()
    await app.resync(MINUTE)
    assert app.hub.reads == [device], "only a read decides"
    assert await app.etags() == before


async def test_a_device_that_was_deleted_stays_so_though_a_query_still_has_it(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))
    app.hub.lagging[device] = app.hub.twins.pop(device)
    await app.handle(app.event(device, b"{}", **DELETED))
    before = await app.etags()
    await app.resync(MINUTE)
    assert await app.etags() == before
    assert await known(app) == []


async def test_a_device_that_no_query_has_yet_stays(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    app.hub.lagging[device] = None
    await app.handle(app.event(device))
    before = await app.etags()
    await app.resync(MINUTE)
    assert await app.etags() == before


async def test_a_row_that_is_newer_than_the_query_is_left_alone(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))
    app.now += MINUTE

    async def changed_meanwhile(_page: TwinPage) -> None:
        app.report(device, MINUTE, runtimeStatus="backoff")
        await app.handle(app.event(device))
        app.hub.reads.clear()

    app.hub.on_page = changed_meanwhile
    await app.resync()
    assert (await app.rows(device))["device"]["State"] == "module_failed"
    assert app.hub.reads == []


async def test_a_query_that_is_newer_than_what_a_slow_batch_has_read_wins(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))
    app.report(device, MINUTE, exitCode=1)
    read = app.hub.twins[device]
    fails(app, device)
    app.now += MINUTE

    async def slow_batch(_page: TwinPage) -> None:
        twin, app.hub.twins[device] = app.hub.twins[device], read
        app.now += MINUTE
        await app.handle(app.event(device))
        app.hub.twins[device] = twin

    app.hub.on_page = slow_batch
    await app.resync()
    assert (await app.rows(device))["device"]["State"] == "module_failed"


async def test_a_query_that_still_has_an_earlier_life_of_a_device_does_not_win(app: App) -> None:
    device = app.put("d", SUCCESSFUL, version=50)
    await app.handle(app.event(device))
    app.hub.lagging[device] = app.hub.twins[device]
    app.now += MINUTE
    is_created_again(app, device)
    await app.handle(app.event(device, b"{}", **CREATED))
    before = await app.etags()
    await app.resync(MINUTE)
    assert await app.etags() == before


async def test_the_times_of_a_new_life_do_not_begin_before_the_end_of_the_last_one(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))
    del app.hub.twins[device]
    app.now += MINUTE
    await app.handle(app.event(device, b"{}", **DELETED))
    is_created_again(app, device)
    for section in ("desired", "reported"):  # before its deletion was seen
        app.hub.twins[device]["properties"][section]["$metadata"]["$lastUpdated"] = START.isoformat()
    await app.resync(MINUTE)
    times = [row["At"] for row in transitions(await app.rows(device))]
    await app.empty()
    assert len(times) == 3
    assert times == sorted(times)


async def test_the_same_resync_again_writes_nothing_and_reads_no_twin(app: App) -> None:
    for number, case in enumerate((SUCCESSFUL, BACKOFF, "002", "006", "022", "032", "090")):
        app.put(f"d{number}", case)
    await app.resync()
    before = await app.etags()
    app.hub.reads.clear()
    for _ in range(2):
        await app.resync(MINUTE)
    assert await app.etags() == before
    assert app.hub.reads == []


async def test_devices_that_are_gone_from_the_hub_are_removed_and_leave_their_history(app: App) -> None:
    devices = await fleet(app, 4)
    del app.hub.twins[devices[1]], app.hub.twins[devices[3]]
    await app.resync(MINUTE)
    assert await known(app) == [devices[0], devices[2]]
    assert [row["Kind"] for row in transitions(await app.rows(devices[1]))][-1] == "deleted"
    assert len(await app.index("state")) == 2
    before = await app.etags()
    await app.resync(MINUTE)
    assert await app.etags() == before


async def test_a_device_that_is_created_during_the_cycle_is_not_removed(app: App) -> None:
    await fleet(app, 4)
    app.hub.page_size = 2
    created: list[str] = []

    async def created_behind_the_query(page: TwinPage) -> None:
        if page.continuation is None:
            created.append(app.put("a", SUCCESSFUL))
            await app.handle(app.event(created[0]))

    app.hub.on_page = created_behind_the_query
    await app.resync()
    assert created[0] in await known(app)
    assert [row["Kind"] for row in transitions(await app.rows(created[0]))] == ["device"]


async def test_runs_of_a_small_budget_go_on_where_the_last_one_stopped_and_another_cycle_follows(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("status_app.reconcile.resync.TWINS_PER_RUN", 4)
    devices = await fleet(app, 12)
    app.hub.page_size = 2
    gone = [devices.pop(9), devices.pop(0)]
    for device in gone:
        del app.hub.twins[device]
    for device in devices:
        fails(app, device)
    for run, asked in enumerate([[None, devices[1]], [devices[3], devices[5]]]):
        app.hub.asked.clear()
        await app.resync(MINUTE)
        assert app.hub.asked == asked
        found = [(await app.rows(device))["device"]["State"] for device in devices]
        assert found.count("module_failed") == 4 * (run + 1)
        assert set(gone) < set(await known(app))
        assert len(await app.index("resync")) == run + 2
        if run == 0:
            app.restart()
    await app.resync(MINUTE)
    assert app.hub.asked[2:] == [devices[7]]
    assert await known(app) == devices
    assert await app.index("resync") == []
    await app.resync(MINUTE)
    assert app.hub.asked[3:] == [None, devices[1]]


async def test_where_the_hub_fails_the_next_run_goes_on_behind_the_last_page(app: App) -> None:
    devices = await fleet(app, 6)
    app.hub.page_size = 2
    app.hub.pages_left = 2
    del app.hub.twins[devices[0]]
    for device in devices[1:]:
        fails(app, device)
    await app.resync(MINUTE)  # some pages done is a run that went well
    assert devices[0] in await known(app)
    with pytest.RaisesGroup(pytest.RaisesExc(UnavailableError, match="answer 429")):
        await app.resync(MINUTE)
    app.hub.pages_left = None
    app.hub.asked.clear()
    await app.resync(MINUTE)
    assert app.hub.asked == [devices[4]]
    assert await known(app) == devices[1:]
    assert {(await app.rows(device))["device"]["State"] for device in devices[1:]} == {"module_failed"}


async def test_a_continuation_that_the_hub_refuses_begins_again_and_forgets_what_was_seen(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = await fleet(app, 4)
    app.hub.page_size = 2
    with monkeypatch.context() as patch:
        patch.setattr("status_app.reconcile.resync.TWINS_PER_RUN", 2)
        await app.resync(MINUTE)
    app.hub.refused.add(devices[1])
    del app.hub.twins[devices[0]]
    app.hub.asked.clear()
    await app.resync(MINUTE)
    assert app.hub.asked == [devices[1], None, devices[2]]
    assert await known(app) == devices[1:]
    assert await app.index("resync") == []


async def test_what_is_no_twin_of_a_device_is_skipped_and_logged(app: App, caplog: pytest.LogCaptureFixture) -> None:
    device = app.put("d", SUCCESSFUL)
    twin = app.hub.twins[device]
    without = {key: value for key, value in twin.items() if key != "deviceId"}
    app.hub.strays = [{}, without, *(twin | {"deviceId": name} for name in ("", None, 7, "x" * 129))]
    await app.resync()
    assert await known(app) == [device]
    assert caplog.text.count("a twin without the id of a device") == len(app.hub.strays)


async def test_what_one_device_fails_at_the_others_do_not_and_the_next_cycle_heals_it(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = await fleet(app, 3)
    for device in devices:
        fails(app, device)
    commit = DeviceCommit.commit

    async def refused(table: DeviceCommit, change: Change) -> tuple[StoredDevice, list[Row]]:
        if change.stored.device_id == devices[1]:
            raise UnavailableError("tables", "answer 503")
        return await commit(table, change)

    monkeypatch.setattr(DeviceCommit, "commit", refused)
    with pytest.raises(ExceptionGroup, match="resync: 1 failed"):
        await app.resync(MINUTE)
    found = [(await app.rows(device))["device"]["State"] for device in devices]
    assert found == ["module_failed", "successful", "module_failed"]
    monkeypatch.setattr(DeviceCommit, "commit", commit)
    await app.resync(MINUTE)
    assert (await app.rows(devices[1]))["device"]["State"] == "module_failed"


async def test_of_very_many_that_are_gone_each_cycle_removes_its_share(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("status_app.reconcile.resync.UNSEEN_PER_RUN", 2)
    await fleet(app, 5)
    app.hub.twins.clear()
    for left in (3, 1, 0):
        await app.resync(MINUTE)
        assert len(await known(app)) == left


async def test_the_index_no_longer_names_a_device_whose_rows_somebody_has_deleted(app: App) -> None:
    devices = await fleet(app, 2)
    del app.hub.twins[devices[0]]
    table = app.client.get_table_client("DeploymentStatus")
    for key in await app.rows(devices[0]):
        await table.delete_entity(devices[0], key)
    assert any(devices[0] in key for key in await app.index())
    await app.resync(MINUTE)
    assert not any(devices[0] in key for key in await app.index())
    index = app.client.get_table_client("DeploymentIndex")
    assert [row["Devices"] async for row in index.query_entities("RowKey ge 'count|' and RowKey lt 'count}'")] == [1]


@pytest.fixture
def kept(app: App) -> ResyncPosition:
    return ResyncPosition(position(app))


async def test_a_position_keeps_no_device_and_seventy_thousand_of_several_runs(kept: ResyncPosition) -> None:
    numbers = [digest(f"device-{number}") for number in range(70_000)]
    assert await kept.read() == Cycle()
    await kept.write(Cycle("before"), ())
    cycle = await kept.read()
    assert cycle == Cycle("before", 1)
    for start in range(0, 70_000, 35_000):
        cycle.continuation = f"after {start}"
        await kept.write(cycle, numbers[start : start + 35_000])
        cycle = await kept.read()
    assert cycle == Cycle("after 35000", 3, set(numbers))
    await kept.clear(cycle)
    assert await kept.read() == Cycle()


async def test_of_two_runs_at_once_one_works_and_the_other_leaves_it_alone(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    await fleet(app, 3)
    caplog.set_level("INFO", logger="status_app")
    second = app.another()

    async def start_another(_page: TwinPage) -> None:
        app.hub.on_page = None
        await (await second.resync()).run()

    app.hub.on_page = start_another
    asked = len(app.hub.asked)
    await app.resync()
    assert len(app.hub.asked) - asked == 1
    assert "resync: another run is under way" in caplog.text
    await app.resync()
    assert len(app.hub.asked) - asked == 2


async def test_of_two_that_take_the_lease_at_once_one_has_it(app: App, kept: ResyncPosition) -> None:
    cycles = [await kept.read() for _ in range(2)]
    assert [await kept.take(cycle, app.now) for cycle in cycles] == [True, False]
    await kept.write(Cycle("next"), ())
    cycles = [await kept.read() for _ in range(2)]
    assert [await kept.take(cycle, app.now) for cycle in cycles] == [True, False]
    await kept.clear(cycles[0])


async def test_a_lease_that_a_crash_left_is_over_after_ten_minutes(app: App, kept: ResyncPosition) -> None:
    assert await kept.take(await kept.read(), app.now)
    for minutes, is_free in ((0, False), (9, False), (10, True)):
        assert await kept.take(await kept.read(), app.now + minutes * MINUTE) is is_free
    await kept.clear(await kept.read())


async def test_a_run_that_the_hub_does_not_answer_leaves_nothing_behind_and_gives_its_lease_back(app: App) -> None:
    await fleet(app, 3)
    before = await app.etags()
    for continuation in (None, "d00"):
        app.hub.pages_left = 0
        if continuation:
            await ResyncPosition(position(app)).write(Cycle(continuation), ())
        with pytest.RaisesGroup(UnavailableError):
            await app.resync()
        if not continuation:
            assert await app.etags() == before
        app.hub.pages_left = None
        asked = len(app.hub.asked)
        await app.resync()
        assert len(app.hub.asked) == asked + 1


async def test_what_a_crash_left_of_an_earlier_cycle_counts_for_no_later_one(app: App, kept: ResyncPosition) -> None:
    numbers = {digest(f"device-{number}") for number in range(10_000)}
    await kept.write(Cycle("next"), numbers)
    await position(app).delete_entity("resync", "position")  # it ended, and was killed while it cleared up
    new = set(range(10))
    await kept.write(Cycle("next"), new)
    assert await kept.read() == Cycle("next", 1, new)
    await position(app).delete_entity("resync", "position")
    await kept.clear(await kept.read())  # as a cycle does that ends with its first run
    assert [row["RowKey"] async for row in position(app).query_entities("PartitionKey eq 'resync'")] == []


def test_devices_have_numbers_of_their_own_whatever_their_names() -> None:
    names = [*(f"device-{number}" for number in range(10_000)), "é", "\ud800", "", "Device-1"]
    assert len({digest(name) for name in names}) == len(names)
    assert digest("device-1") == 12328502384846073323, "another process goes on with it"


async def test_a_run_of_each_hour_asks_for_what_has_changed_and_heals_it(app: App) -> None:
    quiet, lost = await fleet(app, 2)
    await app.resync()
    began = app.now
    app.hub.asked.clear()
    app.report(lost, 30 * MINUTE, runtimeStatus="backoff")
    await app.hourly(30 * MINUTE)
    assert app.hub.asked == [], "no whole pass"
    assert app.hub.changes_asked == [(None, began - QUERIES_LAG)]
    assert (await app.rows(lost))["device"]["State"] == "module_failed"
    assert (await app.rows(quiet))["device"]["State"] == "successful"
    second = app.now
    await app.hourly()
    assert app.hub.changes_asked[1:] == [(None, second - QUERIES_LAG)]


async def test_deletions_and_configurations_are_healed_once_a_day(app: App) -> None:
    gone, moved = await fleet(app, 2)
    await app.resync()
    del app.hub.twins[gone]
    is_credited_to_another_deployment(app, moved)
    for hours in (1, 22):
        await app.hourly(timedelta(hours=hours))
    assert await known(app) == sorted([gone, moved])
    await app.hourly()
    assert await known(app) == [moved]
    assert (await app.rows(moved))["device"]["Deployments"] == '["other"]'


async def test_changes_go_on_where_the_last_run_stopped_and_are_asked_from_the_same_time(app: App) -> None:
    devices = await fleet(app, 3)
    await app.resync()
    began, app.hub.page_size = app.now, 1
    app.now += MINUTE
    for device in devices:
        app.report(device, NOW, runtimeStatus="backoff")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("status_app.reconcile.resync.TWINS_PER_RUN", 2)
        await app.hourly()
        assert [continuation for continuation, _ in app.hub.changes_asked] == [None, "1"]
        first = app.now
        await app.hourly()
    assert app.hub.changes_asked[2:] == [("2", began - QUERIES_LAG)]
    assert {(await app.rows(device))["device"]["State"] for device in devices} == {"module_failed"}
    await app.hourly()
    assert app.hub.changes_asked[3] == (None, first - QUERIES_LAG)


async def test_while_a_whole_pass_goes_on_each_run_asks_for_changes_first(app: App) -> None:
    devices = await fleet(app, 3)
    app.hub.page_size = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("status_app.reconcile.resync.TWINS_PER_RUN", 1)
        await app.hourly(NOW)
        assert (app.hub.changes_asked, app.hub.asked) == ([], [None])
        app.report(devices[0], 30 * MINUTE, runtimeStatus="backoff")
        await app.hourly(30 * MINUTE)
    assert (len(app.hub.changes_asked), app.hub.asked) == (1, [None, devices[0]])
    assert (await app.rows(devices[0]))["device"]["State"] == "module_failed"


async def test_a_hub_that_does_not_take_the_query_for_changes_has_its_whole_fleet_compared(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    (gone,) = await fleet(app, 1)
    await app.resync()
    app.hub.refuses_changes = True
    del app.hub.twins[gone]
    await app.hourly()
    assert await known(app) == []
    assert "refuses the query for changes" in caplog.text
