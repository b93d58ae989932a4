"""News to a real HTTPS target over a real table service: nothing is lost, and no target waits for another."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from killed_call import killed_at
from webhook_target import WebhookTarget, webhook_target

from status_app.ingest.event_batch import IncomingEvent
from status_app.notify.delivery import GIVE_UP_AFTER, LANES, LONGEST_PAUSE, LONGEST_WAIT, Delivery
from status_app.notify.events import EventNews
from status_app.notify.notice_rows import TABLE, NoticeRows
from status_app.notify.notices import Notice, TargetState
from status_app.notify.targets import Format, Target
from status_app.notify.webhook import Webhooks
from status_app.retry import NEVER
from status_app.storage.client import table_service

START = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class News:
    """Delivery over a table of its own, with a clock in memory."""

    def __init__(self, rows: NoticeRows, target: WebhookTarget, webhooks: Webhooks) -> None:
        self.now = START
        self.rows = rows
        self.http = target
        self.target = target.target()
        self.sequence = 0
        self._webhooks = webhooks

    @property
    def delivery(self) -> Delivery:
        """The delivery of a new process."""
        return Delivery(self.rows, self._webhooks, "north", lambda: self.now, self._ticks)

    def _ticks(self) -> float:
        return self.now.timestamp()

    def events(self, number: int, **more: Any) -> list[IncomingEvent]:
        """Events of as many devices, one each."""
        found = []
        for _ in range(number):
            self.sequence += 1
            data = {"deviceId": f"d{self.sequence}", "deployments": ["camera-2"], **more}
            event = {
                "id": f"hub1/d{self.sequence}/1",
                "source": f"/hubs/hub1/devices/d{self.sequence}",
                "type": "edge.deployment.device.stuck",
                "severity": "error",
                "data": data,
            }
            found.append(incoming(json.dumps(event).encode(), self.sequence, self.now))
        return found

    async def handle(self, events: Sequence[IncomingEvent], *targets: Target) -> None:
        await EventNews(self.delivery, targets or (self.target,), lambda: self.now).handle(events)

    async def minute(self, after: timedelta = MINUTE, target: Target | None = None) -> None:
        """Fire the timer after a while."""
        self.now += after
        await self.delivery.send_due(target or self.target, NEVER)

    async def state(self) -> TargetState:
        return await self.rows.state(self.target.name)

    @property
    def taken(self) -> list[str]:
        return [message.id for message in self.http.taken]


def incoming(body: bytes, number: int, at: datetime) -> IncomingEvent:
    return IncomingEvent(body, {}, {}, "0", number, at)


def ids(events: Sequence[IncomingEvent]) -> set[str]:
    return {json.loads(event.body)["id"] for event in events}


@pytest.fixture
async def news(tables: str, tmp_path: Path) -> AsyncIterator[News]:
    async with (
        table_service(tables) as service,
        webhook_target(tmp_path, timeout=60.0) as (target, webhooks),
    ):
        client = await service.create_table(TABLE)
        yield News(NoticeRows(client), target, webhooks)
        await service.delete_table(TABLE)


async def given_up(news: News) -> list[Mapping[str, Any]]:
    return [row for row in await all_rows(news) if row["RowKey"].startswith("given-up|")]


async def test_every_event_reaches_a_program_once_as_it_was_published(news: News) -> None:
    events = news.events(100)
    await news.handle(events)
    assert len(news.taken) == 100
    assert set(news.taken) == ids(events)
    assert news.http.taken[0].content_type == "application/cloudevents+json; charset=utf-8"
    bodies = [message.body for message in news.http.taken]
    assert all(json.loads(event.body) in bodies for event in events)
    await news.minute()
    assert len(news.http.received) == 100


async def test_events_of_one_source_come_in_their_order(news: News) -> None:
    events = []
    for number in range(20):
        event = json.loads(news.events(1)[0].body) | {
            "id": f"hub1/one/{number:02d}",
            "source": "/hubs/hub1/devices/one",
        }
        events.append(incoming(json.dumps(event).encode(), number, news.now))
    await news.handle(events)
    assert news.taken == sorted(ids(events))


async def test_events_that_a_target_does_not_take_now_are_sent_by_the_timer_after_a_pause(news: News) -> None:
    news.http.always = 503
    events = news.events(30)
    await news.handle(events)
    state = await news.state()
    assert (state.failures, state.error, state.failing_since) == (1, "answer 503", START)
    assert state.paused_until == START + MINUTE
    await news.handle(more := news.events(5))  # the target is left alone
    asked = len(news.http.received)
    news.http.always = None
    await news.minute(MINUTE / 2)
    assert len(news.http.received) == asked
    assert (await news.state()).unsent == 35
    await news.minute()
    assert set(news.taken) == ids(events) | ids(more)
    assert len(news.taken) == 35
    assert (await news.state()) == TargetState(0, "", START, START + MINUTE, 0, 0)


@pytest.mark.parametrize(
    ("wait", "pause"),
    [
        ("1800", 30 * MINUTE),
        ("9" * 15, LONGEST_WAIT),
        ("9" * 400, LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
    ],
)
async def test_a_target_that_asks_for_a_pause_gets_it_up_to_an_hour(news: News, wait: str, pause: timedelta) -> None:
    news.http.answers = [web.Response(status=429, headers={"Retry-After": wait})]
    await news.handle(events := news.events(1))
    assert (await news.state()).paused_until == START + pause
    await news.minute(pause)
    assert set(news.taken) == ids(events)


async def test_an_hour_without_the_target_costs_few_attempts_and_loses_nothing(news: News) -> None:
    news.http.always = 500
    sent = set[str]()
    for _ in range(20):
        events = news.events(3)
        sent |= ids(events)
        await news.handle(events)
        await news.minute(3 * MINUTE)
    assert news.taken == []
    assert len(news.http.received) < 40
    assert (await news.state()).unsent == 60
    news.http.always = None
    await news.minute(LONGEST_PAUSE)
    assert set(news.taken) == sent
    assert len(news.taken) == 60


async def test_a_flood_is_a_row_for_each_message_and_is_read_a_page_at_a_time(
    news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, at_once, pages = 100, list[int](), list[int]()
    monkeypatch.setattr("status_app.notify.notice_rows.PAGE", page)
    due, send_once = NoticeRows.due, Webhooks.send_once
    sending = 0

    async def counted_due(*arguments: Any, **options: Any) -> Any:
        found = await due(*arguments, **options)
        pages.append(len(found))
        return found

    async def counted_send(*arguments: Any) -> int:
        nonlocal sending
        sending += 1
        at_once.append(sending)
        try:
            return await send_once(*arguments)
        finally:
            sending -= 1

    monkeypatch.setattr(NoticeRows, "due", counted_due)
    monkeypatch.setattr(Webhooks, "send_once", counted_send)
    news.http.always = 503
    events = news.events(5 * page)
    for _ in range(2):  # the host gives all of them again
        for batch in batched(events, page, strict=True):
            await news.handle(batch)
    assert len(await all_rows(news)) == len(events) + 1
    assert len(news.http.received) < page
    news.http.always = None
    await news.minute(LONGEST_PAUSE)
    assert Counter(news.taken) == Counter(ids(events))
    assert len(await all_rows(news)) == 1
    assert max(pages) == page
    assert max(at_once) <= LANES


async def test_waiting_messages_about_one_cause_are_sent_in_order(news: News) -> None:
    waiting = []
    for number in range(1, 40):
        news.now += MINUTE / 60
        body = json.dumps({"id": f"hub1/causes/a/people/{number}", "type": "edge.deployment.cause"}).encode()
        waiting.append(Notice(f"hub1/causes/a/people/{number}", body, news.now, news.now, news.now))
    await news.rows.keep(news.target.name, waiting)
    await news.minute()
    assert news.taken == [notice.id for notice in waiting]


async def test_a_refused_message_holds_up_no_other_and_waits_longer_each_time(news: News) -> None:
    news.http.answers = [web.Response(status=400, text="too many letters")]
    await news.handle(bad := news.events(1))
    await news.handle(news.events(5))
    assert len(news.taken) == 5
    waits = []
    for _ in range(6):
        news.http.answers = [web.Response(status=400)]
        before, asked = news.now, len(news.http.received)
        while len(news.http.received) == asked:
            await news.minute()
        waits.append((news.now - before) // MINUTE)
    assert waits == [1, 2, 4, 8, 15, 15]
    news.http.answers = []
    await news.minute(LONGEST_PAUSE)
    assert set(news.taken) >= ids(bad)


async def test_a_message_is_given_up_after_a_day_with_the_reason(news: News) -> None:
    news.http.always = 400
    await news.handle(events := news.events(1))
    await news.minute(GIVE_UP_AFTER)
    (row,) = await given_up(news)
    assert (row["Id"], row["Error"], row["Attempts"]) == (ids(events).pop(), "answer 400", 2)
    assert row["GivenUpAt"] == news.now
    assert (await news.state()).given_up == 1
    news.http.always = None
    await news.minute(GIVE_UP_AFTER)
    assert news.taken == []


async def test_all_messages_to_a_target_that_is_gone_for_a_day_are_given_up(news: News) -> None:
    news.http.always = 404
    await news.handle(news.events(60))
    for _ in range(26):
        await news.minute(4 * LONGEST_PAUSE)
    assert len(await given_up(news)) == 60
    assert {row["Error"] for row in await given_up(news)} == {"answer 404"}
    state = await news.state()
    assert (state.given_up, state.unsent) == (60, 0)


async def test_messages_that_waited_while_the_app_was_down_for_days_are_sent_before_they_are_given_up(
    news: News,
) -> None:
    news.http.always = 503
    await news.handle(events := news.events(3))
    news.http.always = None
    await news.minute(3 * GIVE_UP_AFTER)
    assert set(news.taken) == ids(events)


async def test_a_target_that_never_answers_holds_up_no_other(news: News, tmp_path: Path) -> None:
    async with webhook_target(tmp_path / "other") as (silent, _):
        silent.silent = True
        mute = Target("mute", Format.CLOUDEVENTS, silent.url())
        waiting = asyncio.create_task(news.handle(events := news.events(50), news.target, mute))
        while set(news.taken) != ids(events):
            news.http.took.clear()
            await news.http.took.wait()
        assert not waiting.done()
        silent.always = 503
        silent.end()
        await waiting
        assert (await news.rows.state("mute")).failures == 1


async def test_an_event_that_the_app_did_not_publish_costs_only_itself(news: News) -> None:
    strange = [b"", b"[]", b"{", b"\xff", b'{"id": "a", "type": "t", "data": 5}', b"[" * 100_000]
    strange += [b'{"id": "a", "type": "t", "data": {}}', b'{"type": "t", "data": {"deployments": []}}']
    bad = [incoming(body, number, news.now) for number, body in enumerate(strange)]
    await news.handle([*bad, *(good := news.events(1))])
    assert set(news.taken) == ids(good)


async def test_an_event_that_no_message_can_be_made_of_holds_up_no_other(news: News) -> None:
    people = news.http.target("people", Format.SLACK)
    broken = {"id": "a", "type": "edge.deployment.stalled", "data": {"deployment": "d"}}
    whole = {"devices": 3, "successful": 1, "failing": 0, "states": {}, "version": 1, "deployment": "d"}
    good = broken | {"id": "b\r\nx: y", "data": whole, "time": "t"}
    events = [incoming(json.dumps(event).encode(), number, news.now) for number, event in enumerate((broken, good))]
    await news.handle(events, people)
    assert news.taken == [r"b\r\nx: y"]
    state = await news.rows.state("people")
    assert (state.failures, await news.rows.unsent("people")) == (0, 1)


async def test_an_event_as_large_as_the_event_hub_takes_is_kept_whole(news: News) -> None:
    noise = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(60_000))
    news.http.always = 503
    await news.handle(events := news.events(30, message=noise))
    news.http.always = None
    await news.minute()
    assert set(news.taken) == ids(events)
    assert news.http.taken[0].body["data"]["message"] == noise


async def test_no_row_holds_an_address_that_an_answer_quotes(news: News) -> None:
    news.http.answers = [web.Response(status=400, text=f"I am {news.target.url}")]
    await news.handle(news.events(1))
    rows = await all_rows(news)
    assert any(row.get("Error") == "answer 400: I am ***" for row in rows)
    assert "SECRET" not in str(rows)
    assert "s3cret" not in str(rows)


async def test_a_row_that_cannot_be_read_costs_only_itself(news: News) -> None:
    news.http.always = 400
    await news.handle(events := news.events(2))
    client = news.rows._client  # noqa: SLF001 (as somebody else might)
    rows = [row async for row in client.list_entities() if row["RowKey"].startswith("unsent|")]
    await client.upsert_entity({**rows[0], "Body": b"no deflated body"})
    news.http.always = None
    await news.minute()
    assert len(news.taken) == 1
    assert set(news.taken) < ids(events)


@pytest.mark.parametrize("kind", ["before", "after"])
async def test_a_batch_killed_at_any_call_loses_nothing_and_repeats_only_what_was_sent_under_its_id(
    news: News, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host repeats a batch that no process has finished: one target took some of it, another one none."""
    down = Target("down", Format.CLOUDEVENTS, news.http.url("/down"))
    events = news.events(4)

    async def batch() -> None:
        await news.handle(events, news.target, down)

    async def killed(number: float) -> int:
        news.http.down = {"/down"}
        calls = await killed_at(number, kind, batch, monkeypatch)
        await batch()
        news.http.down = set()
        for target in (news.target, down):
            await news.minute(LONGEST_PAUSE, target)
        first, late = (
            Counter(message.id for message in news.http.taken if (message.path == "/down") is is_down)
            for is_down in (False, True)
        )
        assert first.keys() == ids(events)
        assert first <= Counter(ids(events)) + Counter(calls.begun)
        assert late == Counter(ids(events))
        bodies = [json.loads(event.body) for event in events]
        assert all(message.body in bodies for message in news.http.taken)
        await nothing_waits(news)
        return calls.number

    calls = await killed(float("inf"))
    assert calls > 10
    for number in range(1, calls + 1):
        await killed(number)


