"""The hub's own list of deployments: what the app takes from it, also where the hub refuses it or it is odd."""

import asyncio
import copy
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from app_over_azurite import START, App, fresh_app

from local.iothub import IotHub
from status_app.iothub.twins import TwinReader
from status_app.queries import Answer

SUCCESSFUL, BACKOFF, INVALID = "003", "048", "007"
MINUTE: Final = timedelta(minutes=1)
ATTEMPTS: Final = 20
"""More than a run makes."""
BEFORE: Final = datetime.fromisoformat("2024-01-01T00:00:00+00:00")


def listed(name: str, created: datetime = BEFORE, modules: Sequence[str] | None = None, **others: Any) -> Any:
    """A deployment as the hub lists it: a layer of some modules, or one whose content cannot be read."""
    layer = {f"properties.desired.modules.{module}": {"settings": {"image": "x"}} for module in modules or ()}
    content = None if modules is None else {"modulesContent": {"$edgeAgent": layer}}
    return {"id": name, "createdTimeUtc": created.isoformat(), "priority": 1, "content": content, **others}


async def show(app: App, name: str, case: str, *deployments: str) -> str:
    applied = {deployment: {"status": "Applied"} for deployment in deployments}
    device = app.put(name, case, configurations=applied, version=10 + app.sequence)
    twin = app.hub.twins[device] = copy.deepcopy(app.hub.twins[device])
    twin["properties"]["reported"]["$metadata"]["$lastUpdated"] = app.now.isoformat()
    await app.handle(app.event(device))
    return device


async def answer(app: App, deployment: str) -> Answer:
    found = await app.services.fleet().deployment(deployment)
    assert found is not None
    return found


async def all_of(app: App) -> dict[str, Answer]:
    page = await app.services.fleet().deployments(None, 200)
    return {item["deploymentId"]: item for item in page.items}


async def run(app: App, minutes: int) -> None:
    for _ in range(minutes):
        await app.flag_stuck(MINUTE)


async def test_a_deployment_is_shown_as_the_hub_lists_it_with_the_time_of_the_list(app: App) -> None:
    results = {"targetedCount": 3, "appliedCount": 2, "reportedSuccessfulCount": 1, "reportedFailedCount": 0}
    more: dict[str, Any] = {"labels": {"team": "x"}, "targetCondition": "*", "systemMetrics": {"results": results}}
    app.hub.listed = [listed("a", modules=["m1"], **more)]
    await show(app, "d", SUCCESSFUL, "a")
    await run(app, 1)
    found = await answer(app, "a")
    assert found["listedAt"] == "2024-05-02T09:11:00.000000Z"
    assert found["hub"] == {
        "createdAt": "2024-01-01T00:00:00.000000Z",
        "priority": 1,
        "targetCondition": "*",
        "labels": {"team": "x"},
        "modules": ["m1"],
        "targeted": 3,
        "applied": 2,
        "reportedSuccessful": 1,
        "reportedFailed": 0,
    }
    assert (await all_of(app))["a"]["hub"] == found["hub"]
    assert app.hub.lists == 1


async def test_a_deployment_without_devices_is_listed_without_a_version(app: App) -> None:
    app.hub.listed = [listed("new")]
    await run(app, 1)
    assert [(name, item["version"], item["devices"]) for name, item in (await all_of(app)).items()] == [("new", 0, 0)]
    assert (await answer(app, "new"))["milestones"] == {}


async def test_a_deployment_created_again_under_its_id_starts_again_and_waits_for_its_devices(app: App) -> None:
    app.hub.listed = [listed("a"), listed("base")]
    device = await show(app, "d", SUCCESSFUL, "a", "base")
    await run(app, 3)
    assert set((await answer(app, "a"))["milestones"]) == {"started", "completed"}
    app.hub.listed = [listed("a", app.now), listed("base")]
    await run(app, 3)
    found = await answer(app, "a")
    assert (found["version"], found["waiting"], found["milestones"]) == (2, 1, {})
    assert (await answer(app, "base"))["version"] == 1
    assert (await app.services.fleet().device(device) or {})["standings"] == {"a": "waiting", "base": "successful"}
    app.deploy(device, MINUTE)
    await app.handle(app.event(device))
    await run(app, 3)
    found = await answer(app, "a")
    assert (found["version"], found["waiting"], set(found["milestones"])) == (2, 0, {"started", "completed"})
    assert (await answer(app, "base"))["version"] == 1


async def test_the_timer_corrects_what_a_process_with_an_old_list_wrote(app: App) -> None:
    app.hub.listed = [listed("a")]
    other = app.another()
    device = await show(app, "d", SUCCESSFUL, "a")
    await run(app, 3)
    await (await other.twin_changes()).handle([app.event(device)], attempt=0)  # it knows the list now
    app.hub.listed = [listed("a", app.now)]
    await run(app, 1)
    with app.edit(device, timedelta(0)) as reported:
        reported["modules"]["m1"]["restartCount"] = 1
    await (await other.resync()).run()
    await run(app, 1)
    assert (await answer(app, "a"))["waiting"] == 1


async def test_only_its_own_modules_count_for_a_layer(app: App) -> None:
    app.hub.listed = [listed("mine", modules=["m1"]), listed("other", modules=["m9"])]
    await show(app, "d", BACKOFF, "mine", "other")
    await run(app, 40)
    assert "first_failure" in (await answer(app, "mine"))["milestones"]
    assert "first_failure" not in (await answer(app, "other"))["milestones"]


