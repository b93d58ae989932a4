"""Services that accept and never answer, or whose answer drips: over real sockets, with short limits."""

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from app_over_azurite import App, Hub, fresh_app
from azure.data.tables import TransactionOperation
from azure.data.tables.aio import TableClient
from silent_server import HEADERS, SilentServer, silent_server

from local.certificates import issue_certificates
from status_app.errors import OutOfTimeError, UnavailableError
from status_app.events.publisher import TransitionPublisher
from status_app.iothub.breaker import FIRST_PAUSE, PROBES, TwinBreaker
from status_app.iothub.hub_requests import READERS
from status_app.iothub.twins import QUERY_RETRY, RETRY, TwinReader
from status_app.reconcile.flag_stuck import STILL_UNVERIFIED
from status_app.reconcile.twin_changes import MAX_RETRIES, RUN_FOR, BatchError
from status_app.services import Services
from status_app.settings import Settings
from status_app.storage import transaction
from status_app.storage.client import table_errors, table_service

PATIENCE = 300
"""Seconds after which a test gives up on what would never end."""
LIMIT = 0.1
MINUTE = timedelta(minutes=1)
GRACE = 15 * MINUTE
ROW = {"PartitionKey": "p", "RowKey": "r"}
CALLS: dict[str, Callable[[TableClient], Awaitable[object]]] = {
    "read": lambda table: table.get_entity("p", "r"),
    "merge": lambda table: table.upsert_entity(ROW),
    "insert": lambda table: table.create_entity(ROW),
    "transaction": lambda table: transaction.submit(table, [(TransactionOperation.UPSERT, ROW)]),
}
ANSWERS = {
    "nothing": None,
    "headers that drip": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "a body that drips": HEADERS + b"Content-Length: 1000000\r\n\r\n",
}


@pytest.fixture(params=ANSWERS)
async def silent(request: pytest.FixtureRequest) -> AsyncIterator[SilentServer]:
    async with silent_server() as silent:
        silent.drips = ANSWERS[request.param]
        yield silent


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_to_tables_that_never_ends_is_given_up(silent: SilentServer, call: str) -> None:
    connection = f"AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:{silent.port}/a"
    async with (
        asyncio.timeout(PATIENCE),
        table_service(
            f"{connection};DefaultEndpointsProtocol=http", attempt_within=LIMIT, call_within=LIMIT / 2
        ) as service,
    ):
        with pytest.raises(UnavailableError, match="TimeoutError"), table_errors(guarded=True):
            await CALLS[call](service.get_table_client("T"))
    assert silent.requests <= 1  # on a busy machine the time may be over before it is sent


@asynccontextmanager
async def silent_hub(
    folder: Path, monkeypatch: pytest.MonkeyPatch, drips: bytes | None = None
) -> AsyncIterator[tuple[SilentServer, str]]:
    """A hub that is silent, and its connection string."""
    certificates = issue_certificates(folder)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca_file))
    async with silent_server(certificates.server) as silent:
        silent.drips = drips
        yield silent, f"HostName=localhost:{silent.port};SharedAccessKeyName=owner;SharedAccessKey=a2V5"


async def at_once(_seconds: float) -> None:
    """The waits of a test take no time."""


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_read_and_a_page_that_never_end_are_given_up_and_leave_no_thread_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    async with asyncio.timeout(PATIENCE), silent_hub(tmp_path, monkeypatch, ANSWERS[answer]) as (silent, iot_hub):
        reader = TwinReader(iot_hub, sleep=at_once, timeout=LIMIT)
        for asked in (reader.read("edge-1"), reader.page(None)):
            with pytest.raises(UnavailableError, match=r"Timeout|ConnectionError"):
                await asked
        assert silent.requests <= RETRY.attempts + QUERY_RETRY.attempts
        # It waits for its threads, so they have ended.
        await asyncio.to_thread(reader.close)


async def test_a_read_whose_hub_is_looked_up_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def look_up(*_where: object, **_options: object) -> None:
        is_over.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    reader = TwinReader(
        "HostName=hub.example;SharedAccessKeyName=owner;SharedAccessKey=a2V5", sleep=at_once, timeout=LIMIT
    )
    try:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(UnavailableError, match="Timeout"):
                await reader.read("edge-1")
    finally:
        is_over.set()
        await asyncio.to_thread(reader.close)


