"""Messages to people about causes, from the real tables of the app to a real HTTPS target."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from app_over_azurite import App, fresh_app
from azure.data.tables import UpdateMode
from killed_call import killed_at
from webhook_target import WebhookTarget, webhook_target

from status_app.notify.notice_rows import TABLE
from status_app.notify.targets import Filter, Format, Target
from status_app.services import Services
from status_app.settings import Settings

BACKOFF = "048"
MINUTE = timedelta(minutes=1)
GRACE = 15 * MINUTE
CARE = 10 * MINUTE


class Fleet:
    """The app, with a target that people read."""

    def __init__(self, app: App, http: WebhookTarget, webhooks: Any) -> None:
        self.app = app
        self.http = http
        self._webhooks = webhooks
        self.targets: list[Target] = [http.target("people", Format.SLACK)]
        self.restart()

    def restart(self) -> None:
        """Go on with another process of the app."""
        settings = Settings.read(self.app.environment)
        self.app.others.append(self.app.services)
        self.app.services = Services(
            settings,
            clock=lambda: self.app.now,
            twins=self.app.hub,
            targets=self.targets,
            webhooks=self._webhooks,
        )

    async def minute(self, after: timedelta = MINUTE) -> None:
        """Fire the timer as the function does."""
        await self.app.flag_stuck(after)
        await self.app.services.send_notices()

    async def fail(self, *names: str, **changes: Any) -> list[str]:
        """Devices on which m1 of the deployment fails from now on."""
        devices = [self.app.put(name, BACKOFF, **changes) for name in names]
        for device in devices:
            self.app.report(device, timedelta(0))
            await self.app.handle(self.app.event(device))
        return devices

    async def mend(self, devices: list[str]) -> None:
        for device in devices:
            self.app.report(device, timedelta(0), runtimeStatus="running", exitCode=0)
            await self.app.handle(self.app.event(device))

    @property
    def titles(self) -> list[str]:
        """The first lines of the messages that were taken, without the cause."""
        return [message.body["text"].splitlines()[0].partition(" due to ")[0] for message in self.http.taken]


@pytest.fixture
async def fleet(tables: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with webhook_target(tmp_path, timeout=60.0) as (http, webhooks), fresh_app(tables) as app:
        yield Fleet(app, http, webhooks)
        await app.client.delete_table(TABLE)


def names(number: int) -> list[str]:
    return [f"d{count:02d}" for count in range(number)]


async def test_a_cause_is_one_message_at_first_one_at_ten_times_the_devices_and_one_at_its_end(
    fleet: Fleet,
) -> None:
    devices = await fleet.fail(*names(2))
    await fleet.minute()
    assert fleet.http.received == []
    await fleet.minute(GRACE)  # stuck now, and for a minute after it
    assert fleet.http.received == []
    await fleet.minute()
    assert [title.partition(": ")[2] for title in fleet.titles] == ["2 devices fail"]
    text = fleet.http.taken[0].body["text"]
    assert "backoff: m1" in text
    assert "For instance: " in text
    assert "Across the fleet: It fails on all 2 devices that got this image: the image seems to be the problem." in text
    assert "What to do: Check the image, or go back to the previous one." in text
    devices += await fleet.fail(*(f"e{count:02d}" for count in range(17)))
    await fleet.minute(GRACE)
    await fleet.minute()
    assert len(fleet.http.taken) == 1  # 19 are less than ten times 2
    devices += await fleet.fail("f")
    await fleet.minute(GRACE)
    await fleet.minute()
    assert fleet.titles[1].endswith("now 20 devices fail")
    assert "(2 in the last message)" in fleet.http.taken[1].body["text"]
    await fleet.mend(devices)
    await fleet.minute(CARE)
    await fleet.minute()
    await fleet.minute()
    await fleet.minute()
    assert fleet.titles[2].endswith("no device fails any more")
    assert len(fleet.http.received) == 3
    ids = [message.id for message in fleet.http.taken]
    assert [news_id.rpartition("/")[2] for news_id in ids] == ["1", "2", "3"]
    assert len({news_id.rpartition("/")[0] for news_id in ids}) == 1


async def test_a_cause_that_lasts_less_than_a_minute_is_not_mentioned(fleet: Fleet) -> None:
    devices = await fleet.fail("d")
    await fleet.minute(GRACE)
    await fleet.mend(devices)
    await fleet.minute(CARE)
    for _ in range(3):
        await fleet.minute()
    assert fleet.http.received == []


async def test_a_cause_that_comes_back_within_a_minute_has_not_ended(fleet: Fleet) -> None:
    device = fleet.app.put("rejected", "007")

    async def look(code: int) -> None:
        """The device rejects the manifest, or takes it."""
        with fleet.app.edit(device, timedelta(0)) as reported:
            reported["lastDesiredStatus"]["code"] = code
        await fleet.app.handle(fleet.app.event(device))

    await look(400)
    for _ in range(2):
        await fleet.minute()
    for _ in range(2):
        assert len(fleet.titles) == 1
        await look(200)
        await fleet.minute(CARE)  # no device fails
        await look(400)
        await fleet.minute(MINUTE / 2)
    await look(200)
    await fleet.minute(CARE)
    assert len(fleet.titles) == 1, "it did not fail for less than a minute each time"
    await fleet.minute()
    assert [title.rpartition(": ")[2] for title in fleet.titles[1:]] == ["no device fails any more"]


async def test_a_rejected_manifest_is_mentioned_before_it_is_stuck(fleet: Fleet) -> None:
    device = fleet.app.put("rejected", "007")
    await fleet.app.handle(fleet.app.event(device))
    await fleet.minute()
    await fleet.minute()
    assert len(fleet.http.taken) == 1
    assert "config_rejected" in fleet.http.taken[0].body["text"]


async def test_each_target_gets_what_its_filter_lets_through(fleet: Fleet) -> None:
    other = Filter(deployments=("another*",))
    fleet.targets = [
        fleet.http.target("people", Format.SLACK),
        fleet.http.target("others", Format.TEAMS, filter=other),
        fleet.http.target("program"),
    ]
    fleet.restart()
    await fleet.fail("d")
    await fleet.minute(GRACE)
    await fleet.minute()
    assert ["people" in message.id for message in fleet.http.taken] == [True]


async def test_no_cause_ends_of_a_deployment_that_cannot_be_read_and_others_are_mentioned(fleet: Fleet) -> None:
    applied = {"status": "Applied"}
    await fleet.fail("d", configurations={"bad": applied})
    await fleet.minute(GRACE)
    await fleet.minute()
    assert len(fleet.titles) == 1
    rows = fleet.app.client.get_table_client("Deployments")
    whole = await rows.get_entity("deployments", "deployment|bad")
    await rows.update_entity({"PartitionKey": "deployments", "RowKey": "deployment|bad", "Reached": "["})
    await fleet.fail("e", configurations={"good": applied})
    fleet.app.now += GRACE
    for _ in range(3):
        with suppress(ExceptionGroup):  # the deployment itself cannot be counted
            await fleet.app.flag_stuck(MINUTE)
        await fleet.app.services.send_notices()
    assert ["bad" in title for title in fleet.titles] == [True, False]
    await rows.update_entity(whole, mode=UpdateMode.REPLACE)


async def test_a_message_that_a_target_does_not_take_comes_later_and_once(fleet: Fleet) -> None:
    await fleet.fail("d")
    await fleet.minute(GRACE)
    fleet.http.answers = [web.Response(status=503)]
    await fleet.minute()
    assert fleet.titles == []
    for _ in range(3):
        await fleet.minute()
    assert len(fleet.titles) == 1


async def test_no_cause_ends_while_the_index_is_rebuilt(fleet: Fleet) -> None:
    await fleet.fail("d")
    await fleet.minute(GRACE)
    await fleet.minute()
    table = fleet.app.client.get_table_client("DeploymentIndex")
    async for row in table.list_entities():
        await table.delete_entity(row["PartitionKey"], row["RowKey"])
    fleet.restart()
    for _ in range(2):
        fleet.app.now += MINUTE
        await fleet.app.services.send_notices()  # as where the run before it failed
    for _ in range(4):
        await fleet.minute()
    assert len(fleet.http.received) == 1


@pytest.mark.parametrize("kind", ["before", "after"])
async def test_a_run_killed_at_any_call_loses_nothing_and_repeats_only_what_was_sent_under_its_id(
    fleet: Fleet, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of the run, a request to the tables or to the target, is the last that the process makes once."""
    await fleet.fail("d")
    await fleet.minute(GRACE)
    await fleet.minute(MINUTE / 2)
    fleet.app.now += MINUTE
    calls = await killed_run(fleet, float("inf"), kind, monkeypatch)
    assert calls > 10
    (message,) = fleet.http.taken
    await forget_the_message(fleet)
    for number in range(1, calls + 1):
        fleet.http.taken.clear()
        await killed_run(fleet, number, kind, monkeypatch)
        was_sent = len(fleet.http.taken)
        fleet.restart()
        await fleet.app.flag_stuck()
        await fleet.app.services.send_notices()
        found = [(message.id.rpartition("/")[2], message.body) for message in fleet.http.taken]
        assert len(found) in (1, 1 + was_sent)
        assert found == [("1", message.body)] * len(found)
        assert len({message.id for message in fleet.http.taken}) == 1
        await forget_the_message(fleet)


async def forget_the_message(fleet: Fleet) -> None:
    """Go back to where the cause was seen, and no message was sent."""
    table = fleet.app.client.get_table_client(TABLE)
    async for row in table.list_entities():
        if row["RowKey"].startswith("cause|"):
            await table.upsert_entity({**row, "Told": 0, "ToldDevices": 0})
        else:
            await table.delete_entity(row["PartitionKey"], row["RowKey"])


async def killed_run(fleet: Fleet, last: float, kind: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run that part of the timer in a new process that ends at a call; return the number of calls."""
    fleet.restart()
    await fleet.app.flag_stuck()
    return (await killed_at(last, kind, fleet.app.services.send_notices, monkeypatch)).number