async def test_a_deployment_is_superseded_once_two_lists_in_a_row_lack_it(app: App) -> None:
    app.hub.listed = [listed("a"), listed("b")]
    await show(app, "d", SUCCESSFUL, "a", "b")
    await run(app, 3)
    app.hub.listed = [listed("b")]
    await run(app, 1)
    assert "superseded" not in (await answer(app, "a"))["milestones"]
    assert (await answer(app, "a"))["hub"] is None
    app.hub.listed = [listed("a")]
    await run(app, 1)
    assert "superseded" not in (await answer(app, "b"))["milestones"]
    await run(app, 1)
    assert "superseded" in (await answer(app, "b"))["milestones"]
    assert "superseded" not in (await answer(app, "a"))["milestones"]


async def test_while_the_hub_refuses_its_list_the_last_one_holds(app: App, caplog: pytest.LogCaptureFixture) -> None:
    await show(app, "d", SUCCESSFUL, "a")
    await run(app, 3)
    found = await answer(app, "a")
    assert (found["listedAt"], found["hub"], set(found["milestones"])) == (None, None, {"started", "completed"})
    app.hub.listed = [listed("a")]
    await run(app, 1)
    app.hub.listed = None
    await run(app, 3)
    found = await answer(app, "a")
    assert (found["listedAt"], found["version"]) == ("2024-05-02T09:14:00.000000Z", 1)
    assert found["hub"]["createdAt"] == "2024-01-01T00:00:00.000000Z"
    assert [message for message in caplog.messages if "list of deployments" in message] == [
        "IoT Hub does not return its list of deployments: iothub is unavailable: answer 403",
        "IoT Hub returns its list of deployments again",
        "IoT Hub does not return its list of deployments: iothub is unavailable: answer 403",
    ]


async def test_after_an_answer_that_breaks_off_or_is_not_json_the_last_list_holds_whole(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = IotHub(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    await hub.start()
    reader = TwinReader(hub.connection_string, sleep=_no_wait)
    monkeypatch.setattr(app.hub, "deployments", reader.deployments)
    await show(app, "d", SUCCESSFUL, "a", "b")
    hub.give_list([listed("a", modules=["m1"]), listed("b")])
    await run(app, 3)
    before = {name: item["hub"] for name, item in (await all_of(app)).items()}
    assert set(before) == {"a", "b"}
    for fault in (
        hub.faults.cut_within,
        hub.faults.cut,
        lambda op, count: hub.faults.answer(op, b'[{"id": "a"}', count),
    ):
        fault("list", ATTEMPTS)
        await run(app, 2)
        assert {name: item["hub"] for name, item in (await all_of(app)).items()} == before
        assert (await answer(app, "b"))["milestones"].keys() == {"started", "completed"}
        hub.faults.clear()
        await run(app, 1)
    messages = [message for message in caplog.messages if "list of deployments" in message]
    assert ["again" in message for message in messages] == [False, True] * 3
    reader.close()
    await hub.stop()


async def _no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_each_of_a_hundred_deployments_on_one_device_is_counted_and_superseded_by_itself(app: App) -> None:
    names = [f"layer-{number:03d}" for number in range(100)]
    app.hub.listed = [listed(name, modules=["m1"]) for name in names]
    await show(app, "d", SUCCESSFUL, *names)
    await run(app, 3)
    found = await all_of(app)
    assert list(found) == names
    assert all((item["devices"], item["successful"]) == (1, 1) for item in found.values())
    assert all(set(item["milestones"]) == {"started", "completed"} for item in found.values())
    app.hub.listed = app.hub.listed[50:]
    await run(app, 2)
    ended = {name for name, item in (await all_of(app)).items() if "superseded" in item["milestones"]}
    assert ended == set(names[:50])


async def test_an_odd_entry_of_the_list_costs_only_itself(app: App) -> None:
    app.hub.listed = [7, None, {"id": 5}, listed("a"), listed("a", START), listed("b"), {"id": "c", "content": "x"}]
    await show(app, "d", SUCCESSFUL, "a", "b")
    await run(app, 3)
    assert sorted(await all_of(app)) == ["a", "b", "c"]
    assert (await answer(app, "a"))["createdAt"] == "2024-05-02T09:10:00.000000Z"
    assert set((await answer(app, "b"))["milestones"]) == {"started", "completed"}


@pytest.mark.parametrize("deployments", [(), ("~individual",)])
async def test_devices_without_a_deployment_are_counted_and_have_no_milestones(
    app: App, deployments: tuple[str, ...]
) -> None:
    await show(app, "good", SUCCESSFUL, *deployments)
    await show(app, "bad", INVALID)
    await run(app, 20)
    found = await answer(app, "~individual")
    assert (found["version"], found["devices"], found["successful"], found["failing"]) == (0, 2, 1, 1)
    assert found["milestones"] == {}


async def test_a_threshold_is_announced_and_shown_with_the_deployment(tables: str) -> None:
    async with fresh_app(tables, FAILURE_THRESHOLD="30%") as app:
        await show(app, "good", SUCCESSFUL, "a")
        await show(app, "bad", INVALID, "a")
        await run(app, 2)
        found = await answer(app, "a")
        assert found["failureThreshold"] == "30%"
        assert "threshold_exceeded" in found["milestones"]
        app.hub.listed = [listed("b", systemMetrics={"results": {"targetedCount": 10}})]
        await show(app, "good", SUCCESSFUL, "b")
        await show(app, "bad", INVALID, "b")
        await run(app, 3)
        assert set((await answer(app, "b"))["milestones"]) == {"started", "first_failure", "completed"}
