"""The timer trigger."""

import asyncio
import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sample_hosts import StartHost, running_app

from local.host import HostStoppedError


class SimulatedTime:
    """A clock that moves when somebody sleeps, and ends at a set time."""

    def __init__(self, now: datetime, end: datetime) -> None:
        self.now = now
        self.end = end
        self.slept: list[float] = []
        self.ended = asyncio.Event()

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.now + timedelta(seconds=seconds) > self.end:
            self.ended.set()
            await asyncio.Event().wait()
        self.now += timedelta(seconds=seconds)


def midnight(hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 1, 1, hour, minute, tzinfo=UTC)


async def test_a_timer_fires_by_hand_in_the_thread_pool_of_the_library(start_host: StartHost) -> None:
    host = await start_host()
    outcome = await host.run_timer("tick")
    assert outcome.ok
    ((timer, _, thread),) = running_app().ticks
    assert timer.past_due is False
    assert thread != threading.current_thread().name


async def test_a_timer_that_is_monitored_gets_the_status_of_its_schedule(start_host: StartHost) -> None:
    host = await start_host(clock=lambda: midnight(0, 5))
    await host.run_timer("tick")
    await host.run_timer("tick")
    first, second = (timer for timer, _, _ in running_app().ticks)
    assert first.schedule == {"AdjustForDST": True}
    assert first.schedule_status["Last"] == "0001-01-01T00:00:00"
    assert second.schedule_status["Last"] == "2026-01-01T00:05:00+00:00"
    assert second.schedule_status["Next"] == "2026-01-01T00:10:00+00:00"


async def test_a_timer_of_less_than_a_minute_is_not_monitored(start_host: StartHost) -> None:
    host = await start_host(settings={"SCHEDULE": "00:00:30"})
    await host.run_timer("tick")
    assert running_app().ticks[0][0].schedule_status == {}


async def test_a_failed_timer_is_tried_again_after_the_delay_of_its_policy(
    start_host: StartHost, caplog: pytest.LogCaptureFixture
) -> None:
    time = SimulatedTime(midnight(), midnight(1))
    host = await start_host(clock=time, sleep=time.sleep)
    running_app().ticks_to_fail = 1
    outcome = await host.run_timer("tick")
    assert (outcome.ok, outcome.attempt, time.slept) == (True, 1, [5])
    assert [(seen.attempt, seen.ok, seen.exception) for seen in host.invocations] == [
        (0, False, "RuntimeError: a bad tick"),
        (1, True, ""),
    ]
    (record,) = [record for record in caplog.records if record.name == "local.host"]
    assert record.levelno == logging.ERROR
    assert "tick failed in attempt 1: RuntimeError: a bad tick\nTraceback" in record.getMessage()


async def test_a_timer_whose_policy_is_at_its_end_gives_its_last_outcome(start_host: StartHost) -> None:
    time = SimulatedTime(midnight(), midnight(1))
    host = await start_host(clock=time, sleep=time.sleep)
    running_app().ticks_to_fail = 9
    outcome = await host.run_timer("tick")
    assert (outcome.ok, outcome.attempt, outcome.exception) == (False, 1, "RuntimeError: a bad tick")
    assert "function_app.py" in outcome.traceback


async def test_a_timer_follows_its_schedule_by_the_clock_of_the_host(start_host: StartHost) -> None:
    time = SimulatedTime(midnight(0, 1), midnight(0, 19))
    await start_host(clock=time, sleep=time.sleep, timers=True)
    async with asyncio.timeout(10):
        await time.ended.wait()
    assert [timer.schedule_status["Last"] for timer, _, _ in running_app().ticks] == [
        "0001-01-01T00:00:00",
        "2026-01-01T00:05:00+00:00",
        "2026-01-01T00:10:00+00:00",
    ]


async def test_a_timer_with_run_on_startup_fires_at_once(start_host: StartHost, tmp_path: Path) -> None:
    code = (
        "import azure.functions as func\napp = func.FunctionApp()\nticks = []\n"
        "@app.timer_trigger(arg_name='timer', schedule='1.00:00:00', run_on_startup=True)\n"
        "def tick(timer): ticks.append(timer)\n"
    )
    (tmp_path / "function_app.py").write_text(code, "utf-8")
    time = SimulatedTime(midnight(), midnight(1))
    await start_host(tmp_path, clock=time, sleep=time.sleep, timers=True)
    async with asyncio.timeout(10):
        await time.ended.wait()
    assert len(running_app().ticks) == 1


async def test_a_host_that_stops_ends_the_wait_for_a_retry(start_host: StartHost) -> None:
    time = SimulatedTime(midnight(), midnight())
    host = await start_host(clock=time, sleep=time.sleep)
    running_app().ticks_to_fail = 1
    running = asyncio.create_task(host.run_timer("tick"))
    async with asyncio.timeout(10):
        await time.ended.wait()
        await host.stop()
        with pytest.raises(HostStoppedError):
            await running
    assert len(running_app().ticks) == 1


async def test_an_unknown_timer_is_refused_with_the_names_of_all_timers(start_host: StartHost) -> None:
    host = await start_host()
    with pytest.raises(KeyError, match="'device' is not one of the app's timer functions: tick"):
        await host.run_timer("device")
