"""doctor over the whole chain on one machine: each part is broken in turn, and doctor names it."""

import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import ClientAuthenticationError
from azure.data.tables.aio import TableServiceClient
from doctor_chain import Chain, running_chain
from test_metrics import Heard

from local.routed_event import RoutedEvent
from local.stack import TRANSITIONS, TWIN_CHANGES
from status_app.commands.doctor import event_hub_checks, iot_hub_checks
from status_app.commands.doctor.command import doctor
from status_app.iothub import twins
from status_app.telemetry import meters

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENT_HUBS = ("TWIN_CHANGES_HUB", "TRANSITIONS_HUB", "Transitions")
"""Settings to leave out where something else is broken: the SDK takes three seconds to receive an event."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait hardly between attempts that get no answer."""
    monkeypatch.setattr(twins, "RETRY", replace(twins.RETRY, first_wait=0.01))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain(tables: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chain]:
    """One chain for all tests: each test repairs what it breaks."""
    async with running_chain(tmp_path_factory.mktemp("chain"), tables) as chain:
        yield chain


async def test_each_run_of_a_timer_records_its_success_once(chain: Chain) -> None:
    heard = Heard()
    meters.listen(heard)
    await chain.run_timers()
    meters.listen(None)
    assert heard.of(meters.TIMER_SUCCESS) == [(1, {"timer": "flag_stuck"}), (1, {"timer": "resync"})]


async def test_nothing_is_wrong_with_a_whole_chain(chain: Chain) -> None:
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
    assert lines[-1] == "15 checked, 0 wrong, 1 skipped"


async def test_as_json_each_step_has_its_question_and_its_answer(chain: Chain) -> None:
    async with without_iot_hub(chain):
        code, lines = await chain.doctor(without=EVENT_HUBS, as_json=True)
    found: Mapping[str, Any] = json.loads("\n".join(lines))
    assert (code, found["ok"]) == (1, False)
    assert all(step["asked"] and step["answer"] for step in found["steps"])
    assert all(bool(step["mend"]) for step in found["steps"] if step["verdict"] == "wrong")
    bad = [(step["name"], step["mend"]) for step in found["steps"] if step["verdict"] == "wrong"]
    assert ("IoT hub localhost", "az iot hub list --query [].name") in bad


@asynccontextmanager
async def without_iot_hub(chain: Chain) -> AsyncIterator[None]:
    await chain.stack.iot_hub.stop()
    try:
        yield
    finally:
        await chain.stack.iot_hub.start()


@contextmanager
def silent_timers(chain: Chain) -> Iterator[None]:
    chain.now += timedelta(minutes=10)
    try:
        yield
    finally:
        chain.now -= timedelta(minutes=10)


@asynccontextmanager
async def bad_event(chain: Chain) -> AsyncIterator[None]:
    chain.stack.send(RoutedEvent(b"x", "", {"opType": "updateTwin"}))
    await chain.stack.drained()
    yield
    async with without_table("DeadLetter")(chain):
        pass


