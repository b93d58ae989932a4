"""Twins read with azure-iot-hub over HTTPS: what is raised, how often the hub is asked, and what never leaks."""

import asyncio
import json
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.iothub import IotHub
from status_app.errors import ContinuationError, QueryRefusedError, UnavailableError
from status_app.iothub.queries import PAGE_SIZE
from status_app.iothub.twins import QUERY_RETRY, RETRY, TwinPage, TwinReader

SECRET = "hunter2-correct-horse"
ODD = {"deviceId": "odd", "version": "x", "tags": 5, "configurations": [None], "properties": {"desired": [1.5]}}
"""A twin of types that no model of the SDK has."""
NO_JSON = [b"", b"{", f'{{"password": "{SECRET}"'.encode(), b'"\xff"', b"[" * 100_000]


class Reader(TwinReader):
    """A reader that waits for nothing, and keeps how long it would have."""

    def __init__(self, iot_hub: str, **options: Any) -> None:
        super().__init__(iot_hub, sleep=self._keep, **options)
        self.waits: list[float] = []

    async def _keep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IotHub]:
    hub = IotHub(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    await hub.start()
    hub.registry.create("edge-1")
    yield hub
    await hub.stop()


@pytest.fixture
async def reader(hub: IotHub) -> AsyncIterator[Reader]:
    reader = Reader(hub.connection_string)
    yield reader
    reader.close()


async def unavailable(reader: Reader, device_id: str = "edge-1") -> str:
    """The text of the error of a read."""
    with pytest.raises(UnavailableError) as raised:
        await reader.read(device_id)
    assert raised.value.service == "iothub"
    return str(raised.value)


async def test_a_twin_is_the_json_that_the_hub_sends_whatever_its_types(hub: IotHub, reader: Reader) -> None:
    hub.registry.put(ODD)
    assert await reader.read("odd") == ODD
    assert await reader.read("edge-1") == hub.registry.get("edge-1")
    assert reader.waits == []


async def test_a_device_that_is_not_in_the_hub_has_no_twin(hub: IotHub, reader: Reader) -> None:
    assert await reader.read("nobody") is None
    assert hub.reads == {"nobody": 1}


async def test_a_device_without_an_edge_agent_has_no_twin(hub: IotHub, reader: Reader) -> None:
    hub.faults.add("read", 404, code="ModuleNotFound")
    assert await reader.read("edge-1") is None
    assert hub.reads == {"edge-1": 1}


async def test_a_404_that_does_not_name_the_device_is_no_sign_that_it_is_gone(hub: IotHub, reader: Reader) -> None:
    hub.faults.add("read", 404)
    assert await unavailable(reader) == "iothub is unavailable: answer 404 NotFound"
    assert hub.reads == {"edge-1": 1}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_hub_that_cannot_now_is_asked_a_few_times(hub: IotHub, reader: Reader, status: int) -> None:
    hub.faults.add("read", status, RETRY.attempts)
    assert f"answer {status} " in await unavailable(reader)
    assert hub.reads == {"edge-1": RETRY.attempts}
    limits = [RETRY.first_wait * 2**number for number in range(RETRY.attempts - 1)]
    assert [limit / 2 <= wait <= limit for wait, limit in zip(reader.waits, limits, strict=True)] == [True] * 3


async def test_the_last_attempt_counts_as_much_as_the_first(hub: IotHub, reader: Reader) -> None:
    hub.faults.add("read", 429)
    hub.faults.cut("read")
    hub.faults.add("read", 503)
    assert await reader.read("edge-1") == hub.registry.get("edge-1")
    assert hub.reads == {"edge-1": RETRY.attempts}


@pytest.mark.parametrize("status", [400, 403, 412])
async def test_a_refusal_that_stays_one_is_not_asked_for_again(hub: IotHub, reader: Reader, status: int) -> None:
    hub.faults.add("read", status)
    assert f"answer {status} " in await unavailable(reader)
    assert hub.reads == {"edge-1": 1}


async def test_a_wrong_key_is_refused_and_not_quoted(hub: IotHub) -> None:
    wrong = "d3Jvbmcta2V5"
    reader = Reader(hub.connection_string.partition("SharedAccessKey=")[0] + f"SharedAccessKey={wrong}")
    assert await unavailable(reader) == "iothub is unavailable: answer 401 IotHubUnauthorizedAccess"
    assert hub.reads == {"edge-1": 1}
    reader.close()


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(7, 7.0), ("9" * 5000, RETRY.longest_wait), ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY.longest_wait)],
)
async def test_a_read_waits_as_long_as_the_hub_asks_within_limits(
    hub: IotHub, reader: Reader, retry_after: int | str, wait: float
) -> None:
    hub.faults.add("read", 429, retry_after=retry_after)
    assert await reader.read("edge-1") is not None
    assert reader.waits == [wait]
    assert hub.reads == {"edge-1": 2}