@pytest.mark.parametrize("kind", ["before", "after"])
async def test_a_timer_killed_at_any_call_loses_nothing_and_repeats_only_what_was_sent(
    news: News, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of it is taken, one message is refused, and one is given up: each is recorded by a call of its own."""
    refused, old, fine = (news.events(number) for number in (1, 1, 3))

    async def killed(number: float) -> int:
        news.http.always = 503
        await news.handle(old)
        news.now += GIVE_UP_AFTER
        await news.handle([*refused, *fine])
        news.http.always, news.http.refused = None, ids(refused) | ids(old)
        news.now += LONGEST_PAUSE
        calls = await killed_at(number, kind, news.minute, monkeypatch)
        await news.minute(LONGEST_PAUSE)
        news.http.refused = set()
        await news.minute(LONGEST_PAUSE)
        again = Counter(news.taken)
        assert again.keys() - ids(old) == ids(refused) | ids(fine)
        assert again <= Counter(again.keys()) + Counter(calls.begun)
        given = {row["Id"] for row in await given_up(news)}
        assert given | (again.keys() & ids(old)) == ids(old)
        await nothing_waits(news)
        return calls.number

    calls = await killed(float("inf"))
    assert calls > 8
    for number in range(1, calls + 1):
        await killed(number)


async def nothing_waits(news: News) -> None:
    """Nothing is left to be sent. Go back to a table without rows."""
    rows = await all_rows(news)
    assert not [row for row in rows if row["RowKey"].startswith("unsent|")]
    for row in rows:
        await news.rows._client.delete_entity(row["PartitionKey"], row["RowKey"])  # noqa: SLF001 (as below)
    news.http.taken.clear()


async def all_rows(news: News) -> list[Mapping[str, Any]]:
    return [row async for row in news.rows._client.list_entities()]  # noqa: SLF001 (as an operator sees them)
