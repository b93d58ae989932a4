"""Where IoT Hub and the app disagree about a deployment: which numbers, which devices, and why."""

from datetime import timedelta
from typing import Any, Final

from app_over_azurite import App
from asking import ask, listed

from local.tables import table_proxy
from status_app.http import routes

PENDING, SUCCESSFUL, INVALID, PULLING, BACKOFF = "002", "003", "007", "028", "048"
CAMERA: Final = "camera-2"
MINUTE: Final = timedelta(minutes=1)


async def show(app: App, name: str, case: str, *deployments: str) -> str:
    applied = {deployment: {"status": "Applied"} for deployment in deployments or (CAMERA,)}
    device = app.put(name, case, configurations=applied)
    await app.handle(app.event(device))
    return device


def list_of_the_hub(created: str = "2024-01-01T00:00:00Z") -> list[Any]:
    counters = {"targetedCount": 9, "appliedCount": 6, "reportedSuccessfulCount": 3, "reportedFailedCount": 2}
    return [{"id": CAMERA, "createdTimeUtc": created, "systemMetrics": {"results": counters}}]


def judged(answer: Any) -> dict[str, tuple[str, str]]:
    """The devices of an answer by the names of this file: how the hub counts each, and where it is here."""
    return {item["deviceId"].partition("-")[2]: (item["portal"], item["standing"]) for item in answer["items"]}


async def answer(app: App, query: str = "") -> Any:
    answered = await ask(app.services.fleet(), routes.disagreements, query, deploymentId=CAMERA)
    assert answered.status == 200, answered.body
    return answered.json


async def test_each_device_that_the_hub_counts_differently_is_listed_with_the_reason(app: App) -> None:
    app.hub.listed = list_of_the_hub()
    cases = {"ok": SUCCESSFUL, "crashing": BACKOFF, "pulling": PULLING, "waiting": PENDING, "rejected": INVALID}
    for name, case in cases.items():
        await show(app, name, case)
    await show(app, "other", BACKOFF, "another")
    await app.flag_stuck(MINUTE)
    found = await answer(app)
    assert judged(found) == {"crashing": ("successful", "underway"), "pulling": ("failed", "underway")}
    crashing = found["items"][0]
    assert crashing["why"] == (
        "IoT Hub counts the agent's answer 200, without looking at modules or images. "
        "Here something is not as desired yet, but nothing counts as failed."
    )
    assert (crashing["state"], crashing["reason"]) == ("module_failed", "backoff")
    assert [tuple(counter.values()) for counter in found["counters"]] == [
        ("targeted", 9, None, 5),
        ("applied", 6, 5, 5),
        ("reportedSuccessful", 3, 2, 1),
        ("reportedFailed", 2, 2, 1),
    ]
    assert (found["settling"], found["listedAt"]) == (0, "2024-05-02T09:11:00.000000Z")
    await app.flag_stuck(timedelta(days=1))
    found = await answer(app)
    assert judged(found) == {"crashing": ("successful", "failing"), "waiting": ("applied", "failing")}
    here = {counter["counter"]: counter["here"] for counter in found["counters"]}
    assert (here["reportedSuccessful"], here["reportedFailed"], found["settling"]) == (1, 4, 0)


async def test_after_a_deployment_was_created_again_a_device_waits_here_while_the_hub_counts_its_old_report(
    app: App,
) -> None:
    app.hub.listed = list_of_the_hub()
    device = await show(app, "a", SUCCESSFUL)
    await app.flag_stuck(MINUTE)
    assert (await answer(app))["items"] == []
    app.hub.listed = list_of_the_hub(app.now.isoformat())
    await app.flag_stuck(MINUTE)
    (item,) = (await answer(app))["items"]
    assert (item["deviceId"], item["portal"], item["standing"]) == (device, "successful", "waiting")
    assert item["why"].endswith("Here it still has what was desired before the deployment was created again.")


async def test_pages_and_csv_have_all_of_them(app: App) -> None:
    devices = [await show(app, str(number), BACKOFF) for number in range(5)]
    await show(app, "ok", SUCCESSFUL)
    fleet = app.services.fleet()
    for limit in (1, 2, 50):
        found = await listed(fleet, routes.disagreements, path={"deploymentId": CAMERA}, limit=limit)
        assert [item["deviceId"] for item in found] == sorted(devices)
    text = (await ask(fleet, routes.disagreements, "format=csv", deploymentId=CAMERA)).body.decode()
    assert text.splitlines()[0] == "deviceId,portal,standing,state,reason,since,why,message"
    assert len(text.splitlines()) == 1 + len(devices)
    next_page = (await answer(app, "limit=1"))["next"]
    other = await ask(fleet, routes.disagreements, f"limit=1&next={next_page}", deploymentId="another")
    assert other.status == 400


async def test_where_they_agree_no_device_is_read(app: App, tables: str) -> None:
    for number in range(4):
        await show(app, str(number), SUCCESSFUL)
    again = await show(app, "again", BACKOFF)
    app.report(again, MINUTE, runtimeStatus="running")
    await app.handle(app.event(again))
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        answered = await ask(services.fleet(), routes.disagreements, deploymentId=CAMERA)
        assert (answered.json["items"], answered.json["settling"]) == ([], 1), "it looks successful to both"
        # Of each of two shards the devices that have too many entries for one transaction, and the counters.
        assert proxy.requests_of == {"DeploymentIndex": {"read": 2 * 2}, "Deployments": {"read": 1}}
        await show(app, "bad", BACKOFF)
        proxy.requests.clear()
        answered = await ask(services.fleet(), routes.disagreements, deploymentId=CAMERA)
        assert len(answered.json["items"]) == 1
        assert proxy.requests_of["DeploymentStatus"] == {"read": 1}, "the one that is not successful"
        await services.close()


async def test_the_hub_counts_no_device_without_a_deployment_and_an_unknown_deployment_is_not_found(app: App) -> None:
    fleet = app.services.fleet()
    assert (await ask(fleet, routes.disagreements, deploymentId=CAMERA)).status == 404
    await app.handle(app.event(app.put("a", BACKOFF, configurations={})))
    found = (await ask(fleet, routes.disagreements, deploymentId="~individual")).json
    assert found["items"] == []
    assert [tuple(counter.values()) for counter in found["counters"]] == [
        ("targeted", None, None, 1),
        ("applied", None, 0, 1),
        ("reportedSuccessful", None, 0, 0),
        ("reportedFailed", None, 0, 0),
    ]
