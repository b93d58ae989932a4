"""The progress of deployments: the points that the timer keeps, and the answers made of them."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import pytest
from app_over_azurite import START, App, fresh_app
from asking import ask

from local.tables import table_proxy
from status_app.http import routes
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.device_count import NO_DEVICES
from status_app.rollouts.progress_points import LATELY, MOST, ProgressPoint, Speed, point_row, speed
from status_app.rollouts.stored_deployment import StoredDeployment
from status_core import Counts, Rollout

PENDING, SUCCESSFUL, INVALID = "002", "003", "007"
MINUTE: Final = timedelta(minutes=1)
CAMERA: Final = "camera-2"


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables, STABLE_AFTER="PT1S") as app:
        yield app


async def show(app: App, name: str, case: str, *deployments: str) -> str:
    applied = {deployment: {"status": "Applied"} for deployment in deployments or (CAMERA,)}
    device = app.put(name, case, configurations=applied, version=10 + app.sequence)
    await app.handle(app.event(device))
    return device


async def progress(app: App, deployment: str = CAMERA) -> Any:
    answered = await ask(app.services.fleet(), routes.progress, deploymentId=deployment)
    assert answered.status == 200, answered.body
    return answered.json


def listed(targeted: int) -> Any:
    results = {"targetedCount": targeted}
    return {"id": CAMERA, "createdTimeUtc": "2024-01-01T00:00:00Z", "systemMetrics": {"results": results}}


def at(minutes: int, successful: int) -> ProgressPoint:
    return ProgressPoint(START + minutes * MINUTE, 1, None, 100, successful, 0, 0)


async def test_only_a_minute_in_which_the_counts_change_is_a_point(app: App) -> None:
    app.hub.listed = [listed(4)]
    for name in "abc":
        await show(app, name, PENDING)
    await app.flag_stuck(MINUTE)
    for minutes, name in ((MINUTE, "a"), (3 * MINUTE, "b")):
        await app.flag_stuck(minutes / 2)
        await show(app, name, SUCCESSFUL)
        await app.flag_stuck(minutes / 2)
    found = await progress(app)
    points = [tuple(point.values()) for point in found["points"]]
    assert points == [
        ("2024-05-02T09:11:00.000000Z", 4, 3, 0, 0, 0),
        ("2024-05-02T09:12:00.000000Z", 4, 3, 1, 0, 0),
        ("2024-05-02T09:15:00.000000Z", 4, 3, 2, 0, 0),
    ]
    assert (found["deploymentId"], found["version"], found["listedAt"]) == (CAMERA, 1, "2024-05-02T09:15:00.000000Z")
    assert (found["perHour"], found["secondsLeft"]) == (30.0, 240), "two of four in four minutes"
    assert found["estimate"] == (
        "An estimate: in the last 4 min 2 became successful, and 2 are neither successful nor failing yet. "
        "It assumes that these take as long."
    )
    app.now += LATELY
    found = await progress(app)
    assert (found["perHour"], found["secondsLeft"]) == (None, None)
    assert found["estimate"] == "No estimate: no device became successful in the last 15 minutes."


async def test_a_failing_device_is_not_left_to_do_and_with_none_left_there_is_no_estimate(app: App) -> None:
    for name in "abc":
        await show(app, name, PENDING)
    await app.flag_stuck(MINUTE)
    await show(app, "a", SUCCESSFUL)
    await show(app, "b", INVALID)
    await app.flag_stuck(MINUTE)
    found = await progress(app)
    assert (found["points"][-1]["targeted"], found["listedAt"]) == (None, None)
    assert (found["perHour"], found["secondsLeft"]) == (60.0, 60)
    await show(app, "c", SUCCESSFUL)
    await app.flag_stuck(MINUTE)
    found = await progress(app)
    assert (found["perHour"], found["secondsLeft"]) == (60.0, None)
    assert found["estimate"] == "No estimate: every device is successful or failing."


async def test_each_version_has_points_of_its_own(app: App) -> None:
    app.hub.listed = [listed(1), listed(1) | {"id": "another"}]
    await show(app, "a", SUCCESSFUL)
    await app.flag_stuck(MINUTE)
    await show(app, "a", SUCCESSFUL, "another")
    await app.flag_stuck(MINUTE)
    assert [point["credited"] for point in (await progress(app))["points"]] == [1, 0]
    await show(app, "a", SUCCESSFUL)
    await app.flag_stuck(MINUTE)
    found = await progress(app)
    assert (found["version"], [point["credited"] for point in found["points"]]) == (2, [1])
    app.hub.listed = [listed(1) | {"createdTimeUtc": app.now.isoformat()}]
    await app.flag_stuck(MINUTE)
    found = await progress(app)
    assert (found["version"], [point["successful"] for point in found["points"]]) == (3, [0])


async def test_a_listed_deployment_without_a_count_has_no_points_and_an_unknown_one_is_not_found(
    app: App,
) -> None:
    fleet = app.services.fleet()
    assert (await ask(fleet, routes.progress, deploymentId=CAMERA)).status == 404
    app.hub.listed = [listed(2)]
    await app.flag_stuck()
    table = app.client.get_table_client("Deployments")
    await table.delete_entity("deployments", f"deployment|{CAMERA}")
    found = await progress(app)
    assert (found["version"], found["points"], found["secondsLeft"]) == (None, [], None)
    assert (await ask(fleet, routes.progress, deploymentId="camera")).status == 404
    assert (await ask(fleet, routes.progress, "cohort=ring%3Dcanary", deploymentId=CAMERA)).status == 400


async def test_a_point_costs_no_request_and_an_answer_costs_one(tables: str) -> None:
    async with table_proxy(tables) as proxy, fresh_app(proxy.connection_string) as app:
        await show(app, "a", PENDING)
        await app.flag_stuck()
        before = proxy.requests_of["Deployments"].copy()
        await show(app, "a", SUCCESSFUL)
        await app.flag_stuck(MINUTE)
        # The deployments, and the count with its point.
        assert proxy.requests_of["Deployments"] - before == {"read": 1, "write": 1}
        before = proxy.requests_of["Deployments"].copy()
        assert len((await progress(app))["points"]) == 2
        assert proxy.requests_of["Deployments"] - before == {"read": 1}


async def test_the_newest_thousand_points_are_kept_in_rows_of_a_hundred(app: App) -> None:
    table = app.client.get_table_client("Deployments")
    rows = DeploymentRows(table)

    async def count(number: int) -> None:
        """Keep a count after so many others."""
        found, _, _ = await rows.read()
        stored = found[0] if found else StoredDeployment(CAMERA, None)
        counted = Rollout(1, Counts(2_000, number), number, None, START)
        point = ProgressPoint.of(counted, None, START + number * MINUTE)
        await rows.write(stored, counted, point.at, NO_DEVICES, [], threshold=None, point=point)

    async def kept() -> list[int]:
        return [point["successful"] for point in (await progress(app))["points"]]

    await count(0)
    whole = defaultdict[str, dict[str, Any]](dict)
    for number in range(MOST + 99):
        _, row, *_ = point_row("deployments", CAMERA, number, at(number, number))
        whole[row["RowKey"]] |= row
    for row in whole.values():
        await table.upsert_entity(row)
    await table.update_entity(
        {"PartitionKey": "deployments", "RowKey": f"deployment|{CAMERA}", "Points": MOST + 99}, mode="merge"
    )
    for number in range(MOST + 99, MOST + 102):
        await count(number)
        assert await kept() == [*range(number + 1)][-MOST:]
    found = [row async for row in table.query_entities("PartitionKey eq 'deployments' and RowKey ge 'progress|'")]
    assert sorted(sum(name.startswith("Point") for name in row) for row in found) == [2] + [100] * (MOST // 100)
    app.now = START + (MOST + 102) * MINUTE
    assert (await progress(app))["perHour"] == 56.0, "14 in the 15 minutes that end a minute after the last"


async def test_a_point_that_cannot_be_read_costs_only_itself(app: App, caplog: pytest.LogCaptureFixture) -> None:
    table = app.client.get_table_client("Deployments")
    for case in (PENDING, SUCCESSFUL):
        await show(app, "a", case)
        await app.flag_stuck(MINUTE)
    for wrong in ("[", "5", "{}", '["2024-05-02T09:11:00Z",1,null,1,1,1]', '["x",1,null,1,1,1,1]', '[1,"1",2,3,4,5,6]'):
        row = await table.get_entity("deployments", f"progress|{CAMERA}|00")
        await table.upsert_entity({**row, "Point00": wrong})
        assert [point["successful"] for point in (await progress(app))["points"]] == [1]
        assert "Point00 of row 'progress|camera-2|00' cannot be read" in caplog.records[-1].message


async def test_over_rows_of_a_release_without_points_the_first_point_is_the_next_change(app: App) -> None:
    table = app.client.get_table_client("Deployments")
    await show(app, "a", PENDING)
    await app.flag_stuck(MINUTE)
    row = dict(await table.get_entity("deployments", f"deployment|{CAMERA}"))
    del row["Points"]
    await table.upsert_entity(row, mode="replace")
    await table.delete_entity("deployments", f"progress|{CAMERA}|00")
    app.restart()
    await show(app, "a", SUCCESSFUL)
    await app.flag_stuck(MINUTE)
    found = await progress(app)
    assert ([point["successful"] for point in found["points"]], found["perHour"]) == ([1], None)
    assert json.loads((await table.get_entity("deployments", f"progress|{CAMERA}|00"))["Point00"])[1:] == [
        *(1, None, 1, 1, 0, 0)
    ]


@pytest.mark.parametrize(
    ("points", "now", "expected"),
    [
        ([], 0, None),
        ([at(0, 5)], 1, None),
        ([at(0, 0), at(2, 4)], 2, Speed(4, 2 * MINUTE)),
        ([at(0, 0), at(2, 4)], 4, Speed(4, 4 * MINUTE)),
        ([at(0, 0), at(2, 4)], 15, Speed(4, 15 * MINUTE)),
        ([at(0, 0), at(2, 4)], 17, None),
        ([at(0, 0), at(2, 4), at(90, 5)], 91, Speed(1, 15 * MINUTE)),
        ([at(0, 4), at(2, 3)], 3, None),
        ([at(0, 0), at(2, 4)], 0, None),  # the clock of another process is behind
    ],
)
def test_the_speed_is_taken_from_the_last_quarter_of_an_hour(
    points: list[ProgressPoint], now: int, expected: Speed | None
) -> None:
    assert speed(points, START + now * MINUTE) == expected
