"""The timer of deadlines over real tables: what it flags, what it clears, and how much it asks."""

import json
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import START, App, flags, transitions

from status_app.errors import UnavailableError
from status_app.fleet_index.rows import shard_of
from status_app.iothub.breaker import PROBES
from status_app.reconcile.flag_stuck import FORGOTTEN_AFTER, WRITERS_END_AFTER
from status_app.status_table.commit import Change, DeviceCommit
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.columns import Row

BACKOFF = "048"
SUCCESSFUL = "003"
NOW = timedelta(0)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
GRACE = 15 * MINUTE
CARE = 10 * MINUTE
"""How long a recovery must last."""


async def failing(app: App, name: str = "d") -> str:
    """A device whose module m1 fails from now on, as the app knows."""
    device = app.put(name, BACKOFF)
    app.report(device, NOW)
    await app.handle(app.event(device))
    return device


async def notified(app: App, device: str, after: timedelta, **m1: Any) -> None:
    """Change the module m1, and notify the app."""
    app.report(device, after, **m1)
    await app.handle(app.event(device))


def at_once(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr("status_app.reconcile.flag_stuck.AT_ONCE", number)


async def test_a_module_that_is_past_its_grace_is_flagged_once_and_its_deadline_is_gone(app: App) -> None:
    device = await failing(app)
    assert len(await app.index("reconcile")) == 1
    row = (await app.rows(device))["module:m1"]
    assert (row["StuckAt"], row["Stuck"]) == (START + GRACE, False)
    await app.flag_stuck(14 * MINUTE)
    assert flags(await app.rows(device)) == []
    await app.flag_stuck(5 * MINUTE)
    await app.flag_stuck(5 * MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["Stuck"] is True
    assert rows["module:m1"]["StuckSince"] == transitions(rows)[-1]["At"] == START + GRACE
    assert rows["device"]["ModulesStuck"] == 1
    assert await app.index("reconcile") == []


async def test_the_flag_of_a_module_that_recovered_is_cleared_once_at_the_end_of_the_window(app: App) -> None:
    device = await failing(app)
    await app.flag_stuck(GRACE)
    await notified(app, device, 5 * MINUTE, runtimeStatus="running")
    await app.flag_stuck(CARE - SECOND)
    assert flags(await app.rows(device)) == [("stuck", "m1")]
    await app.flag_stuck(30 * SECOND)
    await app.flag_stuck(30 * MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1"), ("recovered", "m1")]
    assert [row["ToState"] for row in transitions(rows)[-2:]] == ["settled", "successful"]
    assert {row["At"] for row in transitions(rows)[-3:]} == {START + 20 * MINUTE + CARE}
    assert rows["module:m1"]["Stuck"] is False
    assert await app.index("reconcile") == []


async def test_the_timer_reads_before_it_flags_and_heals_a_lost_notification(app: App) -> None:
    device = await failing(app)
    app.report(device, 10 * MINUTE, runtimeStatus="running")
    await app.flag_stuck(5 * MINUTE)
    rows = await app.rows(device)
    assert rows["device"]["State"] == "successful"
    assert rows["device"]["Since"] == START + 10 * MINUTE
    assert flags(rows) == []


async def test_a_notification_that_finds_a_module_past_its_grace_flags_it_and_leaves_the_timer_nothing(
    app: App,
) -> None:
    device = await failing(app)
    await notified(app, device, 2 * GRACE, exitCode=1)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["StuckSince"] == transitions(rows)[-1]["At"] == START + GRACE
    assert await app.index("reconcile") == []
    app.hub.reads.clear()
    await app.flag_stuck()
    assert (app.hub.reads, flags(await app.rows(device))) == ([], [("stuck", "m1")])


async def test_a_crash_loop_that_runs_ten_seconds_at_a_time_is_flagged_once_when_its_grace_ends(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))
    for minute in range(20):
        await notified(app, device, 50 * SECOND if minute else NOW, runtimeStatus="backoff", exitCode=minute)
        await notified(app, device, 10 * SECOND, runtimeStatus="running")
        await app.flag_stuck()
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["StuckSince"] == rows["module:m1"]["StuckAt"] == START + GRACE
    assert rows["module:m1"]["UnsettledSince"] == START
    stuck = next(row for row in transitions(rows) if row["Kind"] == "stuck")
    assert stuck["At"] == START + GRACE, "it left then, with its grace over"


async def test_the_grace_of_a_modules_own_label_is_kept(app: App) -> None:
    device = app.put("d", BACKOFF)
    with app.edit(device, NOW) as reported:
        reported["modules"]["m1"]["exitCode"] = 1
    labels = {"Labels": {"deployment-status.grace": "PT2H"}}
    settings = app.hub.twins[device]["properties"]["desired"]["modules"]["m1"]["settings"]
    settings["createOptions"] = json.dumps(labels)
    await app.handle(app.event(device))
    await app.flag_stuck(119 * MINUTE)
    rows = await app.rows(device)
    assert (flags(rows), rows["module:m1"]["GracePeriod"]) == ([], "PT2H")
    await app.flag_stuck(MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["StuckSince"] == START + 120 * MINUTE


async def test_a_device_that_is_off_after_a_new_version_has_one_flag_on_itself_and_none_on_its_modules(
    app: App,
) -> None:
    device = app.put("d", SUCCESSFUL)
    await app.handle(app.event(device))
    with app.edit(device, NOW, "desired") as desired:
        desired["modules"]["m1"]["settings"]["image"] = "sensor:2"
        desired["modules"]["m2"] = desired["modules"]["m1"]
    await app.handle(app.event(device))
    for _ in range(8):
        await app.flag_stuck(10 * MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "")]
    assert rows["device"]["StuckSince"] == START + GRACE
    assert (rows["device"]["State"], rows["device"]["ModulesStuck"]) == ("pending", 0)
    assert await app.index("reconcile") == []


async def test_a_version_that_leaves_a_module_alone_keeps_its_clock(app: App) -> None:
    device = await failing(app)
    with app.edit(device, 5 * MINUTE, "desired") as desired:
        desired["modules"]["m2"] = desired["modules"]["m1"]
    await app.handle(app.event(device))
    with app.edit(device, 5 * MINUTE) as reported:
        reported["lastDesiredVersion"] += 1
        reported["modules"]["m2"] = reported["modules"]["m1"] | {"runtimeStatus": "running"}
    await app.handle(app.event(device))
    await app.flag_stuck(5 * MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["UnsettledSince"] == START


async def test_a_stuck_module_has_recovered_when_a_new_version_wants_another_image(app: App) -> None:
    device = await failing(app)
    await app.flag_stuck(GRACE)
    with app.edit(device, MINUTE, "desired") as desired:
        desired["modules"]["m1"]["settings"]["image"] = "sensor:2"
    await app.handle(app.event(device))
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1"), ("recovered", "m1")]
    assert (rows["module:m1"]["Stuck"], rows["device"]["ModulesStuck"]) == (False, 0)
    assert rows["module:m1"]["UnsettledSince"] == START + GRACE + MINUTE
    with app.edit(device, MINUTE) as reported:
        reported["lastDesiredVersion"] += 1
        reported["modules"]["m1"]["settings"]["image"] = "sensor:2"
    await app.handle(app.event(device))
    await app.flag_stuck(GRACE)
    rows = await app.rows(device)
    assert flags(rows)[2:] == [("stuck", "m1")]
    assert rows["module:m1"]["StuckSince"] == START + 2 * GRACE + MINUTE


async def test_a_module_that_is_due_while_the_hub_is_silent_is_flagged_unverified_once(app: App) -> None:
    device = await failing(app)
    app.hub.down.add(device)
    for _ in range(3):
        await app.flag_stuck(GRACE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["Reason"] == transitions(rows)[-1]["Reason"] == "backoff_unverified"
    assert rows["module:m1"]["Message"].startswith("IoT Hub did not answer; as last seen: ")
    assert (rows["module:m1"]["Stuck"], rows["module:m1"]["StuckSince"]) == (True, START + GRACE)
    (deadline,) = await app.index("reconcile")
    assert deadline.startswith((START + GRACE).isoformat(timespec="microseconds"))
    app.hub.down.clear()
    await app.flag_stuck(MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert (rows["module:m1"]["Reason"], rows["module:m1"]["Stuck"]) == ("backoff", True)
    assert await app.index("reconcile") == []
    app.hub.reads.clear()
    await app.flag_stuck(MINUTE)
    assert app.hub.reads == []


async def test_an_unverified_flag_that_was_wrong_is_cleared_after_the_window(app: App) -> None:
    device = await failing(app)
    app.hub.down.add(device)
    app.report(device, GRACE - 2 * MINUTE, runtimeStatus="running")
    await app.flag_stuck(2 * MINUTE)
    app.hub.down.clear()
    await app.flag_stuck(MINUTE)
    assert flags(await app.rows(device)) == [("stuck", "m1")]
    await app.flag_stuck(CARE - MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1"), ("recovered", "m1")]
    assert (rows["module:m1"]["State"], rows["module:m1"]["Reason"]) == ("settled", "as_desired")
    assert await app.index("reconcile") == []


async def test_a_device_that_is_off_is_flagged_unverified_itself(app: App) -> None:
    device = app.put("d", SUCCESSFUL)
    with app.edit(device, NOW, "desired"):
        pass
    await app.handle(app.event(device))
    app.hub.down.add(device)
    await app.flag_stuck(GRACE)
    row = (await app.rows(device))["device"]
    assert (row["Stuck"], row["Reason"]) == (True, "device_disconnected_unverified")
    app.hub.down.clear()
    await app.flag_stuck(MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "")]
    assert rows["device"]["Reason"] == "device_disconnected"


async def test_a_module_whose_name_no_key_holds_keeps_its_row_while_the_hub_is_silent(app: App) -> None:
    device = app.put("d", BACKOFF)
    modules = app.hub.twins[device]["properties"]["desired"]["modules"]
    modules["long" * 150] = modules["m1"]
    await app.handle(app.event(device))
    before = await app.rows(device)
    app.hub.down.add(device)
    await app.flag_stuck(2 * GRACE)
    after = await app.rows(device)
    await app.empty()
    assert [key for key in after if key.startswith("module:")] == [key for key in before if key.startswith("module:")]


async def test_nothing_is_cleared_while_the_hub_is_silent(app: App) -> None:
    device = await failing(app)
    await app.flag_stuck(GRACE)
    await notified(app, device, MINUTE, runtimeStatus="running")
    app.hub.down.add(device)
    await app.flag_stuck(GRACE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["Stuck"] is True
    app.hub.down.clear()
    await app.flag_stuck(MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1"), ("recovered", "m1")]
    assert transitions(rows)[-1]["At"] == START + GRACE + MINUTE + CARE


async def test_a_silent_hub_is_not_asked_for_every_device_and_each_is_still_flagged(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(monkeypatch, 4)
    devices = [app.put(f"d{number:02d}", BACKOFF) for number in range(20)]
    await app.handle(*(app.event(device) for device in devices))
    app.hub.down.update(devices)
    app.hub.reads.clear()
    await app.flag_stuck(2 * GRACE)
    assert len(app.hub.reads) == PROBES
    reasons = [(await app.rows(device))["module:m1"]["Reason"] for device in devices]
    assert set(reasons) == {"backoff_unverified"}
    app.hub.down.clear()
    app.hub.reads.clear()
    await app.flag_stuck(MINUTE)
    assert sorted(app.hub.reads) == devices


async def test_a_hub_that_is_silent_for_one_device_is_asked_for_all_others(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(monkeypatch, 1)
    devices = [app.put(f"d{number:02d}", BACKOFF) for number in range(10)]
    await app.handle(*(app.event(device) for device in devices))
    app.hub.down.add(devices[3])
    app.hub.reads.clear()
    await app.flag_stuck(2 * GRACE)
    assert sorted(app.hub.reads) == devices


async def test_a_device_that_is_gone_at_its_deadline_is_removed_and_nothing_points_to_it(app: App) -> None:
    device = await failing(app)
    del app.hub.twins[device]
    await app.flag_stuck(GRACE)
    await app.flag_stuck(MINUTE)
    rows = await app.rows(device)
    assert [key for key in rows if not key.startswith("transition:")] == []
    assert [row["Kind"] for row in transitions(rows)] == ["device", "deleted"]
    assert await app.index() == []


@pytest.mark.parametrize(
    ("known", "until"),
    [(False, FORGOTTEN_AFTER), (True, WRITERS_END_AFTER)],
    ids=["of no device", "of another change"],
)
async def test_an_announcement_without_a_change_ends_once_its_writer_can_change_nothing_any_more(
    app: App, known: bool, until: timedelta
) -> None:
    """An existing row can get another ETag, which makes its writer late in any case."""
    device = await failing(app) if known else "nobody"
    await app.flag_stuck(GRACE)  # nothing is due any more
    before = await app.rows(device), await app.index_keys()
    index = app.client.get_table_client("DeploymentIndex")
    row = {"PartitionKey": shard_of(device), "RowKey": f"pending|{device}|5", "Device": device}
    await index.create_entity(row)
    written = (await index.get_entity(row["PartitionKey"], row["RowKey"])).metadata["timestamp"]
    app.hub.reads.clear()
    assert written is not None
    app.now = written + until
    for _ in range(2):
        await app.flag_stuck()
        assert await app.index("pending") == [f"{device}|5"]
    await app.flag_stuck(timedelta(microseconds=1))
    assert (await app.rows(device), await app.index_keys()) == before
    assert app.hub.reads == []


async def test_a_device_whose_commit_fails_costs_no_other_and_is_flagged_by_the_next_run(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = [await failing(app, f"d{number}") for number in range(5)]
    commit = DeviceCommit.commit

    async def refused(table: DeviceCommit, change: Change) -> tuple[StoredDevice, list[Row]]:
        if change.stored.device_id == devices[2]:
            raise UnavailableError("tables", "answer 503")
        return await commit(table, change)

    monkeypatch.setattr(DeviceCommit, "commit", refused)
    with pytest.raises(ExceptionGroup, match="flag_stuck: 1 failed, left for the next run") as raised:
        await app.flag_stuck(GRACE)
    assert raised.group_contains(UnavailableError, match="answer 503")
    assert [len(flags(await app.rows(device))) for device in devices] == [1, 1, 0, 1, 1]
    monkeypatch.setattr(DeviceCommit, "commit", commit)
    await app.flag_stuck(MINUTE)
    assert [len(flags(await app.rows(device))) for device in devices] == [1, 1, 1, 1, 1]
    assert (await app.rows(devices[2]))["module:m1"]["StuckSince"] == START + GRACE


async def test_a_bug_at_one_device_is_logged_and_costs_no_other_its_flag(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    devices = [await failing(app, name) for name in ("a", "b")]
    app.hub.twins[devices[0]] = None  # type: ignore[assignment] # something that the core cannot take
    monkeypatch.setattr("status_app.reconcile.decisions.deletion", None)
    with pytest.raises(ExceptionGroup, match="1 failed"):
        await app.flag_stuck(GRACE)
    assert [len(flags(await app.rows(device))) for device in devices] == [0, 1]
    assert f"device '{devices[0]}': a bug" in caplog.text


async def test_a_device_whose_deadline_has_moved_is_not_read_at_the_old_one(app: App) -> None:
    device = await failing(app)
    await notified(app, device, 14 * MINUTE, runtimeStatus="running")
    app.hub.reads.clear()
    await app.flag_stuck(MINUTE)
    assert (app.hub.reads, flags(await app.rows(device))) == ([], [])
    await app.flag_stuck(CARE)
    assert app.hub.reads == [device]


async def test_a_longer_grace_moves_the_deadline_by_one_read(app: App) -> None:
    device = await failing(app)
    app.restart(GRACE_DEFAULT="PT40M")
    app.hub.reads.clear()
    for _ in range(13):
        await app.flag_stuck(3 * MINUTE)
    assert app.hub.reads == [device]
    rows = await app.rows(device)
    assert (flags(rows), rows["device"]["LookAt"]) == ([], START + 40 * MINUTE)
    for _ in range(5):
        await app.flag_stuck(MINUTE)
    assert app.hub.reads == [device, device]
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["StuckSince"] == START + 40 * MINUTE


async def test_a_shorter_grace_holds_from_the_next_read_on(app: App) -> None:
    device = await failing(app)
    app.restart(GRACE_DEFAULT="PT5M")
    await app.flag_stuck(10 * MINUTE)
    assert flags(await app.rows(device)) == []
    await app.resync()
    assert (await app.rows(device))["device"]["LookAt"] == START + 5 * MINUTE
    app.hub.reads.clear()
    for _ in range(5):
        await app.flag_stuck(MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", "m1")]
    assert rows["module:m1"]["StuckSince"] == START + 5 * MINUTE
    assert app.hub.reads == [device]


@pytest.mark.parametrize("changed", ["PT5M", "PT2H"])
async def test_a_module_stays_stuck_since_the_same_time_when_its_grace_is_changed(app: App, changed: str) -> None:
    device = await failing(app)
    await app.flag_stuck(GRACE)
    since = (True, START + GRACE, START + GRACE)

    async def module() -> dict[str, Any]:
        row: dict[str, Any] = (await app.rows(device))["module:m1"]
        assert (row["Stuck"], row["StuckSince"], row["StuckAt"]) == since
        return row

    await module()
    app.restart(GRACE_DEFAULT=changed)
    await notified(app, device, MINUTE, exitCode=3)
    await app.flag_stuck(MINUTE)
    assert (await module())["GracePeriod"] == changed
    assert flags(await app.rows(device)) == [("stuck", "m1")]
    app.hub.down.add(device)
    await app.flag_stuck(MINUTE)
    await module()


@pytest.mark.parametrize(("stable_after", "cleared"), [("PT10M", 10), ("PT10S", 2)])
async def test_another_window_holds_from_the_next_read_on_and_not_every_run_reads_the_device(
    app: App, stable_after: str, cleared: int
) -> None:
    device = app.put("d", SUCCESSFUL)
    with app.edit(device, NOW, "desired") as desired:
        version = desired["$version"] + 1
    await app.handle(app.event(device))
    app.restart(STABLE_AFTER="PT2M")
    await app.flag_stuck(GRACE)
    with app.edit(device, NOW) as reported:
        reported["lastDesiredVersion"] = version
    await app.handle(app.event(device))
    app.restart(STABLE_AFTER=stable_after)
    app.hub.reads.clear()
    for minute in range(15):
        assert (flags(await app.rows(device)) == [("stuck", "")]) is (minute < cleared)
        await app.flag_stuck(MINUTE)
    rows = await app.rows(device)
    assert flags(rows) == [("stuck", ""), ("recovered", "")]
    assert len(app.hub.reads) <= 2
    assert await app.index("reconcile") == []
