"""doctor over the whole chain on one machine: each part is broken in turn, and doctor names it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient

from local.azurite import azurite_tables
from local.routed_event import RoutedEvent
from local.stack import TRANSITIONS, TWIN_CHANGES, Stack, running_stack
from local.tables import TableProxy, table_proxy
from status_app.commands.doctor import iot_hub_checks
from status_app.commands.doctor.command import doctor
from status_app.iothub import twins

TWIN = json.loads((Path(__file__).parents[1] / "cases/048_200_module_backoff.json").read_bytes())["twin"]
KEY = "hunter2-function-key"


class Chain:
    """The app with all that it needs, a device, and what doctor says of it."""

    def __init__(self, stack: Stack, tables: TableProxy) -> None:
        self.stack = stack
        self.tables = tables
        self.now = timedelta(0)
        """How far the time of the caller is from that on the wall."""
        self.environment = dict(stack.settings) | {
            "DEPLOYMENT_STATUS_URL": stack.api.removesuffix("/api"),
            "DEPLOYMENT_STATUS_KEY": KEY,
        }

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.now

    async def doctor(self, *, as_json: bool = False) -> tuple[int, list[str]]:
        lines: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", "")  # no az
            code = await doctor(self.environment, lines.append, as_json=as_json, clock=self.clock)
        text = "\n".join(lines)
        assert not [secret for secret in (KEY, "SharedAccessKey=", "AccountKey=") if secret in text]
        return code, lines

    async def wrong(self) -> list[str]:
        """What doctor says is wrong, without what mends it."""
        code, lines = await self.doctor()
        found = [line.removeprefix("WRONG").strip() for line in lines if line.startswith("WRONG")]
        assert code == (1 if found else 0)
        return found


@asynccontextmanager
async def running_chain(folder: Path) -> AsyncIterator[Chain]:
    with azurite_tables() as behind:
        async with table_proxy(behind) as tables:
            chain: list[Chain] = []
            clock = lambda: chain[0].clock() if chain else datetime.now(UTC)  # noqa: E731 (the chain has the time)
            async with running_stack(folder, tables.connection_string, clock, function_key=KEY) as stack:
                chain.append(Chain(stack, tables))
                stack.iot_hub.registry.put(TWIN | {"deviceId": "edge-01"})
                await stack.drained()
                for timer in ("flag_stuck", "resync"):
                    assert (await stack.host.run_timer(timer)).ok
                yield chain[0]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits between attempts that nobody will answer."""
    monkeypatch.setattr(twins, "RETRY", replace(twins.RETRY, first_wait=0.01))


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with running_chain(tmp_path) as chain:
        yield chain


async def test_of_a_chain_that_is_whole_nothing_is_wrong(chain: Chain) -> None:
    code, lines = await chain.doctor()
    assert [line for line in lines if line.startswith("WRONG")] == []
    assert code == 0
    names = [line[9:].partition(":")[0] for line in lines if line[:7] in ("ok     ", "skipped")]
    assert names == [
        *("settings", "IoT hub localhost", "route of twin changes", "event hub twin-changes"),
        *("table DeploymentStatus", "table DeploymentIndex", "table Deployments", "table DeadLetter", "clock"),
        *("timer flag_stuck", "timer resync", "events that are not published", "dead letters"),
        *("trigger on_twin_changes", "event hub transitions", "API", "key and version"),
    ]
    assert lines[-1] == "15 asked, 0 wrong, 1 skipped"


async def test_as_json_each_step_says_what_was_asked_and_what_came_back(chain: Chain) -> None:
    await chain.stack.iot_hub.stop()
    code, lines = await chain.doctor(as_json=True)
    found: Mapping[str, Any] = json.loads("\n".join(lines))
    assert (code, found["ok"]) == (1, False)
    assert all(step["asked"] and step["answer"] for step in found["steps"])
    assert all(bool(step["mend"]) for step in found["steps"] if step["verdict"] == "wrong")
    (bad,) = [step for step in found["steps"] if step["verdict"] == "wrong"]
    assert (bad["name"], bad["mend"]) == ("IoT hub localhost", "az iot hub list --query [].name")


async def drop(chain: Chain, table: str) -> None:
    async with TableServiceClient.from_connection_string(chain.tables.connection_string) as service:
        await service.delete_table(table)


async def break_group(chain: Chain) -> None:
    chain.stack.event_hubs.faults.keep_groups("$Default")
    chain.environment["CONSUMER_GROUP"] = "edge-status"


async def break_timers(chain: Chain) -> None:
    chain.now = timedelta(minutes=10)


async def send_bad_event(chain: Chain) -> None:
    chain.stack.send(RoutedEvent(b"x", "", {"opType": "updateTwin"}))
    await chain.stack.drained()


def remove(hub: str) -> Callable[[Chain], Awaitable[None]]:
    async def broken(chain: Chain) -> None:
        chain.stack.event_hubs.faults.remove_hub(hub)

    return broken


