"""HEAD, OPTIONS and gzip, of every route and over real sockets."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from local.clock import utc_now
from local.stack import Stack, running_stack
from status_app.http.methods import LEAST, takes_gzip
from status_app.storage.transport import TableTransport

TWIN = json.loads((Path(__file__).parents[1] / "cases/048_200_module_backoff.json").read_text())["twin"]
KEY = "a-key"
DEVICES = 4
"""Enough for an answer that is compressed."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tables: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("stack"), tables, utc_now, function_key=KEY) as stack:
        for number in range(DEVICES):
            stack.iot_hub.registry.put(TWIN | {"deviceId": f"edge-{number}"})
        await stack.drained()
        await stack.host.run_timer("flag_stuck")
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with the key that asks for no compression unless a test does, and decompresses nothing."""
    headers = {"x-functions-key": KEY, "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(headers=headers, auto_decompress=False) as session:
        yield session


def paths(stack: Stack) -> list[str]:
    """A path of every route that the app has, the page among them."""
    triggers = [function.trigger for function in stack.host.functions.values()]
    found = [str(trigger["route"]) for trigger in triggers if trigger["type"] == "httpTrigger"]
    ids = {"deviceId": "edge-1", "deploymentId": "at-scale1", "causeId": "0" * 16}
    return [f"{stack.api}/{re.sub(r'{(.+?)}', lambda match: ids[match[1]], path)}" for path in found]


@pytest.mark.asyncio(loop_scope="module")
async def test_head_is_get_without_a_body(stack: Stack, client: aiohttp.ClientSession) -> None:
    counted_now = {"ETag", "Content-Length", "Date"}
    for path in paths(stack):
        async with client.get(path) as response:
            status, headers, body = response.status, response.headers, await response.read()
        async with client.head(path) as response:
            assert (response.status, await response.read()) == (status, b""), path
            assert response.headers.keys() == headers.keys()
            same = headers.keys() - counted_now
            assert {name: response.headers[name] for name in same} == {name: headers[name] for name in same}
            assert int(response.headers["Content-Length"]) > 0
        assert body


@pytest.mark.asyncio(loop_scope="module")
async def test_options_lists_the_methods_of_a_path_and_asks_no_table(
    stack: Stack, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def a_request(*_: Any, **__: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(TableTransport, "send", a_request)
    for path in paths(stack):
        async with client.options(f"{path}?whatever=1") as response:
            assert (response.status, await response.read()) == (204, b""), path
            assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with client.options(f"{stack.api}/devices", headers={"x-functions-key": "another"}) as response:
        assert response.status == 401
    async with client.post(f"{stack.api}/devices") as response:
        assert response.status == 404


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_is_compressed_for_a_client_that_takes_gzip_and_varies_by_that_header(
    stack: Stack, client: aiohttp.ClientSession
) -> None:
    url = f"{stack.api}/devices"
    async with client.get(url) as response:
        plain, tag = await response.read(), response.headers["ETag"]
        assert response.headers["Vary"] == "Accept-Encoding"
        assert "Content-Encoding" not in response.headers
    assert len(plain) >= LEAST
    async with client.get(url, headers={"Accept-Encoding": "br, gzip;q=0.5"}) as response:
        compressed, weak = await response.read(), response.headers["ETag"]
        assert (response.headers["Content-Encoding"], response.headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert response.headers["Content-Type"] == "application/json"
        assert int(response.headers["Content-Length"]) == len(compressed)
    assert (gzip.decompress(compressed), weak) == (plain, f"W/{tag}")
    assert len(compressed) < len(plain) / 2
    for known in (tag, weak):
        for taken in ("gzip", "identity"):
            headers = {"If-None-Match": known, "Accept-Encoding": taken}
            async with client.get(url, headers=headers) as response:
                assert (response.status, await response.read()) == (304, b"")
                assert response.headers["Vary"] == "Accept-Encoding"
                assert "Content-Encoding" not in response.headers


@pytest.mark.asyncio(loop_scope="module")
async def test_csv_metrics_and_the_page_are_compressed_too_and_short_answers_are_not(
    stack: Stack, client: aiohttp.ClientSession
) -> None:
    compressed = {"Accept-Encoding": "gzip"}
    for path in ("devices?format=csv", "metrics", "fleet"):
        async with client.get(f"{stack.api}/{path}", headers=compressed) as response:
            assert response.headers["Content-Encoding"] == "gzip", path
            assert gzip.decompress(await response.read()).decode()
    for path, status in (("agents", 200), ("devices?limit=0", 400), ("devices/none", 404)):
        async with client.get(f"{stack.api}/{path}", headers=compressed) as response:
            assert response.status == status
            assert "Content-Encoding" not in response.headers
            assert json.loads(await response.read())


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", False),
        ("identity", False),
        ("br, zstd", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        (" gzip ; q=0.001 ", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=many", False),
        ("gzip;q=1.1.1", False),
        ("gzipped", False),
        (";;,,q=1", False),
    ],
)
def test_the_header_decides_whether_a_client_takes_gzip(accepted: str, expected: bool) -> None:
    assert takes_gzip(accepted) is expected
