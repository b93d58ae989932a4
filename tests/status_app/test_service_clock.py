"""The time of a process is that of the services, however wrong the clock of its machine is."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from local.iothub import IotHub
from status_app.iothub.twins import TwinReader
from status_app.service_clock import ServiceClock, machine_time
from status_app.services import Services
from status_app.settings import Settings
from status_app.storage.client import table_service
from status_app.storage.heartbeats import Source

NOW = datetime(2026, 1, 1, 12, 0, 0, 600_000, tzinfo=UTC)
OFF = timedelta(minutes=16)
CLOSE = timedelta(minutes=5)
"""A header is exact to the second, and its answer took a while."""


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def header(time: datetime) -> str:
    return format_datetime(time, usegmt=True)


@pytest.mark.parametrize("behind", [seconds(0), seconds(0.6), seconds(-0.4)])
def test_a_clock_that_agrees_with_the_header_is_left_as_it_is(behind: timedelta) -> None:
    clock = ServiceClock(lambda: NOW - behind)
    clock.answered(header(NOW), NOW - behind)
    assert clock() == NOW - behind


@pytest.mark.parametrize("off", [OFF, -OFF, seconds(5), seconds(-5)])
def test_a_clock_that_is_off_is_moved_to_the_second_of_the_header(off: timedelta) -> None:
    clock = ServiceClock(lambda: NOW + off)
    clock.answered(header(NOW), NOW + off)
    assert abs(clock() - NOW) <= seconds(1)


def test_an_answer_that_took_long_leaves_a_clock_that_it_may_agree_with() -> None:
    clock = ServiceClock(lambda: NOW)
    clock.answered(header(NOW - seconds(30)), NOW - seconds(45))
    assert clock() == NOW


@pytest.mark.parametrize("date", [None, "", "soon", "Thu, 99 Jan 2026 12:00:00 GMT", "Thu, 01 Jan 2026 10:00:00 -0000"])
def test_a_header_that_is_no_date_changes_nothing(date: str | None) -> None:
    clock = ServiceClock(lambda: NOW)
    clock.answered(date, NOW)
    assert clock() == NOW


def test_a_clock_that_was_set_back_during_a_request_is_moved_by_the_next_one() -> None:
    clock = ServiceClock(lambda: NOW - OFF)
    clock.answered(header(NOW), NOW)
    assert clock() == NOW - OFF
    clock.answered(header(NOW), NOW - OFF)
    assert abs(clock() - NOW) <= seconds(1)


def test_a_clock_that_is_off_by_more_than_a_minute_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "status_app")
    ahead = seconds(0)
    clock = ServiceClock(lambda: NOW + ahead)
    for off in (50, 500, 500, 0, 500):
        ahead = seconds(off)
        clock.answered(header(NOW), NOW + ahead)
    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == ["the clock of this machine"] * 2


async def test_the_answers_of_the_table_service_move_the_clock(tables: str) -> None:
    clock = ServiceClock(lambda: machine_time() + OFF)
    async with table_service(tables, clock) as service:
        await service.create_table_if_not_exists("Clock")
    assert abs(clock() - machine_time()) < CLOSE


async def test_the_answers_of_the_hub_move_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = IotHub(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    await hub.start()
    hub.registry.create("edge-1")
    clock = ServiceClock(lambda: machine_time() + OFF)
    reader = TwinReader(hub.connection_string, hub_clock=clock)
    try:
        await reader.read("edge-1")
    finally:
        reader.close()
        await hub.stop()
    assert abs(clock() - machine_time()) < CLOSE


async def test_what_is_written_by_a_process_whose_clock_is_off_has_the_time_of_the_services(tables: str) -> None:
    settings = Settings.read({"STATUS_TABLES": tables, "IOT_HUB": "hub1.azure-devices.net"})
    services = Services(settings, clock=ServiceClock(lambda: machine_time() + OFF))
    await services.reconciler()  # creates the tables
    async with services.heartbeats.beating(Source.FLAG_STUCK):
        pass
    beat = (await services.heartbeats.read())[Source.FLAG_STUCK]
    async with table_service(tables) as service:
        await service.get_table_client("DeploymentIndex").delete_entity("heartbeats", Source.FLAG_STUCK.value)
    await services.close()
    assert abs(beat.ran_at - machine_time()) < CLOSE