def put(setting: str, value: str) -> Callable[[Chain], Awaitable[None]]:
    async def broken(chain: Chain) -> None:
        chain.environment[setting] = value

    return broken


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (
            lambda chain: chain.tables.stop(),
            ["table DeploymentStatus: nothing answers", "API: the app says: tables_unavailable"],
        ),
        (lambda chain: drop(chain, "DeploymentStatus"), ["table DeploymentStatus: the table does not exist"]),
        (lambda chain: drop(chain, "DeadLetter"), ["table DeadLetter: the table does not exist"]),
        (lambda chain: chain.stack.iot_hub.stop(), ["IoT hub localhost: nothing answers"]),
        (
            lambda chain: chain.stack.event_hubs.stop(),
            ["event hub twin-changes: nothing answers", "event hub transitions: nothing answers"],
        ),
        (remove(TWIN_CHANGES), ["event hub twin-changes: the namespace has no such event hub"]),
        (remove(TRANSITIONS), ["event hub transitions: the namespace has no such event hub"]),
        (break_group, ["event hub twin-changes: the consumer group edge-status does not exist"]),
        (break_timers, ["timer flag_stuck: it ran 10 min ago", "API: the app says: flag_stuck_silent"]),
        (put("DEPLOYMENT_STATUS_URL", "http://127.0.0.1:9"), ["API: nothing answers at the address"]),
        (put("DEPLOYMENT_STATUS_KEY", "another"), ["key and version: the key is refused (answer 401)"]),
        (send_bad_event, ["dead letters: 1"]),
    ],
)
async def test_each_part_that_is_deleted_is_the_one_that_doctor_names(
    chain: Chain, broken: Callable[[Chain], Awaitable[None]], expected: list[str]
) -> None:
    await broken(chain)
    found = await chain.wrong()
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


async def test_events_that_wait_are_named_on_both_sides(chain: Chain) -> None:
    chain.stack.event_hubs.faults.refuse(TRANSITIONS, 10**6)
    chain.stack.iot_hub.registry.put(TWIN | {"deviceId": "edge-02"})
    await chain.stack.drained()
    chain.now = timedelta(minutes=6)
    await chain.stack.host.stop()
    chain.stack.iot_hub.registry.put(TWIN | {"deviceId": "edge-03"})
    chain.now = timedelta(minutes=12)
    found = await chain.wrong()
    assert [line for line in found if line.startswith("events that are not published: those of 1 devices")]
    assert "trigger on_twin_changes: the newest event came 6 min ago, and is not taken" in found


@pytest.mark.parametrize("service", ["tables", "iothub", "event hubs"])
async def test_a_missing_role_is_named_with_the_command_that_gives_it(chain: Chain, service: str) -> None:
    match service:
        case "tables":
            chain.tables.faults.add("read", 403, 100)
            expected, role = "table DeploymentStatus: access is refused (answer 403)", "Storage Table Data Reader"
        case "iothub":
            chain.stack.iot_hub.faults.add("read", 401, 100)
            expected, role = "IoT hub localhost: access is refused", "IoT Hub Data Reader"
        case _:
            chain.stack.event_hubs.faults.lock()
            expected, role = "event hub twin-changes: access is refused", "Azure Event Hubs Data Receiver"
    _, lines = await chain.doctor()
    (at,) = [number for number, line in enumerate(lines) if expected in line]
    assert lines[at].startswith("WRONG")
    assert lines[at + 1].strip().startswith(f'az role assignment create --role "{role}"')


async def test_a_hub_of_the_basic_tier_and_one_that_throttles_are_named(chain: Chain) -> None:
    chain.stack.iot_hub.faults.add("read", 400, 1, code="InvalidOperation")
    (found,) = await chain.wrong()
    assert "a hub of the basic tier has none" in found
    chain.stack.iot_hub.faults.add("query", 429, 10, retry_after=0)
    (found,) = await chain.wrong()
    assert "the hub throttles" in found


async def test_a_clock_that_is_off_by_an_hour_is_named(chain: Chain) -> None:
    lines: list[str] = []
    late = lambda: datetime.now(UTC) - timedelta(hours=1)  # noqa: E731 (a clock)
    assert await doctor(chain.environment, lines.append, clock=chain.clock, wall_clock=late) == 1
    (found,) = [line for line in lines if line.startswith("WRONG")]
    assert found.startswith("WRONG    clock: the clock of this machine is ")
    assert found.endswith("min behind the table service's")


async def test_where_nothing_can_be_asked_doctor_says_what_is_missing() -> None:
    lines: list[str] = []
    assert await doctor({}, lines.append) == 78
    assert "nothing can be asked: set the settings of the app here, or DEPLOYMENT_STATUS_URL" in lines


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("STATUS_TABLES", "hunter2key==", "tables"),
        ("IOT_HUB", "SharedAccessKey=hunter2", "IoT hub"),
        ("TwinChanges", "hunter2key=", "event hub twin-changes"),
        ("TwinChanges__fullyQualifiedNamespace", "hunter2key", "event hub twin-changes"),
        ("DEPLOYMENT_STATUS_URL", "https://app?code=hunter2", "API"),
    ],
)
async def test_a_key_in_the_place_of_an_address_is_named_and_not_shown(setting: str, value: str, name: str) -> None:
    lines: list[str] = []
    await doctor({"TWIN_CHANGES_HUB": "twin-changes", setting: value}, lines.append)
    assert [line for line in lines if line.startswith(f"WRONG    {name}: ")]
    assert "hunter2" not in "".join(lines)


AZ = """#!/bin/sh
case "$*" in
*"hub show"*) printf '{"sku": {"tier": "%s"}}' "$TIER" ;;
*message-route*) printf '%s' "$ROUTES" ;;
esac
"""


@pytest.mark.parametrize(
    ("tier", "routes", "expected"),
    [
        ("Standard", '{"routes": [{"properties": {"name": "edge"}}]}', ["ok: standard", "ok: taken by edge"]),
        ("Standard", '{"routes": []}', ["ok: standard", "wrong: no route takes the twin changes of $edgeAgent"]),
        ("Basic", "{}", ["wrong: basic: it has no twins"]),
    ],
)
async def test_the_route_and_the_tier_are_asked_of_az(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str, routes: str, expected: list[str]
) -> None:
    script = tmp_path / "az"
    script.write_text(AZ)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("TIER", tier)
    monkeypatch.setenv("ROUTES", routes)
    steps = [step async for step in iot_hub_checks.check_route("hub1")]
    assert [f"{step.verdict}: {step.answer}" for step in steps] == expected
