"""The gate as a pipeline runs it: a process of its own, against the running app and its simulated fleet."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from api_over_tables import KEY, Api, running_api
from commands import ended, running
from few_shards import few_shards

from local.demo.rollout import START, Clock
from local.fleet import Fleet, Trouble, mixed_fleet, release
from local.stack import Stack, running_stack
from status_app.commands.exit_codes import ExitCode
from status_app.services import Services
from status_app.settings import Settings

STEP = timedelta(seconds=10)
QUICK = ("--interval", "PT1S", "--stable-after", "PT1S", "--timeout", "PT5M")
SOURCES = ["tables", "api"]


class World:
    """The running app with its fleet. Its API is the one of the functions host."""

    def __init__(self, stack: Stack, clock: Clock, tables: str) -> None:
        self.stack = stack
        self.clock = clock
        self.tables = tables

    def environment(self, source: str) -> dict[str, str]:
        """The settings of a command that asks this source."""
        if source == "tables":
            return {"STATUS_TABLES": self.tables}
        return {"DEPLOYMENT_STATUS_URL": self.stack.api, "DEPLOYMENT_STATUS_KEY": KEY}

    async def run(self, fleet: Fleet, minutes: int) -> None:
        """Let time pass: devices change, the app follows them, its timer fires every minute."""
        for _ in range(minutes):
            for _ in range(timedelta(minutes=1) // STEP):
                self.clock.now += STEP
                fleet.step(self.clock.now)
                await self.stack.drained()
            await self.stack.host.run_timer("flag_stuck")


@pytest.fixture(autouse=True)
def index() -> Iterator[None]:
    with few_shards():
        yield


@pytest.fixture
async def world(tables: str, tmp_path: Path) -> AsyncIterator[World]:
    clock = Clock()
    async with running_stack(tmp_path, tables, clock, function_key=KEY) as stack:
        stack.iot_hub.give_list(None)  # its list would be of the clock of the world, and older than any question
        yield World(stack, clock, tables)


@pytest.fixture
async def api(tables: str) -> AsyncIterator[Api]:
    """An API that can be switched off."""
    settings = Settings.read({"STATUS_TABLES": tables, "IOT_HUB": "hub1"})
    services = Services(settings)
    async with running_api(services.fleet()) as api:
        yield api
    await services.close()


def good_fleet(world: World, name: str, count: int = 3) -> tuple[Fleet, list[str]]:
    """Devices without any trouble, with unique names, that are on."""
    fleet = Fleet(world.stack.iot_hub.registry)
    devices = [f"{name}-{number}" for number in range(count)]
    for device in devices:
        fleet.add(device)
        fleet.start(device, world.clock.now)
    return fleet, devices


async def test_a_good_rollout_lets_the_pipeline_go_on(world: World) -> None:
    name, began = "good", datetime.now(UTC).replace(microsecond=0)
    fleet, devices = good_fleet(world, name)
    asked = ("wait", "--deployment", name, "--min-devices", "3", *QUICK)
    async with AsyncExitStack() as processes:
        gates = [await processes.enter_async_context(running(world.environment(source), *asked)) for source in SOURCES]
        for gate in gates:
            await gate.until("on no device yet")
        fleet.deploy(name, release(2), devices[:2], world.clock.now)
        await world.stack.drained()
        for gate in gates:
            await gate.until("0 of 2 successful, 2 pending, waiting for at least 3 devices")
        await world.run(fleet, 2)
        for gate in gates:
            await gate.until("2 of 2 successful, waiting for at least 3 devices")
        fleet.deploy(name, release(2), devices[2:], world.clock.now)
        await world.run(fleet, 2)
        assert [await gate.end() for gate in gates] == [ExitCode.OK] * len(SOURCES)
    for gate in gates:
        begin, since = gate.lines[-1].removesuffix("Z.").rsplit(", since ")
        assert begin == f"PASSED: 3 of 3 devices of {name} are successful"
        # By the timer's count, or by the gate's own clock where it asked before that.
        counted, seen = START + timedelta(minutes=4), datetime.fromisoformat(f"{since}Z")
        assert seen == counted or began <= seen <= datetime.now(UTC)


async def test_the_canaries_let_the_pipeline_go_on_while_others_are_off(
    tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COHORT_TAGS", "ring")
    clock, name = Clock(), "canary"
    async with running_stack(tmp_path, tables, clock, function_key=KEY) as stack:
        stack.iot_hub.give_list(None)
        world = World(stack, clock, tables)
        fleet, devices = good_fleet(world, name, 2)
        fleet.add(f"{name}-off")
        for device in devices:
            stack.iot_hub.registry.set_tags(device, {"ring": "canary"})
        fleet.deploy(name, release(2), [*devices, f"{name}-off"], clock.now)
        await world.run(fleet, 3)
        asked = ("wait", "--deployment", name, *QUICK, "--timeout", "PT1S")
        for source in SOURCES:
            summary = tmp_path / f"{source}.md"
            code, lines = await ended(
                world.environment(source), *asked, "--cohort", "ring=canary", "--summary", str(summary)
            )
            assert (code, lines[-1].split(", since")[0]) == (
                ExitCode.OK,
                f"PASSED: 2 of 2 devices of {name} in ring=canary are successful",
            )
            assert "has succeeded" in summary.read_text()
            code, lines = await ended(world.environment(source), *asked)
            assert code == ExitCode.TIMED_OUT
            assert [line.split()[0] for line in lines if line.startswith(f"  {name}-")] == [f"{name}-off"]


async def test_a_rollout_on_a_fleet_with_troubles_stops_the_pipeline_and_names_the_devices(
    world: World, tmp_path: Path
) -> None:
    fleet, troubles = mixed_fleet(world.stack.iot_hub.registry, 9, START)
    by_trouble = {trouble: device for device, trouble in troubles.items()}
    broken = {by_trouble[trouble] for trouble in Trouble} - {by_trouble[Trouble.NONE], by_trouble[Trouble.SLOW_PULL]}
    fleet.deploy("release-1", release(1), troubles, world.clock.now)
    await world.run(fleet, 2)
    fleet.deploy("release-2", release(2), troubles, world.clock.now)
    await world.run(fleet, 3)
    asked = ("wait", "--deployment", "release-2", *QUICK)

    # Minutes after the release: the old agent has rejected it, which no wait repairs.
    code, lines = await ended(world.environment("tables"), *asked)
    assert code == ExitCode.FAILED
    assert [line.split()[0] for line in lines if line.startswith("  edge-")] == [by_trouble[Trouble.OLD_AGENT]]
    # A module that crashes stops a strict pipeline at its first crash.
    code, lines = await ended(world.environment("tables"), *asked, "--strict", "--max-failed", "1")
    named = {line.split()[0] for line in lines if line.startswith("  edge-")}
    assert (code, named) == (1, {by_trouble[Trouble.OLD_AGENT], by_trouble[Trouble.CRASHING_MODULE]})

    # With the old agent allowed the gate waits, and stops when the others are past their grace period.
    for source in SOURCES:
        code, lines = await ended(world.environment(source), *asked[:3], "--max-failed", "1", "--timeout", "PT0S")
        assert code == ExitCode.TIMED_OUT
        assert any(
            line.split()[:3] == [by_trouble[Trouble.SLOW_PULL], "pending", "waiting_for_device"] for line in lines
        )
    async with running(world.environment("api"), *asked, "--max-failed", "1") as gate:
        await gate.until("1 failing (1 allowed)")
        await world.run(fleet, 15)
        assert await gate.end() == ExitCode.FAILED
    named = {line.split()[0] for line in gate.lines if line.startswith("  edge-")}
    assert named <= broken
    assert len(named) > 1

    # At the end all of them are named, each with its reason, by both sources.
    for source in SOURCES:
        summary = tmp_path / f"{source}.md"
        code, lines = await ended(world.environment(source), *asked, "--summary", str(summary))
        heading, *written = summary.read_text().splitlines()
        assert heading == "## Deployment release-2 has failed"
        assert "### Why devices of release-2 fail" in written
        assert any("backoff" in line for line in written)
        reasons = {line.split()[0]: line.split()[2] for line in lines if line.startswith("  edge-")}
        assert code == ExitCode.FAILED
        assert reasons == {
            by_trouble[Trouble.HANGING_PULL]: "pull_timed_out",
            by_trouble[Trouble.REFUSED_PULL]: "pull_failed",
            by_trouble[Trouble.CRASHING_MODULE]: "backoff",
            by_trouble[Trouble.OLD_AGENT]: "schema_version_rejected",
            by_trouble[Trouble.OFF]: "never_reported",
        }
        code, lines = await ended(world.environment(source), *asked, "--max-failed", "5")
        assert code == ExitCode.OK

    for source in SOURCES:
        assert (await ended(world.environment(source), "explain", by_trouble[Trouble.NONE]))[0] == ExitCode.OK
        code, lines = await ended(world.environment(source), "explain", by_trouble[Trouble.CRASHING_MODULE])
        assert code == ExitCode.FAILED
        assert "    1. Read the module's logs, on the device: `sudo iotedge logs vision --tail 200`" in lines


async def test_an_outage_of_the_api_is_reported_and_does_not_stop_the_pipeline(world: World, api: Api) -> None:
    fleet, devices = good_fleet(world, "outage")
    fleet.deploy("outage", release(2), devices, world.clock.now)
    await world.stack.drained()
    environment = {"DEPLOYMENT_STATUS_URL": api.url, "DEPLOYMENT_STATUS_KEY": KEY}
    async with running(environment, "wait", "--deployment", "outage", *QUICK) as gate:
        await gate.until("0 of 3 successful, 3 pending")
        await api.stop()
        await gate.until("the API is unavailable: no connection; will retry")
        await world.run(fleet, 2)
        await api.start()
        await gate.until("Reading works again.")
        assert await gate.end() == ExitCode.OK


async def test_ctrl_c_ends_the_gate_with_a_code_of_its_own(tables: str) -> None:
    async with running({"STATUS_TABLES": tables}, "wait", "--deployment", "nobody's", *QUICK) as gate:
        await gate.until("on no device yet")
        gate.process.send_signal(signal.SIGINT)
        assert await gate.end() == ExitCode.INTERRUPTED
    assert "Traceback" not in "".join(gate.lines)


async def test_a_key_that_is_wrong_is_reported_at_once_and_never_shown(api: Api) -> None:
    environment = {"DEPLOYMENT_STATUS_URL": api.url, "DEPLOYMENT_STATUS_KEY": "hunter2-wrong"}
    for command in (("wait", "--deployment", "d"), ("explain", "d")):
        code, lines = await ended(environment, *command)
        assert code == ExitCode.CONFIG
        assert lines == ["the API refuses the key (answer 401): set DEPLOYMENT_STATUS_KEY to a function key of the app"]


async def test_without_any_answer_nothing_is_decided(api: Api) -> None:
    environment = {"DEPLOYMENT_STATUS_URL": api.url, "DEPLOYMENT_STATUS_KEY": KEY}
    await api.stop()
    code, lines = await ended(environment, "wait", "--deployment", "d", "--timeout", "PT0S")
    assert (code, lines[-1]) == (
        ExitCode.UNAVAILABLE,
        "NO ANSWER the whole time: the API is unavailable: no connection.",
    )
    code, lines = await ended(environment, "explain", "d")
    assert (code, lines) == (ExitCode.UNAVAILABLE, ["the API is unavailable: no connection"])