async def test_a_retry_after_that_cannot_be_read_leaves_the_usual_wait(hub: IotHub, reader: Reader) -> None:
    hub.faults.add("read", 503, retry_after="soon")
    assert await reader.read("edge-1") is not None
    assert [RETRY.first_wait / 2 <= wait <= RETRY.first_wait for wait in reader.waits] == [True]


async def test_a_connection_that_is_cut_each_time_is_a_hub_that_does_not_answer(hub: IotHub, reader: Reader) -> None:
    hub.faults.cut("read", RETRY.attempts)
    assert await unavailable(reader) == "iothub is unavailable: ConnectionError"
    assert hub.reads == {"edge-1": RETRY.attempts}


async def test_a_silent_hub_is_given_up(hub: IotHub) -> None:
    reader = Reader(hub.connection_string, timeout=0.2)
    hub.faults.delay("read", 60, RETRY.attempts)
    assert "Timeout" in await unavailable(reader)
    assert len(reader.waits) == RETRY.attempts - 1
    reader.close()


async def test_a_hub_that_was_away_is_read_again(hub: IotHub, reader: Reader) -> None:
    assert await reader.read("edge-1") is not None
    await hub.stop()
    assert await unavailable(reader) == "iothub is unavailable: ConnectionError"
    await hub.start()
    assert await reader.read("edge-1") is not None