def without_table(table: str) -> Callable[[Chain], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def broken(chain: Chain) -> AsyncIterator[None]:
        async with TableServiceClient.from_connection_string(chain.tables.connection_string) as service:
            await service.delete_table(table)
            try:
                yield
            finally:
                await service.create_table(table)

    return broken


def without_hub(hub: str) -> Callable[[Chain], AbstractContextManager[None]]:
    return lambda chain: chain.stack.event_hubs.faults.without_hub(hub)


def setting(name: str, value: str) -> Callable[[Chain], AbstractContextManager[None]]:
    @contextmanager
    def broken(chain: Chain) -> Iterator[None]:
        before = chain.environment[name]
        chain.environment[name] = value
        try:
            yield
        finally:
            chain.environment[name] = before

    return broken


type Broken = Callable[[Chain], AbstractAsyncContextManager[None] | AbstractContextManager[None]]


@asynccontextmanager
async def breaking(broken: Broken, chain: Chain) -> AsyncIterator[None]:
    await chain.run_timers()
    context = broken(chain)
    if isinstance(context, AbstractAsyncContextManager):
        async with context:
            yield
    else:
        with context:
            yield


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (without_table("DeploymentStatus"), ["table DeploymentStatus: the table does not exist"]),
        (
            without_table("DeploymentIndex"),
            ["table DeploymentIndex: the table does not exist", "API: the app says: flag_stuck_never_ran"],
        ),
        (without_table("DeadLetter"), ["table DeadLetter: the table does not exist"]),
        (without_iot_hub, ["IoT hub localhost: nothing answers"]),
        (silent_timers, ["timer flag_stuck: it ran ", "API: the app says: flag_stuck_silent"]),
        (setting("DEPLOYMENT_STATUS_URL", "http://127.0.0.1:9"), ["API: nothing answers at the address"]),
        (setting("DEPLOYMENT_STATUS_KEY", "another"), ["key and version: the key is refused (answer 401)"]),
        (bad_event, ["dead letters: 1"]),
    ],
)
async def test_doctor_names_the_part_that_is_broken(chain: Chain, broken: Broken, expected: list[str]) -> None:
    async with breaking(broken, chain):
        found = await chain.wrong(without=EVENT_HUBS)
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (without_hub(TWIN_CHANGES), "event hub twin-changes: the namespace has no such event hub"),
        (without_hub(TRANSITIONS), "event hub transitions: the namespace has no such event hub"),
    ],
)
async def test_doctor_names_the_event_hub_that_is_deleted(chain: Chain, broken: Broken, expected: str) -> None:
    async with breaking(broken, chain):
        assert await chain.wrong() == [expected]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_consumer_group_that_is_deleted_is_named(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_hub_checks, "OPENING", 4.0)  # it never opens, however long the wait
    with chain.stack.event_hubs.faults.only_groups("$Default"), setting("CONSUMER_GROUP", "edge-status")(chain):
        assert await chain.wrong() == ["event hub twin-changes: the consumer group edge-status does not exist"]
    gc.collect()  # the SDK never closes a connection that is cancelled before its session began: it warns here


@pytest.mark.parametrize(
    ("service", "expected", "role"),
    [
        ("tables", "table DeploymentStatus: access is refused (answer 403)", "Storage Table Data Reader"),
        ("iothub", "IoT hub localhost: access is refused", "IoT Hub Data Reader"),
        ("event hubs", "event hub twin-changes: access is refused", "Azure Event Hubs Data Receiver"),
    ],
)
async def test_a_missing_role_is_named_with_the_command_that_gives_it(
    chain: Chain, service: str, expected: str, role: str
) -> None:
    match service:
        case "tables":
            chain.tables.faults.add("read", 403, 100)
            _, lines = await chain.doctor(without=EVENT_HUBS)
            chain.tables.faults.clear()
        case "iothub":
            chain.stack.iot_hub.faults.add("read", 401, 100)
            _, lines = await chain.doctor(without=EVENT_HUBS)
            chain.stack.iot_hub.faults.clear()
        case _:
            with chain.stack.event_hubs.faults.locked():
                _, lines = await chain.doctor(without=("STATUS_TABLES",))
    (at,) = [number for number, line in enumerate(lines) if expected in line]
    assert lines[at].startswith("WRONG")
    assert lines[at + 1].strip().startswith(f'az role assignment create --role "{role}"')


