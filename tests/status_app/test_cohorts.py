"""Cohorts: the tags of devices in rows, counters and answers."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import App, fresh_app, transitions
from asking import ask, listed

from status_app.errors import SettingError
from status_app.events.cloud_event import cloud_event
from status_app.http import routes
from status_app.settings import Settings
from status_app.storage.cohort_values import VALUES

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
DIGEST = f"sha256:{'9f' * 32}"


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables, COHORT_TAGS="ring, site") as app:
        yield app


async def tagged(app: App, name: str, case: str = "048", **tags: Any) -> str:
    """A device that the app reads for the first time."""
    device = app.put(name, case, configurations={"camera-2": {"status": "Applied"}})
    app.hub.device_tags[device] = tags
    await app.handle(app.event(device))
    return device


async def cohorts(app: App) -> dict[str, list[str]]:
    return {item["deviceId"]: item["cohorts"] for item in await listed(app.services.fleet(), routes.devices)}


async def test_a_new_device_is_in_its_cohorts_from_its_first_read_on_and_its_tags_are_asked_for_once(app: App) -> None:
    one = await tagged(app, "one", ring="canary", site="oslo", owner="me")
    two = await tagged(app, "two", ring="wide")
    three = await tagged(app, "three")
    assert app.hub.tag_queries == [[one], [two], [three]]
    assert await cohorts(app) == {one: ["ring=canary", "site=oslo"], two: ["ring=wide"], three: []}
    app.report(one, timedelta(minutes=1), runtimeStatus="running")
    await app.handle(app.event(one))
    assert len(app.hub.tag_queries) == 3
    assert (await cohorts(app))[one] == ["ring=canary", "site=oslo"]


async def test_a_deployment_and_causes_are_counted_by_cohort(app: App) -> None:
    canary = [await tagged(app, f"c{number}", ring="canary") for number in range(3)]
    await tagged(app, "wide", ring="wide")
    await tagged(app, "well", "003", ring="canary")
    await app.flag_stuck(HOUR)
    fleet = app.services.fleet()
    whole = (await ask(fleet, routes.deployment, deploymentId="camera-2")).json
    assert (whole["devices"], whole["stuck"]) == (5, 4)
    part = (await ask(fleet, routes.deployment, "cohort=ring%3Dcanary", deploymentId="camera-2")).json
    assert (part["devices"], part["successful"], part["stuck"]) == (4, 1, 3)
    assert part["longestStuck"]["deviceId"] in canary
    questions: tuple[dict[str, Any], ...] = (
        {"cohort": "ring=canary"},
        {"cohort": "ring=canary", "deployment": "camera-2"},
    )
    for words in questions:
        (cause,) = await listed(fleet, routes.causes, **words)
        assert (cause["devices"], cause["stuck"]) == (3, 3)
        assert {example["deviceId"] for example in cause["examples"]} == set(canary)
    found = await listed(fleet, routes.devices, cohort="ring=canary", stuck="true")
    assert {item["deviceId"] for item in found} == set(canary)
    assert await listed(fleet, routes.causes, cohort="ring=none") == []


async def test_events_have_the_cohorts_and_the_digest_of_the_image_that_a_module_reports(app: App) -> None:
    device = await tagged(app, "one", "003", ring="canary")
    app.deploy(device, 2 * HOUR)
    with app.edit(device, HOUR) as reported:
        reported["modules"]["m1"] |= {"runtimeStatus": "backoff"}
        reported["modules"]["m1"]["settings"]["imageHash"] = DIGEST
    await app.handle(app.event(device))
    app.hub.device_tags[device] = {"ring": "wide"}
    await app.resync(timedelta(minutes=1))
    await app.flag_stuck(HOUR)
    del app.hub.twins[device]
    await app.resync(DAY)
    rows = transitions(await app.rows(device))
    events = [json.loads(cloud_event(device, row))["data"] for row in rows]
    found = [(event["kind"], event["imageHash"], event["cohorts"]) for event in events]
    assert found[0] == ("device", None, ["ring=canary"])
    assert ("module", DIGEST, ["ring=canary"]) in found
    assert ("stuck", DIGEST, ["ring=wide"]) in found
    assert found[-1] == ("deleted", None, ["ring=wide"])
    items = await listed(app.services.fleet(), routes.transitions, path={"deviceId": device})
    assert [(item["kind"], item["imageHash"], item["cohorts"]) for item in reversed(items)] == found


async def test_once_a_day_all_pages_of_tags_are_read_and_a_device_moves_with_its_counters(app: App) -> None:
    one, two = await tagged(app, "one", ring="canary"), await tagged(app, "two", ring="wide")
    await app.resync(HOUR)
    assert app.hub.tag_queries[2:] == [[]]
    app.hub.device_tags[one] = {"ring": "wide"}
    before = (await app.rows(one))["device"]["Sequence"]
    await app.resync(HOUR)
    assert len(app.hub.tag_queries) == 3
    app.hub.page_size = 1
    await app.resync(DAY)
    assert app.hub.tag_queries[3:] == [[], []]
    assert await cohorts(app) == {one: ["ring=wide"], two: ["ring=wide"]}
    rows = await app.rows(one)
    assert rows["device"]["Sequence"] == before
    counted = [key for key in await app.index("count") if key.startswith("camera-2|ring=")]
    assert {key.split("|")[1] for key in counted} == {"ring=wide"}
    assert app.hub.reads.count(one) == app.hub.reads.count(two)
    await app.resync(HOUR)
    assert len(app.hub.tag_queries) == 5


async def test_without_the_setting_every_device_leaves_its_cohorts(app: App) -> None:
    one = await tagged(app, "one", ring="canary")
    await app.resync(HOUR)
    app.restart(COHORT_TAGS="")
    for _ in range(2):
        await app.resync(HOUR)
    assert await cohorts(app) == {one: []}
    assert [key for key in await app.index("count") if "ring" in key] == []
    queries = len(app.hub.tag_queries)
    app.restart(COHORT_TAGS="ring")
    await app.resync(HOUR)
    assert (await cohorts(app), len(app.hub.tag_queries)) == ({one: ["ring=canary"]}, queries + 1)


async def test_where_the_hub_refuses_the_query_devices_get_their_cohorts_later(app: App) -> None:
    app.hub.tags_are_down = True
    one = await tagged(app, "one", ring="canary")
    assert await cohorts(app) == {one: []}
    await app.resync(HOUR)
    app.hub.tags_are_down = False
    await app.resync(HOUR)
    assert await cohorts(app) == {one: ["ring=canary"]}


async def test_the_next_resync_asks_for_the_tags_of_new_devices_that_no_query_could_be_made_for(app: App) -> None:
    await app.resync(HOUR)  # the daily refresh is over
    app.hub.tags_have_a_turn = False
    one, two = await tagged(app, "one", ring="canary"), await tagged(app, "it's", ring="wide")
    assert await cohorts(app) == {one: [], two: []}
    before = len(app.hub.tag_queries)
    await app.resync(HOUR)
    assert app.hub.tag_queries[before:] == [[one]], "no query can name the other one"
    assert await cohorts(app) == {one: ["ring=canary"], two: []}
    await app.resync(HOUR)
    assert len(app.hub.tag_queries) == before + 1
    await app.resync(DAY)
    assert await cohorts(app) == {one: ["ring=canary"], two: ["ring=wide"]}


async def test_a_tag_has_a_counter_for_each_of_its_first_values_and_one_for_all_others(app: App) -> None:
    devices = [await tagged(app, f"{number:02d}", site=f"s{number}") for number in range(VALUES + 2)]
    found = await cohorts(app)
    assert found[devices[0]] == ["site=s0"]
    assert found[devices[-1]] == [f"site=s{VALUES + 1}", "site=~other"]
    counted = {key.split("|")[1] for key in await app.index("count") if key.startswith("camera-2|site")}
    assert len(counted) == VALUES + 1
    fleet = app.services.fleet()
    part = (await ask(fleet, routes.deployment, "cohort=site%3D~other", deploymentId="camera-2")).json
    assert part["devices"] == 2
    (item,) = await listed(fleet, routes.devices, cohort=f"site=s{VALUES + 1}")
    assert item["deviceId"] == devices[-1]
    counted_by_value: tuple[tuple[Any, dict[str, str]], ...] = (
        (routes.causes, {}),
        (routes.deployment, {"deploymentId": "camera-2"}),
    )
    for route, path in counted_by_value:
        answered = await ask(fleet, route, f"cohort=site%3Ds{VALUES + 1}", **path)
        assert answered.status == 400, "without counters the answer would be that nothing is wrong"
        assert "cohort=site=~other" in answered.json["detail"]
    app.restart(COHORT_TAGS="ring,site")
    again = await tagged(app, "again", site="s3")
    assert (await cohorts(app))[again] == ["site=s3"]


async def test_a_tag_of_any_value_is_a_cohort_or_none(app: App) -> None:
    values: list[tuple[Any, list[str]]] = [
        ({"of": "gold"}, []),
        (["gold"], []),
        (None, []),
        ("", []),
        (True, ["ring=true"]),
        (3, ["ring=3"]),
        ("a|b'c/d\x00\u2028", ["ring=a|b'c/d"]),
    ]
    expected = {await tagged(app, str(number), ring=value): known for number, (value, known) in enumerate(values)}
    long = await tagged(app, "long", ring="x" * 5000)
    found = await cohorts(app)
    (cut_off,) = found[long]
    assert len(cut_off) <= 70
    assert {
        device: [cohort.strip("\x00 \u2028") for cohort in known] for device, known in found.items() if device != long
    } == expected
    for device, known in found.items():
        for cohort in known:
            items = await listed(app.services.fleet(), routes.devices, cohort=cohort)
            assert [item["deviceId"] for item in items] == [device]


ENVIRONMENT = {"STATUS_TABLES": "UseDevelopmentStorage=true", "IOT_HUB": "hub1.azure-devices.net"}


@pytest.mark.parametrize("value", ["a,b,c,d", "a,a", "a b", "ring,", "x" * 65, "tags.ring"])
def test_wrong_names_of_tags_and_more_than_three_are_refused(value: str) -> None:
    with pytest.raises(SettingError, match=r"^COHORT_TAGS is .*: expected names of device tags, at most 3"):
        Settings.read({**ENVIRONMENT, "COHORT_TAGS": value})


def test_names_of_tags_are_separated_by_commas() -> None:
    assert Settings.read(ENVIRONMENT).cohort_tags == ()
    assert Settings.read({**ENVIRONMENT, "COHORT_TAGS": " ring , region"}).cohort_tags == ("ring", "region")
