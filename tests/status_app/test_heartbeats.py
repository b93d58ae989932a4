"""Heartbeats of the timers and the trigger, and what health makes of them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from app_over_azurite import App, fresh_app
from asking import ask
from test_metrics import Heard

from local.tables import table_proxy
from status_app.errors import UnavailableError
from status_app.http import routes
from status_app.queries import health
from status_app.storage.heartbeats import TIMERS, Source
from status_app.telemetry import meters
from status_app.version import VERSION

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def run(app: App, source: Source, *, error: Exception | None = None, **enqueued: Any) -> None:
    """A run of a minute."""
    async with app.services.heartbeats.beating(source, **enqueued):
        app.now += MINUTE
        if error is not None:
            raise error


async def details(app: App) -> Any:
    return (await ask(app.services.health, routes.health_details)).json


async def word(app: App) -> tuple[int, str]:
    answered = await ask(app.services.health, routes.health)
    assert set(answered.json) == {"status"}
    return answered.status, answered.json["status"]


async def test_a_heartbeat_has_when_a_timer_ran_for_how_long_and_with_what_result(app: App) -> None:
    await run(app, Source.RESYNC)
    succeeded = app.now
    failure = ExceptionGroup("resync", [UnavailableError("iothub", "answer 429"), ValueError("SharedAccessKey=x")])
    with pytest.raises(ExceptionGroup):
        await run(app, Source.RESYNC, error=failure)
    (beat,) = (await app.services.heartbeats.read()).values()
    assert (beat.ran_at, beat.succeeded_at, beat.seconds) == (app.now, succeeded, 60)
    assert beat.error == "iothub is unavailable: answer 429 (2 errors)"
    assert (beat.event_at, beat.lag, beat.version) == (None, None, VERSION)


async def test_of_an_error_that_is_not_the_apps_own_only_the_type_is_kept(app: App) -> None:
    with pytest.raises(ValueError, match="hunter2"):
        await run(app, Source.FLAG_STUCK, error=ValueError("SharedAccessKey=hunter2"))
    assert (await app.services.heartbeats.read())[Source.FLAG_STUCK].error == "ValueError"


async def test_the_trigger_keeps_its_lag_and_one_heartbeat_a_minute(app: App) -> None:
    enqueued = [app.now - 2 * MINUTE, None, app.now - MINUTE]
    await run(app, Source.ON_TWIN_CHANGES, enqueued=enqueued)
    first = (await app.services.heartbeats.read())[Source.ON_TWIN_CHANGES]
    assert (first.event_at, first.lag) == (enqueued[2], 120)
    app.now -= MINUTE / 2  # the next one ends half a minute after the first
    await run(app, Source.ON_TWIN_CHANGES, enqueued=[app.now])
    assert (await app.services.heartbeats.read())[Source.ON_TWIN_CHANGES] == first
    await run(app, Source.ON_TWIN_CHANGES, enqueued=[app.now])
    assert (await app.services.heartbeats.read())[Source.ON_TWIN_CHANGES].event_at == app.now - MINUTE


async def test_a_heartbeat_that_cannot_be_written_does_not_fail_the_run(
    tables: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with table_proxy(tables) as proxy, fresh_app(proxy.connection_string) as app:
        proxy.faults.add("write", 503, 10)
        await run(app, Source.FLAG_STUCK)
        proxy.faults.clear()
        assert await app.services.heartbeats.read() == {}
        await app.client.delete_table("DeploymentIndex")
        await run(app, Source.FLAG_STUCK)
        await app.client.create_table("DeploymentIndex")
    assert caplog.text.count("flag_stuck: its heartbeat was not written") == 2


async def test_a_timer_records_its_success_and_the_trigger_none(app: App) -> None:
    heard = Heard()
    meters.listen(heard)
    for source in Source:
        await run(app, source)
    with pytest.raises(ValueError, match="x"):
        await run(app, Source.RESYNC, error=ValueError("x"))
    meters.listen(None)
    assert heard.of(meters.TIMER_SUCCESS) == [(1, {"timer": timer}) for timer in TIMERS]


async def test_health_is_ok_while_the_timers_run_and_otherwise_names_the_problem_in_a_word(app: App) -> None:
    async def after(length: timedelta) -> tuple[int, str]:
        app.now += length
        return await word(app)

    assert await after(MINUTE) == (503, "flag_stuck_never_ran")
    await run(app, Source.FLAG_STUCK)
    assert await after(MINUTE) == (503, "resync_never_ran")
    await run(app, Source.RESYNC)
    assert await after(MINUTE) == (200, "ok")
    assert await after(4 * MINUTE) == (503, "flag_stuck_silent")
    await run(app, Source.FLAG_STUCK)
    assert await after(MINUTE) == (200, "ok")
    app.now += 5 * HOUR
    await run(app, Source.FLAG_STUCK)
    assert await after(MINUTE) == (503, "resync_silent")
    await run(app, Source.RESYNC)
    for _ in range(5):
        with pytest.raises(UnavailableError):
            await run(app, Source.FLAG_STUCK, error=UnavailableError("iothub", "answer 503"))
    assert await after(MINUTE) == (503, "flag_stuck_failing")
    assert (await details(app))["heartbeats"]["flag_stuck"]["error"] == "iothub is unavailable: answer 503"
    await run(app, Source.FLAG_STUCK)
    assert await after(MINUTE) == (200, "ok")


async def test_a_timer_that_never_succeeded_fails(app: App) -> None:
    with pytest.raises(ValueError, match="x"):
        await run(app, Source.FLAG_STUCK, error=ValueError("x"))
    assert (await details(app))["problems"] == ["flag_stuck_failing", "resync_never_ran"]


async def test_a_timer_is_silent_after_periods_of_its_own_schedule(tables: str) -> None:
    async with fresh_app(tables, RESYNC_SCHEDULE="0 0 3 * * *") as app:
        await run(app, Source.RESYNC)
        app.now += timedelta(days=4)
        assert "resync_silent" not in (await details(app))["problems"]
        app.now += timedelta(days=1)
        assert "resync_silent" in (await details(app))["problems"]


async def test_the_details_name_the_hub_the_version_and_the_lag(app: App) -> None:
    await run(app, Source.ON_TWIN_CHANGES, enqueued=[app.now - 2 * MINUTE])
    found = await details(app)
    assert (found["hub"], found["fleet"], found["version"]) == ("hub1", "hub1", VERSION)
    assert found["lagSeconds"] == 120
    assert found["lastEventAt"] == "2024-05-02T09:08:00.000000Z"
    assert found["checkedAt"] == found["heartbeats"]["on_twin_changes"]["ranAt"]


async def test_health_costs_a_request_in_fifteen_seconds_however_many_ask(app: App, tables: str) -> None:
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        await asyncio.gather(*(ask(services.health, routes.health) for _ in range(100)))
        app.now += timedelta(seconds=14)
        await ask(services.health, routes.health)
        assert sum(proxy.requests.values()) == 1
        app.now += timedelta(seconds=1)
        await ask(services.health, routes.health)
        assert sum(proxy.requests.values()) == 2


async def test_a_caller_who_hangs_up_does_not_cancel_the_answer_of_another(app: App) -> None:
    asked = [asyncio.create_task(app.services.health.word()) for _ in range(2)]
    await asyncio.sleep(0)
    asked[0].cancel()
    assert await asked[1] == "flag_stuck_never_ran"


async def test_health_reports_tables_that_do_not_answer_in_time(
    app: App, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        monkeypatch.setattr(health, "PATIENCE", 0.05)
        proxy.faults.delay("read", 1)
        answered = await ask(services.health, routes.health)
        assert (answered.status, answered.json) == (503, {"status": "tables_unavailable"})
        assert answered.headers["Retry-After"] == "5"
        assert "ETag" not in answered.headers
        proxy.faults.delay("read", 1)
        assert (await ask(services.health, routes.health_details)).json["problems"] == ["tables_unavailable"]
