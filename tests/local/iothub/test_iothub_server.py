"""The real azure-iot-hub SDK, over HTTPS, against the stand-in."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import QuerySpecification
from azure.iot.hub.sastoken import SasToken
from msrest.exceptions import ClientRequestError, HttpOperationError

from local.iothub import IotHub

QUERY = "SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent'"


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IotHub]:
    hub = IotHub(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    await hub.start()
    yield hub
    await hub.stop()


async def sdk[T](hub: IotHub, call: Callable[[Any], T], connection_string: str | None = None) -> T:
    """One call of the SDK, which blocks, on a thread of its own."""

    def run() -> T:
        manager = IoTHubRegistryManager.from_connection_string(connection_string or hub.connection_string)
        with manager.protocol:
            return call(manager)

    return await asyncio.to_thread(run)


async def read(hub: IotHub, device_id: str, module_id: str = "$edgeAgent") -> Any:
    return await sdk(hub, lambda manager: manager.get_module_twin(device_id, module_id))


async def refused(hub: IotHub, device_id: str, module_id: str = "$edgeAgent") -> Any:
    with pytest.raises(HttpOperationError) as raised:
        await read(hub, device_id, module_id)
    return raised.value.response


async def test_the_sdk_reads_an_edge_agent_twin(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    hub.registry.apply_desired("edge-1", {"schemaVersion": "1.1"}, "release-7")
    twin = await read(hub, "edge-1")
    assert (twin.device_id, twin.module_id, twin.version) == ("edge-1", "$edgeAgent", 2)
    assert twin.properties.desired["schemaVersion"] == "1.1"
    assert twin.properties.desired["$metadata"]["schemaVersion"]["$lastUpdatedBy"] == "release-7"


async def test_the_raw_answer_holds_the_configurations(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    hub.registry.set_configurations("edge-1", {"release-7": {"status": "Applied"}})
    raw = await sdk(hub, lambda manager: manager.protocol.modules.get_twin("edge-1", "$edgeAgent", raw=True))
    assert raw.response.json()["configurations"] == {"release-7": {"status": "Applied"}}


async def test_the_twin_of_the_device_itself_has_no_module(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    twin = await sdk(hub, lambda manager: manager.get_twin("edge-1"))
    assert (twin.device_id, twin.module_id) == ("edge-1", None)


@pytest.mark.parametrize(
    "device_id", ["-.+%_*?!(),:=@$'", "a%2Fb", "a%25b", "a#b;c", "A", "?x=1&y=2", "100% wahr'", "+plus+", "x" * 128]
)
async def test_every_legal_character_of_a_device_id_arrives(hub: IotHub, device_id: str) -> None:
    hub.registry.create(device_id)
    assert (await read(hub, device_id)).device_id == device_id
    assert hub.reads == {device_id: 1}


async def test_device_ids_are_case_sensitive(hub: IotHub) -> None:
    hub.registry.create("Edge")
    assert (await refused(hub, "edge")).status_code == 404


async def test_an_unknown_device_is_a_404_that_names_its_code(hub: IotHub) -> None:
    response = await refused(hub, "nobody")
    assert (response.status_code, response.headers["iothub-errorcode"]) == (404, "DeviceNotFound")
    assert response.json()["Message"].startswith("ErrorCode:DeviceNotFound;")


async def test_an_unknown_module_is_another_404(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    response = await refused(hub, "edge-1", "other")
    assert (response.status_code, response.headers["iothub-errorcode"]) == (404, "ModuleNotFound")


async def test_a_wrong_key_is_a_401(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    stolen = hub.connection_string.partition("SharedAccessKey=")[0] + "SharedAccessKey=d3Jvbmc="
    with pytest.raises(HttpOperationError) as raised:
        await sdk(hub, lambda manager: manager.get_module_twin("edge-1", "$edgeAgent"), stolen)
    response: Any = raised.value.response
    assert (response.status_code, response.headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")


@pytest.mark.parametrize(
    ("ttl", "host", "name", "status"),
    [
        (60, "localhost:{port}", "iothubowner", 200),
        (-60, "localhost:{port}", "iothubowner", 401),
        (60, "localhost:1", "iothubowner", 401),
        (60, "localhost:{port}", "device", 401),
    ],
)
async def test_a_signature_counts_for_its_time_its_hub_and_its_policy(
    hub: IotHub, ttl: int, host: str, name: str, status: int
) -> None:
    hub.registry.create("edge-1")
    key = hub.connection_string.partition("SharedAccessKey=")[2]
    token = str(SasToken(host.format(port=hub.port), key, name, ttl))
    assert await get(hub, "?api-version=2021-04-12", {"Authorization": token}) == ({status}, 1)


@pytest.mark.parametrize("header", ["Bearer x", "SharedAccessSignature ", "SharedAccessSignature sr=a&se=b&sig=ü"])
async def test_any_other_authorization_is_a_401(hub: IotHub, header: str) -> None:
    hub.registry.create("edge-1")
    assert await get(hub, "?api-version=2021-04-12", {"Authorization": header}) == ({401}, 1)


async def test_a_request_without_api_version_is_a_400(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    assert await get(hub, "", signed(hub)) == ({400}, 1)


async def test_a_throttled_read_without_retry_after_fails_at_once(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    hub.faults.add("read", 429)
    response = await refused(hub, "edge-1")
    assert (response.status_code, response.headers["iothub-errorcode"]) == (429, "ThrottlingException")
    assert hub.reads == {"edge-1": 1}
    assert (await read(hub, "edge-1")).device_id == "edge-1"


async def test_a_throttled_read_with_retry_after_is_repeated_by_the_sdk(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    hub.faults.add("read", 429, retry_after=0)
    assert (await read(hub, "edge-1")).device_id == "edge-1"
    assert hub.reads == {"edge-1": 2}


async def test_a_503_on_a_read_is_repeated_by_the_sdk(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    hub.faults.add("read", 503)
    assert (await read(hub, "edge-1")).device_id == "edge-1"
    assert hub.reads == {"edge-1": 2}


async def test_a_503_on_a_query_reaches_the_caller(hub: IotHub) -> None:
    hub.faults.add("query", 503)
    with pytest.raises(HttpOperationError) as raised:
        await page(hub)
    response: Any = raised.value.response
    assert (response.status_code, response.headers["iothub-errorcode"]) == (503, "ServiceUnavailable")


async def test_a_cut_query_gets_no_answer(hub: IotHub) -> None:
    hub.faults.cut("query")
    with pytest.raises(ClientRequestError, match=r"(?i)connection"):
        await sdk(hub, lambda manager: manager.query_iot_hub(QuerySpecification(query=QUERY)))
    assert hub.queries == 1


async def test_a_delayed_read_is_answered(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    hub.faults.delay("read", 0.01)
    assert (await read(hub, "edge-1")).device_id == "edge-1"


async def test_faults_of_one_operation_leave_the_other_alone(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    hub.faults.add("query", 500)
    assert (await read(hub, "edge-1")).device_id == "edge-1"
    hub.faults.clear()
    assert (await page(hub)).continuation_token is None


async def test_a_query_pages_through_250_devices_once_each(hub: IotHub) -> None:
    for number in range(250):
        hub.registry.create(f"edge-{number:03}")
    found, token = [], None
    while True:
        result = await page(hub, token)
        found.append([twin.device_id for twin in result.items])
        token = result.continuation_token
        if token is None:
            break
    assert [len(ids) for ids in found] == [100, 100, 50]
    assert [device for ids in found for device in ids] == [f"edge-{number:03}" for number in range(250)]
    assert hub.queries == 3


async def test_a_page_is_as_long_as_asked_for(hub: IotHub) -> None:
    for number in range(3):
        hub.registry.create(f"edge-{number}")
    result = await page(hub, None, 2)
    assert [twin.device_id for twin in result.items] == ["edge-0", "edge-1"]
    assert [twin.device_id for twin in (await page(hub, result.continuation_token, 2)).items] == ["edge-2"]


@pytest.mark.parametrize("query", ["SELECT * FROM devices", "SELECT deviceId FROM devices.modules", ""])
async def test_another_query_is_a_400_that_names_the_supported_one(hub: IotHub, query: str) -> None:
    with pytest.raises(HttpOperationError) as raised:
        await sdk(hub, lambda manager: manager.query_iot_hub(QuerySpecification(query=query)))
    response: Any = raised.value.response
    assert response.status_code == 400
    assert QUERY in response.json()["Message"]


@pytest.mark.parametrize(("token", "size"), [("no token", None), (None, "many"), (None, 0)])
async def test_a_page_that_cannot_be_asked_for_is_a_400(hub: IotHub, token: str | None, size: Any) -> None:
    with pytest.raises(HttpOperationError) as raised:
        await page(hub, token, size)
    response: Any = raised.value.response
    assert (response.status_code, response.headers["iothub-errorcode"]) == (400, "ArgumentInvalid")


async def test_a_connection_serves_many_reads(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    statuses, connections = await get(hub, "?api-version=2021-04-12", signed(hub), times=5)
    assert (statuses, connections) == ({200}, 1)


async def test_a_hub_that_was_stopped_comes_back_on_its_port_with_its_twins(hub: IotHub) -> None:
    hub.registry.create("edge-1")
    before = hub.connection_string
    await hub.stop()
    await hub.start()
    assert hub.connection_string == before
    assert (await read(hub, "edge-1")).device_id == "edge-1"


async def test_a_hub_whose_port_is_taken_does_not_start(hub: IotHub, tmp_path: Path) -> None:
    second = IotHub(tmp_path / "second", port=hub.port)
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await second.stop()


async def page(hub: IotHub, token: str | None = None, size: Any = None) -> Any:
    return await sdk(hub, lambda manager: manager.query_iot_hub(QuerySpecification(query=QUERY), token, size))


def signed(hub: IotHub) -> dict[str, str]:
    key = hub.connection_string.partition("SharedAccessKey=")[2]
    return {"Authorization": str(SasToken(f"localhost:{hub.port}", key, "iothubowner"))}


async def get(hub: IotHub, query: str, headers: dict[str, str], times: int = 1) -> tuple[set[int], int]:
    """Plain GETs of the twin of edge-1: their statuses, and how many connections they took."""
    opened = 0

    async def count(*_: object) -> None:
        nonlocal opened
        opened += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(count)
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=hub.ca_file))
    url = f"https://localhost:{hub.port}/twins/edge-1/modules/$edgeAgent{query}"
    statuses = set()
    async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session:
        for _ in range(times):
            async with session.get(url, headers=headers) as response:
                await response.read()
                statuses.add(response.status)
    return statuses, opened


async def queried(hub: IotHub, *device_ids: str) -> list[str]:
    """The devices that a query for some returns."""
    names = ", ".join(f"'{device_id}'" for device_id in device_ids)
    specification = QuerySpecification(query=f"{QUERY} AND deviceId IN [{names}]")
    answer = await sdk(hub, lambda manager: manager.query_iot_hub(specification))
    return [twin.device_id for twin in answer.items]


async def test_a_query_for_some_devices_returns_those_that_exist(hub: IotHub) -> None:
    for name in ("b", "a", "c"):
        hub.registry.create(name)
    assert await queried(hub, "c", "a", "nobody", "a") == ["a", "c"]


async def test_a_query_that_is_too_long_is_refused(hub: IotHub) -> None:
    with pytest.raises(HttpOperationError) as raised:
        await queried(hub, *(f"{number:0128}" for number in range(63)))
    response: Any = raised.value.response
    assert response.status_code == 412


async def test_queries_lag_on_demand_and_reads_never_do(hub: IotHub) -> None:
    before = hub.registry.create("edge-1").twin
    hub.registry.apply_desired("edge-1", {"schemaVersion": "1.1"})
    hub.index(lambda _device_id: before)
    assert [twin.version for twin in (await page(hub)).items] == [1]
    assert (await read(hub, "edge-1")).version == 2
    hub.index(lambda _device_id: None)
    assert await queried(hub, "edge-1") == []
    hub.index(None)
    assert [twin.version for twin in (await page(hub)).items] == [2]


async def test_no_minute_sees_more_queries_answered_than_the_tier_allows(tmp_path: Path, monkeypatch: Any) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    hub = IotHub(tmp_path, now=lambda: now)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    await hub.start()
    hub.allow_queries(2)
    await page(hub)
    now += timedelta(seconds=30)
    await page(hub)
    with pytest.raises(HttpOperationError) as raised:
        await page(hub)
    response: Any = raised.value.response
    assert (response.status_code, response.headers["iothub-errorcode"]) == (429, "ThrottlingException")
    now += timedelta(seconds=30)
    await page(hub)
    with pytest.raises(HttpOperationError):
        await page(hub)
    await hub.stop()
