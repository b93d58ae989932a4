"""The command forget-deployment: a deployment that is over leaves the tables."""

from datetime import timedelta

from app_over_azurite import App

from status_app.commands.forget_deployment import forget_deployment
from status_app.commands.parser import parser

MINUTE = timedelta(minutes=1)
OLD = {"old": {"status": "Applied"}}
NEW = {"new": {"status": "Applied"}}


async def forget(app: App, deployment: str, *, goes_on: bool = True) -> tuple[bool, list[str]]:
    """Whether it is forgotten, and the lines that are printed."""
    lines: list[str] = []
    rows, fleet = app.services.deployment_rows(), app.services.fleet()
    return await forget_deployment(fleet, rows, deployment, lines.append, lambda: goes_on), lines


async def roll_out(app: App) -> None:
    """Give a device a deployment, and then another one."""
    for version, configurations in enumerate((OLD, NEW), 20):
        device = app.put("d", "090", configurations=configurations, version=version)
        await app.handle(app.event(device))
        await app.flag_stuck(MINUTE)


async def names(app: App) -> set[str]:
    return {item["deploymentId"] for item in (await app.services.fleet().deployments(None, 200)).items}


async def kept(app: App, deployment: str) -> list[str]:
    rows = app.client.get_table_client("Deployments").list_entities()
    return [row["RowKey"] async for row in rows if f"|{deployment}" in row["RowKey"]]


async def test_a_deployment_that_is_over_is_forgotten_and_does_not_come_back(app: App) -> None:
    await roll_out(app)
    assert await names(app) == {"old", "new"}
    assert len(await kept(app, "old")) > 1
    assert await forget(app, "old") == (True, ["old was deleted"])
    assert await kept(app, "old") == []
    for _ in range(3):
        await app.flag_stuck(MINUTE)
    assert await names(app) == {"new"}
    assert await forget(app, "old") == (False, ["old is not known"])


async def test_a_deployment_that_is_on_a_device_or_in_the_hubs_list_stays(app: App) -> None:
    await roll_out(app)
    assert await forget(app, "new") == (
        False,
        ["new is applied to 1 devices: delete it in IoT Hub, or change its target condition"],
    )
    app.hub.listed = [{"id": "old", "createdTimeUtc": "2024-01-01T00:00:00Z", "priority": 1}]
    await app.flag_stuck(MINUTE)
    assert (await forget(app, "old"))[1] == [
        "old is in the hub's list: delete it there first (az iot edge deployment delete)"
    ]
    app.hub.listed = []
    await app.flag_stuck(MINUTE)
    assert await forget(app, "old") == (True, ["old was deleted"])
    await app.flag_stuck(MINUTE)
    assert await names(app) == {"new"}


async def test_nothing_is_deleted_without_a_yes_or_before_every_event_is_sent(app: App) -> None:
    await roll_out(app)
    assert await forget(app, "old", goes_on=False) == (False, [])
    table = app.client.get_table_client("Deployments")
    event = {"PartitionKey": "deployments", "RowKey": "event|old|000000001-02", "Body": "{}"}
    await table.create_entity(event)
    assert await forget(app, "old") == (False, ["old has an event that was not sent yet: try again in a minute"])
    assert len(await kept(app, "old")) > 2
    assert "old" in await names(app)


def test_the_command_takes_one_deployment_and_asks_without_yes() -> None:
    options = parser().parse_args(["forget-deployment", "camera-1"])
    assert (options.deployment, options.yes) == ("camera-1", False)
    assert parser().parse_args(["forget-deployment", "camera-1", "--yes"]).yes