async def test_a_table_that_answers_only_once_is_named(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def fail(_operation: str, path: str) -> None:
        if "DeploymentIndex" in path:
            asked.append(path)
            if len(asked) > 1:
                raise ConnectionError

    monkeypatch.setattr(chain.tables, "before", fail)
    (found,) = await chain.wrong(without=(*EVENT_HUBS, "DEPLOYMENT_STATUS_URL"))
    assert found.startswith("tables: they answered once, but not again")


async def test_a_hub_of_the_basic_tier_and_one_that_throttles_are_named(chain: Chain) -> None:
    chain.stack.iot_hub.faults.add("read", 400, 1, code="InvalidOperation")
    (found,) = await chain.wrong(without=EVENT_HUBS)
    assert "a hub of the basic tier has none" in found
    chain.stack.iot_hub.faults.add("query", 429, 10, retry_after=0)
    (found,) = await chain.wrong(without=EVENT_HUBS)
    chain.stack.iot_hub.faults.clear()
    assert "the hub throttles" in found


async def test_a_clock_that_is_off_by_an_hour_is_named(chain: Chain) -> None:
    lines: list[str] = []
    late = lambda: datetime.now(UTC) - timedelta(hours=1)  # noqa: E731 (a clock)
    environment = {"STATUS_TABLES": chain.tables.connection_string}
    assert await doctor(environment, lines.append, clock=chain.clock, wall_clock=late) == 1
    (found,) = [line for line in lines if line.startswith("WRONG    clock: ")]
    assert found.startswith("WRONG    clock: the clock of this machine is ")
    assert found.endswith("min behind the table service's")


async def test_where_nothing_can_be_asked_doctor_names_the_missing_settings() -> None:
    lines: list[str] = []
    assert await doctor({}, lines.append) == 78
    assert "nothing can be checked: set the settings of the app here, or DEPLOYMENT_STATUS_URL" in lines


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("STATUS_TABLES", "hunter2key==", "tables"),
        ("IOT_HUB", "SharedAccessKey=hunter2", "IoT hub"),
        ("TwinChanges", "hunter2key=", "event hub twin-changes"),
        ("TwinChanges", "Endpoint=sb://x;hunter2", "event hub twin-changes"),
        ("TwinChanges__fullyQualifiedNamespace", "hunter2key", "event hub twin-changes"),
        ("DEPLOYMENT_STATUS_URL", "https://app?code=hunter2", "API"),
    ],
)
async def test_a_key_in_the_place_of_an_address_is_named_and_not_shown(setting: str, value: str, name: str) -> None:
    lines: list[str] = []
    await doctor({"TWIN_CHANGES_HUB": "twin-changes", setting: value}, lines.append)
    assert [line for line in lines if line.startswith(f"WRONG    {name}: ")]
    assert "hunter2" not in "".join(lines)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"IOT_HUB": "HostName=nosuch.invalid;SharedAccessKeyName=a;SharedAccessKey=aGV5"},
            "IoT hub nosuch: nothing answers at its address",
        ),
        (
            {
                "TWIN_CHANGES_HUB": "x",
                "TwinChanges": "Endpoint=sb://nosuch.invalid/;SharedAccessKeyName=a;SharedAccessKey=b",
            },
            "event hub x: nothing answers at the address of TwinChanges",
        ),
        (
            {"STATUS_TABLES": "AccountName=nosuch;AccountKey=aGV5;TableEndpoint=https://nosuch.invalid"},
            "table DeploymentStatus: nothing answers at the address of STATUS_TABLES",
        ),
        ({"DEPLOYMENT_STATUS_URL": "https://nosuch.invalid"}, "API: nothing answers at the address"),
    ],
)
async def test_a_name_that_does_not_exist_is_named(environment: dict[str, str], expected: str) -> None:
    lines: list[str] = []
    assert await doctor(environment, lines.append) == 1
    assert [line for line in lines if line.startswith(f"WRONG    {expected}")]


async def test_doctor_reports_that_nobody_is_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Nobody)
    monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", Nobody)
    lines: list[str] = []
    await doctor({"STATUS_TABLES": "https://nosuch.invalid", "IOT_HUB": "nosuch.invalid"}, lines.append)
    assert "WRONG    table DeploymentStatus: nobody is signed in here" in lines
    assert "WRONG    IoT hub nosuch: nobody is signed in here" in lines


class Nobody:
    """A credential without a token, for either kind of client."""

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        raise ClientAuthenticationError("hunter2")

    get_token_info = get_token

    async def close(self) -> None:
        """As a client closes it."""


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
async def test_az_is_asked_for_the_route_and_the_tier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str, routes: str, expected: list[str]
) -> None:
    script = tmp_path / "az"
    script.write_text(AZ)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("TIER", tier)
    monkeypatch.setenv("ROUTES", routes)
    steps = await iot_hub_checks.check_route("hub1")
    assert [f"{step.verdict}: {step.answer}" for step in steps] == expected