@asynccontextmanager
async def app_with(tables: str, iot_hub: str, **options: Any) -> AsyncIterator[App]:
    """An app whose twins are read from a hub."""
    app = App(tables)
    reader = TwinReader(iot_hub, sleep=at_once, timeout=LIMIT)
    services = Services(Settings.read(app.environment), clock=lambda: app.now, twins=reader, sleep=at_once, **options)
    await app.services.close()
    app.services = services
    try:
        yield app
    finally:
        await app.close()


async def test_a_batch_of_many_devices_and_a_silent_hub_is_dead_lettered_after_few_requests(
    tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads of ten seconds, several attempts of each, and six of the batch are hours: the host kills it before."""
    waits = (0, 2, 4, 8, 16, 32)  # of the host, by the trigger's retry policy
    async with (
        asyncio.timeout(PATIENCE),
        silent_hub(tmp_path, monkeypatch) as (silent, iot_hub),
        app_with(tables, iot_hub) as app,
    ):
        events = [app.event(f"{app.prefix}-{number}") for number in range(20)]
        for attempt, wait in enumerate(waits):
            app.now += timedelta(seconds=wait)
            if attempt < MAX_RETRIES:
                with pytest.raises(BatchError):
                    await app.handle(*events, attempt=attempt)
            else:
                await app.handle(*events, attempt=attempt)
        # Asked in the first attempt, and each time that a pause was over: after 15 s, then after 30 s.
        assert silent.requests <= 3 * PROBES * RETRY.attempts
        assert [letter["Reason"] for letter in await app.dead_letters()] == ["iothub_unavailable"] * len(events)


@pytest.mark.parametrize("when", ["at the start", "after a pause"])
async def test_while_the_hub_is_not_known_to_answer_one_read_goes_ahead_and_then_all(when: str) -> None:
    hub, now = Hub(), 0.0
    hub.twins = {f"d{number}": {} for number in range(100)}
    breaker = TwinBreaker(hub, lambda: now)
    if when == "after a pause":
        await breaker.read("d0")
        hub.down = {"d0"}
        for _ in range(PROBES):
            with pytest.raises(UnavailableError):
                await breaker.read("d0")
        assert breaker.is_open
        now = FIRST_PAUSE
        hub.down = set()
    under_way, most = 0, list[int]()

    async def on_read() -> None:
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        for _ in range(100):
            await asyncio.sleep(0)
        under_way -= 1

    hub.on_read = on_read
    assert await asyncio.gather(*map(breaker.read, hub.twins)) == [{}] * 100
    assert most[:2] == [1, 1]
    assert max(most) == READERS


async def test_a_device_whose_twin_cannot_be_read_holds_no_other_back() -> None:
    hub = Hub()
    hub.twins, hub.down = {f"d{number}": {} for number in range(20)}, {"d0"}
    breaker = TwinBreaker(hub, lambda: 0.0)
    for _ in range(5):
        found = await asyncio.gather(*map(breaker.read, hub.twins), return_exceptions=True)
        assert [isinstance(twin, UnavailableError) for twin in found] == [True] + [False] * 19
    assert not breaker.is_open


async def test_pauses_grow_to_a_minute_and_end_with_the_first_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="status_app")
    hub, now = Hub(), 0.0
    hub.twins, hub.down = {"d": {}}, {"d"}
    breaker = TwinBreaker(hub, lambda: now)
    pauses = []
    for _ in range(5):
        for _ in range(PROBES):
            assert not breaker.is_open
            with pytest.raises(UnavailableError, match="answer 503"):
                await breaker.read("d")
        began = now
        while breaker.is_open:
            with pytest.raises(UnavailableError, match="not asked now"):
                await breaker.read("d")
            now += 1
        pauses.append(now - began)
    assert pauses == [15, 30, 60, 60, 60]
    hub.down.clear()
    assert await breaker.read("d") == {}
    hub.down.add("d")
    for _ in range(PROBES):
        with pytest.raises(UnavailableError, match="answer 503"):
            await breaker.read("d")
    assert breaker.is_open
    lines = [record.message for record in caplog.records if record.name == "status_app.iothub.breaker"]
    assert lines == [
        "IoT Hub does not answer, and is asked less often",
        "IoT Hub answers again",
        "IoT Hub does not answer, and is asked less often",
    ]


async def test_of_devices_that_a_silent_hub_left_flagged_few_are_read_each_minute_and_all_heal(
    tables: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="status_app")
    async with fresh_app(tables) as app:
        devices = [app.put(f"d{number:02d}", "048") for number in range(10)]
        await app.handle(*map(app.event, devices))
        app.hub.down.update(devices)
        app.hub.reads.clear()
        await app.flag_stuck(GRACE)
        assert len(app.hub.reads) == PROBES
        reasons = {(await app.rows(device))["module:m1"]["Reason"] for device in devices}
        assert reasons == {"backoff_unverified"}
        before = await app.etags()
        app.hub.reads.clear()
        for _ in range(3):
            await app.flag_stuck(MINUTE)
            # The rows of the others are not read either.
            assert caplog.messages[-1] == f"flag_stuck: {{'unverified': {PROBES}, '{STILL_UNVERIFIED}': {10 - PROBES}}}"
        assert len(app.hub.reads) == 3 * PROBES
        assert await app.etags() == before
        app.hub.down.clear()
        await app.flag_stuck(MINUTE)
        reasons = {(await app.rows(device))["module:m1"]["Reason"] for device in devices}
        assert reasons == {"backoff"}


async def test_what_a_batch_has_no_time_for_is_left_for_the_next_attempt(tables: str) -> None:
    """Each read takes half a minute: a batch reads what it can, and the next attempt goes on behind it."""
    async with fresh_app(tables) as app:
        devices = [app.put(f"d{number:02d}", "003") for number in range(30)]

        async def slow() -> None:
            app.now += timedelta(seconds=30)

        app.hub.on_read = slow
        events, attempts = [app.event(device) for device in devices], 0
        for attempt in range(MAX_RETRIES):
            began = app.now
            try:
                await app.handle(*events, attempt=attempt)
            except BatchError:
                attempts += 1
            assert (app.now - began).total_seconds() <= RUN_FOR
        assert attempts == MAX_RETRIES
        app.hub.on_read = None
        app.hub.reads.clear()
        await app.handle(*events, attempt=MAX_RETRIES)
        assert 0 < len(app.hub.reads) < len(devices)  # those of the attempts before are stored
        assert {(await app.rows(device))["device"]["State"] for device in devices} == {"successful"}


async def test_what_a_run_of_the_minute_has_no_time_for_is_left_for_the_next_one(tables: str) -> None:
    async with fresh_app(tables) as app:
        devices = [app.put(f"d{number:02d}", "048") for number in range(40)]
        await app.handle(*map(app.event, devices))
        app.now += GRACE

        async def slow() -> None:
            app.now += timedelta(seconds=15)

        app.hub.on_read = slow
        with pytest.raises(ExceptionGroup, match="flag_stuck") as raised:
            await app.flag_stuck()
        assert {type(error) for error in raised.value.exceptions} == {OutOfTimeError}
        flagged = [device for device in devices if (await app.rows(device))["module:m1"]["Stuck"]]
        assert 0 < len(flagged) < len(devices)
        app.hub.on_read = None
        await app.flag_stuck(MINUTE)
        assert all([(await app.rows(device))["module:m1"]["Stuck"] for device in devices])


@pytest.mark.parametrize("drips", [None, b"AMQP\x03\x01\x00\x00", b""], ids=["nothing", "a frame that drips", "bytes"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the SDK leaves its socket to the GC
async def test_a_publish_that_never_ends_is_given_up(drips: bytes | None) -> None:
    async with asyncio.timeout(PATIENCE), silent_server() as silent:
        silent.drips = drips
        connection = f"Endpoint=sb://localhost:{silent.port};SharedAccessKeyName=r;SharedAccessKey=a2V5"
        publisher = TransitionPublisher(
            f"{connection};UseDevelopmentEmulator=true", "transitions", sleep=at_once, timeout=LIMIT
        )
        with pytest.raises(UnavailableError, match="transitions is unavailable"):
            await publisher.publish("edge-1", [b"{}"])
        await publisher.close()
        gc.collect()