async def test_a_hub_whose_certificate_nobody_signed_is_not_believed(
    hub: IotHub, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert await unavailable(reader) == "iothub is unavailable: SSLError"
    assert not hub.reads


@pytest.mark.parametrize("body", [*NO_JSON, b"null", b"[]", b'"edge-1"', b"0"])
async def test_an_answer_that_is_no_json_object_is_no_twin_and_no_sign_that_the_device_is_gone(
    hub: IotHub, reader: Reader, body: bytes
) -> None:
    hub.faults.answer("read", body, RETRY.attempts)
    assert await unavailable(reader) == "iothub is unavailable: answer 200 without a JSON dict"
    assert hub.reads == {"edge-1": RETRY.attempts}


@pytest.mark.parametrize(
    "iot_hub",
    [
        f"HostName=localhost;SharedAccessKeyName=owner;SharedAccessKey={SECRET}",
        f"HostName=localhost;{SECRET}",
        f"HostName=localhost;SharedAccessKey={SECRET}",
    ],
)
async def test_a_connection_string_that_the_sdk_does_not_take_is_not_quoted(iot_hub: str) -> None:
    reader = Reader(iot_hub)
    assert SECRET not in await unavailable(reader)
    reader.close()


async def test_an_app_without_an_identity_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    reader = Reader("hub1.azure-devices.net")
    assert "Error" in await unavailable(reader)
    reader.close()


async def test_no_error_and_no_log_quotes_a_twin_or_a_key(
    hub: IotHub, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    hub.registry.put(ODD | {"tags": SECRET})
    assert await reader.read("odd") is not None
    twin = json.dumps(hub.registry.get("odd")).encode()
    hub.faults.answer("read", twin[:-1], RETRY.attempts)
    hub.faults.answer("query", b'[%s, "%s"]' % (twin, SECRET.encode()))
    assert [item["deviceId"] for item in (await reader.page(None)).twins] == ["odd"]
    with pytest.raises(UnavailableError) as raised:
        await reader.read("odd")
    text = caplog.text + "".join(traceback.format_exception(raised.value))
    assert "1 of 2 items" in text
    assert SECRET not in text
    assert hub.connection_string.partition("SharedAccessKey=")[2] not in text


async def test_many_reads_at_once_are_answered_each_with_its_own_twin(hub: IotHub, reader: Reader) -> None:
    names = [f"d{number}" for number in range(50)]
    for name in names:
        hub.registry.create(name)
    twins = await asyncio.gather(*(reader.read(name) for name in names))
    assert [twin["deviceId"] if twin else None for twin in twins] == names


async def test_pages_hold_every_twin_once_as_the_hub_sends_it(hub: IotHub, reader: Reader) -> None:
    hub.registry.put(ODD)
    for number in range(2 * PAGE_SIZE):
        hub.registry.create(f"a{number:03}")
    found: list[Any] = []
    continuation, sizes = None, list[int]()
    while True:
        page = await reader.page(continuation)
        found += page.twins
        sizes.append(len(page.twins))
        continuation = page.continuation
        if continuation is None:
            break
    assert sizes == [PAGE_SIZE, PAGE_SIZE, 2]
    assert found == [hub.registry.get(twin["deviceId"]) for twin in found]
    assert len({twin["deviceId"] for twin in found}) == len(hub.registry)


async def test_a_hub_without_devices_has_one_empty_page(hub: IotHub, reader: Reader) -> None:
    hub.registry.delete("edge-1")
    assert await reader.page(None) == TwinPage([], None)


async def test_a_page_of_a_busy_hub_is_asked_for_again_with_the_same_continuation(hub: IotHub, reader: Reader) -> None:
    for number in range(PAGE_SIZE):
        hub.registry.create(f"f{number:03}")
    first = await reader.page(None)
    hub.faults.add("query", 429, retry_after=3)
    hub.faults.cut("query")
    second = await reader.page(first.continuation)
    assert [twin["deviceId"] for twin in second.twins] == ["f099"]
    assert reader.waits[0] == 3
    assert hub.queries == 4


@pytest.mark.parametrize("continuation", [None, "ZWRnZS0x"])
async def test_a_page_that_the_hub_cannot_give_is_given_up_after_the_same_attempts(
    hub: IotHub, reader: Reader, continuation: str | None
) -> None:
    hub.faults.add("query", 503, QUERY_RETRY.attempts)
    with pytest.raises(UnavailableError, match="answer 503"):
        await reader.page(continuation)
    assert hub.queries == QUERY_RETRY.attempts


async def test_pages_are_asked_for_no_faster_than_the_setting_allows(hub: IotHub) -> None:
    reader = Reader(hub.connection_string, queries_per_minute=16, clock=lambda: 0.0)
    for _ in range(3):
        await reader.page(None)
    assert reader.waits == [3.75, 7.5]
    reader.close()


async def test_twins_are_read_no_faster_than_the_setting_allows(hub: IotHub) -> None:
    reader = Reader(hub.connection_string, reads_per_second=10, clock=lambda: 0.0)
    for _ in range(3):
        await reader.read("edge-1")
    assert reader.waits == [0.1, 0.2]
    reader.close()


async def test_each_attempt_of_a_read_counts_and_a_query_does_not(hub: IotHub) -> None:
    reader = Reader(hub.connection_string, reads_per_second=1, clock=lambda: 0.0)
    hub.faults.add("read", 503, RETRY.attempts - 1)
    await reader.read("edge-1")
    assert reader.waits[1::2] == [1, 2, 3]  # beside the waits between attempts
    await reader.page(None)
    assert len(reader.waits) == 6
    reader.close()


@pytest.mark.parametrize(("retry_after", "wait"), [(None, 60), (0, 60), (20, 20)])
async def test_a_throttled_query_is_asked_again_when_its_minute_is_over(
    hub: IotHub, reader: Reader, retry_after: int | None, wait: float
) -> None:
    hub.faults.add("query", 429, retry_after=retry_after)
    assert [twin["deviceId"] for twin in (await reader.page(None)).twins] == ["edge-1"]
    assert reader.waits == [wait]


async def test_a_throttled_read_does_not_wait_for_a_minute(hub: IotHub, reader: Reader) -> None:
    hub.faults.add("read", 429)
    assert await reader.read("edge-1") is not None
    assert reader.waits[0] <= RETRY.first_wait


async def test_a_continuation_that_the_hub_does_not_take_is_an_error_of_its_own_and_asked_once(
    hub: IotHub, reader: Reader
) -> None:
    with pytest.raises(ContinuationError):
        await reader.page("no continuation of this hub")
    assert hub.queries == 1
    assert (await reader.page(None)).continuation is None


async def test_a_first_page_that_is_refused_has_no_continuation_to_blame(hub: IotHub, reader: Reader) -> None:
    hub.faults.add("query", 400)
    with pytest.raises(UnavailableError, match="answer 400"):
        await reader.page(None)


@pytest.mark.parametrize("body", [*NO_JSON, b"null", b"{}"])
async def test_an_answer_that_is_no_json_list_is_no_page(hub: IotHub, reader: Reader, body: bytes) -> None:
    hub.faults.answer("query", body, QUERY_RETRY.attempts)
    with pytest.raises(UnavailableError, match="answer 200 without a JSON list"):
        await reader.page(None)
    assert hub.queries == QUERY_RETRY.attempts


async def test_items_that_are_no_objects_are_left_out_and_counted(
    hub: IotHub, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    hub.faults.answer("query", b'[null, {"deviceId": 5}, [1], "x", {}]')
    assert await reader.page(None) == TwinPage([{"deviceId": 5}, {}], None)
    assert [record.getMessage() for record in caplog.records if record.name == "status_app.iothub.twins"] == [
        "3 of 5 items of a page of twins are not objects"
    ]


async def test_twins_of_some_devices_come_by_one_query(hub: IotHub, reader: Reader) -> None:
    odd = "a-.+%_#*?!(),:=@$9"
    for name in ("edge-2", odd):
        hub.registry.create(name)
    twins = await reader.several(["edge-1", odd, "nobody"])
    assert twins is not None
    assert {twin["deviceId"]: twin for twin in twins} == {name: hub.registry.get(name) for name in ("edge-1", odd)}
    assert (hub.queries, hub.reads.total()) == (1, 0)


@pytest.mark.parametrize("status", [400, 412, 429, 500, 503])
async def test_a_query_for_some_devices_that_is_refused_is_asked_once(hub: IotHub, reader: Reader, status: int) -> None:
    hub.faults.add("query", status, retry_after=60)
    with pytest.raises(UnavailableError, match=f"answer {status}"):
        await reader.several(["edge-1"])
    assert (hub.queries, reader.waits) == (1, [])


async def test_a_query_for_some_devices_waits_for_no_turn(hub: IotHub) -> None:
    now = 0.0
    reader = Reader(hub.connection_string, queries_per_minute=4, clock=lambda: now)
    assert await reader.several(["edge-1"]) is not None
    assert await reader.several(["edge-1"]) is None
    now = 15.0
    assert await reader.several(["edge-1"]) is not None
    assert (hub.queries, reader.waits) == (2, [])
    reader.close()


async def test_outlines_of_some_devices_have_the_form_of_twins(hub: IotHub, reader: Reader) -> None:
    hub.registry.create("edge-2")
    hub.registry.apply_desired("edge-2", {"schemaVersion": "1.1"})
    hub.registry.create("edge-3")
    page = await reader.outlines(["edge-2", "nobody"])
    twin = hub.registry.get("edge-2")
    assert twin is not None
    assert page == TwinPage(
        [
            {
                **{name: twin[name] for name in ("deviceId", "version", "configurations") if name in twin},
                "properties": {
                    name: {"$metadata": {"$lastUpdated": twin["properties"][name]["$metadata"]["$lastUpdated"]}}
                    for name in ("desired", "reported")
                },
            }
        ],
        None,
    )
    assert (hub.queries, hub.reads.total()) == (1, 0)


async def test_a_hub_that_does_not_take_a_query_is_no_hub_that_does_not_answer(hub: IotHub, reader: Reader) -> None:
    for status, error in ((400, QueryRefusedError), (403, UnavailableError)):
        hub.faults.add("query", status)
        with pytest.raises(error):
            await reader.outlines(["edge-1"])
        hub.faults.add("query", status)
        with pytest.raises(error):
            await reader.page(None, since=datetime.now(UTC))


async def test_tags_of_some_devices_wait_for_no_turn(hub: IotHub) -> None:
    hub.registry.set_tags("edge-1", {"ring": "canary"})
    reader = Reader(hub.connection_string, queries_per_minute=4, clock=lambda: 0.0)
    assert await reader.tags_of(["edge-1", "nobody"]) == [{"deviceId": "edge-1", "tags": {"ring": "canary"}}]
    assert await reader.tags_of(["edge-1"]) is None
    assert (hub.queries, reader.waits) == (1, [])
    reader.close()
