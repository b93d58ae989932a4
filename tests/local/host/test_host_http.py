"""The HTTP trigger, over a real socket."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from sample_hosts import StartHost, running_app, without_event_hub
from yarl import URL

from local.host.route import parse_route


@pytest.fixture
async def client(start_host: StartHost) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a host whose key is `secret`."""
    host = await start_host(function_key="secret")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{host.http_port}") as session:
        yield session


async def test_a_response_has_the_status_the_headers_and_the_body_that_the_function_gave(
    client: aiohttp.ClientSession,
) -> None:
    async with client.get("/api/devices/d1", headers={"x-functions-key": "secret"}) as response:
        assert response.status == 203
        assert response.headers["X-Made-By"] == "sample"
        assert response.headers["Content-Type"] == "text/json; charset=utf-8"
        assert await response.text() == '{"ok": true}'


async def test_the_key_is_taken_from_the_query_too(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/devices/d1?code=secret") as response:
        assert response.status == 203


@pytest.mark.parametrize("key", ["", "Secret", "secret "])
async def test_a_function_with_a_key_is_closed_to_any_other_key(client: aiohttp.ClientSession, key: str) -> None:
    async with client.get("/api/devices/d1", params={"code": key}) as response:
        assert response.status == 401


async def test_a_host_without_a_key_asks_for_none_and_dates_answers_by_its_clock(start_host: StartHost) -> None:
    host = await start_host(clock=lambda: datetime(2026, 1, 5, 8, tzinfo=UTC))
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{host.http_port}/api/devices/d1") as response,
    ):
        assert response.status == 203
        assert response.headers["Date"] == "Mon, 05 Jan 2026 08:00:00 GMT"


async def test_an_anonymous_function_gets_method_body_headers_query_and_params(client: aiohttp.ClientSession) -> None:
    url = "/api/echo/a/b%20c?x=1&x=2&empty=&y=%C3%A9"
    async with client.post(url, data=b"\x00\xff", headers={"X-One": "1"}) as response:
        assert (response.status, await response.read()) == (200, b"\x00\xff")
    (request,) = running_app().requests
    assert request.method == "POST"
    assert request.url.startswith("http://127.0.0.1:")
    assert dict(request.route_params) == {"rest": "a/b c"}
    assert dict(request.params) == {"x": "1,2", "y": "é"}
    assert request.headers["x-one"] == "1"


async def test_params_are_url_decoded_but_for_slashes(client: aiohttp.ClientSession) -> None:
    for sent in ("caf%C3%A9%20%231", "a%252Fb", "a%2Fb"):
        async with client.get(
            URL(f"/api/devices/{sent}", encoded=True), headers={"x-functions-key": "secret"}
        ) as response:
            assert response.status == 203
    assert [request.route_params["id"] for request in running_app().requests] == ["café #1", "a%2Fb", "a%2Fb"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api/nothing"),
        ("GET", "/devices/d1"),
        ("GET", "/api/devices/d1/x"),
        ("GET", "/api/echo/x"),
        ("DELETE", "/api/devices/d1"),
    ],
)
async def test_a_path_or_method_that_no_function_has_is_not_found(
    client: aiohttp.ClientSession, method: str, path: str
) -> None:
    async with client.request(method, path, headers={"x-functions-key": "secret"}) as response:
        assert response.status == 404


async def test_a_function_that_fails_answers_500_without_its_traceback(
    client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with client.get("/api/broken") as response:
        assert (response.status, await response.read()) == (500, b"")
    assert "LookupError: GET" in caplog.text


async def test_the_route_prefix_of_host_json_is_used(start_host: StartHost, tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"extensions": {"http": {"routePrefix": ""}}}', "utf-8")
    host = await start_host(without_event_hub(tmp_path))
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{host.http_port}/devices/d1") as response,
    ):
        assert response.status == 203


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("api/a", "/API/A", {}),
        ("api/a", "/api/a/", {}),
        ("api/a", "/api/ab", None),
        ("api/{x}/b", "/api/1/b", {"x": "1"}),
        ("api/{x}/b", "/api//b", None),
        ("api/{x?}", "/api", {}),
        ("api/{x?}", "/api/1", {"x": "1"}),
        ("{*rest}", "/", {}),
        ("api/{*rest}", "/api", {}),
        ("api/{*rest}", "/api/1/2", {"rest": "1/2"}),
        ("api/{x}", "/api/a+b%2Bc", {"x": "a+b+c"}),
        ("api/{x}", "/api/%25", {"x": "%"}),
        ("api/{x}", "/api/%zz%", {"x": "%zz%"}),
        ("api/{x}", "/api/%252F%2f", {"x": "%2F%2f"}),
        ("api/{x}", "/api/%C3%A9%C3%FF", {"x": "é%C3%FF"}),
        ("api/{x}", "/api/1/%2E%2e/2/.", {"x": "2"}),
        ("api/{x}", "/../api/./1", {"x": "1"}),
        ("api/{x}", "/api/...", {"x": "..."}),
    ],
)
def test_a_route_matches_the_paths_of_its_template(template: str, path: str, params: dict[str, str] | None) -> None:
    assert parse_route(template).match(path) == params


def test_the_more_specific_route_comes_first() -> None:
    routes = [parse_route(template) for template in ("api/{*rest}", "api/{id}", "api/stuck", "api/{id}/x")]
    order = [route.template for route in sorted(routes, key=lambda route: route.rank)]
    assert order.index("api/stuck") < order.index("api/{id}") < order.index("api/{*rest}")
    assert order.index("api/{id}/x") < order.index("api/{*rest}")
