"""What is wrong with a request is reported, and nothing of one comes into a filter."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import azure.functions as func
import pytest
from app_over_azurite import App, fresh_app
from asking import Route, ask, listed

from local.tables import table_proxy
from status_app.http import routes
from status_app.queries import Fleet
from status_app.queries.device_filter import PARAMETERS
from status_app.services import Services
from status_app.settings import Settings

HASH = "~~" + "0" * 64
HOSTILE = [
    "'",
    "''",
    "' or PartitionKey ne '",
    "x' or '1' eq '1",
    "'; DROP TABLE DeploymentStatus",
    f"x' or PartitionKey ne '{HASH}",  # ends as the key of a long name does
    f"x' or RowKey ge 'device' or PartitionKey eq '{HASH}\n",
    "%27 or true",
    "~27 or true",
    "deployment|x' or PartitionKey ne 'x",
    "a|b|c|d",
    "..",
    "../$batch",
    "x/y\\z#?",
    "\x00\x01\x1f\x7f\x85",
    "\ud800",
    "é漢🚀",
    "x" * 5000,
    "$edgeAgent",
]
LISTS: list[tuple[Route, dict[str, str], dict[str, str]]] = [
    (routes.devices, {}, {}),
    (routes.devices, {"state": "module_failed"}, {}),
    (routes.devices, {"deployment": "at-scale1"}, {}),
    (routes.devices, {"stuck": "true"}, {}),
    (routes.devices, {"stuck": "true", "deployment": "at-scale1"}, {}),
    (routes.modules, {"stuck": "true"}, {}),
    (routes.modules, {"stuckBefore": "2999-01-01T00:00:00Z"}, {}),
    (routes.deployments, {}, {}),
    (routes.disagreements, {}, {"deploymentId": "at-scale1"}),
    (routes.transitions, {}, {"deviceId": "one"}),
]


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables) as app:
        app.prefix = "a"
        devices = [app.put(f"{number}", case) for number, case in enumerate(("048", "048", "003", "002"))]
        app.hub.twins["one"] = {**app.hub.twins[devices[0]], "deviceId": "one"}
        await app.handle(*map(app.event, [*devices, "one"]))
        await app.flag_stuck(timedelta(days=3650))
        late = app.put("late", "048")
        for status in ("running", "backoff"):
            app.report(late, timedelta(minutes=2), runtimeStatus=status)
        await app.handle(app.event(late))
        yield app


@pytest.fixture
async def unasked() -> AsyncIterator[Fleet]:
    """A fleet whose tables nobody has."""
    tables = "AccountName=a;AccountKey=aw==;TableEndpoint=http://127.0.0.1:9/a"
    services = Services(Settings.read({"STATUS_TABLES": tables, "IOT_HUB": "hub1.azure-devices.net"}))
    yield services.fleet()
    await services.close()


def token(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def content_of(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.mark.parametrize(
    ("route", "query", "words"),
    [
        (routes.devices, "limit=0", "limit takes a whole number from 1 to 200"),
        (routes.devices, "limit=201", "limit takes a whole number from 1 to 200"),
        (routes.devices, "limit=-1", "limit takes a whole number from 1 to 200"),
        (routes.devices, "limit=1.0", "limit takes a whole number from 1 to 200"),
        (routes.devices, "limit=%D9%A3", "limit takes a whole number from 1 to 200"),
        (routes.devices, "limit=5&limit=6", "limit takes a whole number from 1 to 200"),
        (routes.devices, "state=failed", "state takes one of no_deployment, invalid, pending"),
        (routes.devices, "state=", "state is empty"),
        (routes.devices, "stuck=false", "stuck takes true"),
        (routes.devices, "stuck=true&stuck=true", "stuck takes true"),
        (routes.devices, "Limit=5", f"it takes {', '.join(PARAMETERS)}, limit, next, format"),
        (routes.devices, "x=", f"it takes {', '.join(PARAMETERS)}, limit, next, format"),
        (routes.devices, f"deployment={'x' * 1025}", "deployment takes at most 1024 characters"),
        (routes.device, "limit=5", "it takes none"),
        (routes.deployment, "limit=5", "it takes cohort"),
        (routes.transitions, "state=pending", "it takes limit, next"),
        (routes.modules, "", "either stuck or stuckBefore"),
        (routes.modules, "stuck=true&stuckBefore=2026-01-01T00:00:00Z", "either stuck or stuckBefore"),
        (routes.modules, "stuckBefore=2026-01-01", "stuckBefore takes a time such as"),
        (routes.modules, "stuckBefore=2026-01-01T00:00:00", "stuckBefore takes a time such as"),
        (routes.modules, "stuckBefore=2026-02-30T00:00:00Z", "stuckBefore takes a time such as"),
        (routes.modules, "stuckBefore=0001-01-01T00:00:00%2B12:00", "stuckBefore takes a time such as"),
        (routes.modules, "stuckBefore=2026-01-01T00:00:00+02:00", "stuckBefore takes a time such as"),  # a space
        (routes.deployments, "next=x", "next takes"),
        (routes.deployments, "next=%20", "next takes"),
        (routes.deployments, f"next={'A' * 5000}", "next takes"),
        (routes.deployments, f"next={token([])}", "next takes"),
        (routes.deployments, f"next={token({'after': ['x'], 'of': ''})}", "next takes"),
        (routes.deployments, f"next={token({'after': [1], 'of': ''})}", "next takes"),
        (routes.deployments, f"next={base64.b64encode(b'[' * 3000).decode()}", "next takes"),
    ],
)
async def test_a_wrong_parameter_is_named_and_no_table_is_asked(
    unasked: Fleet, route: Route, query: str, words: str
) -> None:
    answered = await ask(unasked, route, query, deviceId="one", deploymentId="at-scale1")
    assert answered.status == 400
    assert answered.headers["Content-Type"] == "application/problem+json"
    assert answered.json == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": answered.json["detail"],
    }
    assert words in answered.json["detail"]


async def test_a_times_offset_counts_and_a_key_in_the_address_is_no_parameter(app: App) -> None:
    fleet = app.services.fleet()
    for query in ("stuckBefore=2999-01-01T02:00:00%2B02:00", "stuckBefore=2999-01-01T00:00:00.0Z&code=secret"):
        answered = await ask(fleet, routes.modules, query)
        assert [item["module"] for item in answered.json["items"]] == ["m1"]


async def test_a_token_is_good_for_its_own_question_alone_whatever_the_limit(app: App) -> None:
    fleet = app.services.fleet()
    tokens = []
    for route, query, path in LISTS:
        answered = await ask(fleet, route, urlencode({**query, "limit": 1}), **path)
        tokens.append(answered.json["next"])
    assert sum(token is not None for token in tokens) >= 7
    for own, (route, query, path) in enumerate(LISTS):
        for number, text in enumerate(tokens):
            if text is None:
                continue
            answered = await ask(fleet, route, urlencode({**query, "limit": 7, "next": text}), **path)
            assert answered.status == (200 if number == own else 400)
    of_one = tokens[-1]
    assert (await ask(fleet, routes.transitions, f"next={of_one}", deviceId="a-0")).status == 400


async def test_hostile_values_in_a_token_never_reach_a_filter(app: App, tables: str) -> None:
    fleet = app.services.fleet()
    for route, query, path in LISTS:
        known = await listed(fleet, route, path=path, **query)
        answered = await ask(fleet, route, urlencode({**query, "limit": 1}), **path)
        if answered.json["next"] is None:
            continue
        content = content_of(answered.json["next"])
        prefix = content["after"][0].partition("|")[0] + "|" if "|" in content["after"][0] else ""
        afters = [[value] for value in HOSTILE] + [[prefix + value] for value in HOSTILE]
        afters += [[content["after"][0], value, value] for value in HOSTILE]
        afters += [[], ["x"] * 4, ["9" * 400], ["-1"], [prefix], [prefix, "", ""], [content["after"][0], "x"]]
        async with table_proxy(tables) as proxy:
            services = app.another(STATUS_TABLES=proxy.connection_string)
            for after in afters:
                text = token({**content, "after": after})
                answered = await ask(services.fleet(), route, urlencode({**query, "next": text}), **path)
                assert answered.status in (200, 400), (after, answered.body)
                if answered.status == 200:
                    assert all(item in known for item in answered.json["items"])
            await services.close()


async def test_hostile_values_in_a_path_or_a_parameter_find_nothing(app: App) -> None:
    fleet = app.services.fleet()
    for value in HOSTILE:
        text = quote(value, errors="surrogatepass")
        assert (await ask(fleet, routes.device, deviceId=value)).status == 404
        assert (await ask(fleet, routes.transitions, deviceId=value)).status == 404
        for route in (routes.deployment, routes.progress, routes.disagreements):
            assert (await ask(fleet, route, deploymentId=value)).status == 404
        for name in ("prefix", "image", "digest", "agentVersion"):
            answered = await ask(fleet, routes.devices, f"{name}={text}")
            assert answered.status in (200, 400), (name, value)
            assert answered.json.get("items", []) == []
        for query in (f"deployment={text}", f"deployment={text}&stuck=true", f"deployment={text}&state=pending"):
            answered = await ask(fleet, routes.devices, query)
            assert answered.status == (400 if len(value) > 1024 else 200)
            assert answered.json.get("items", []) == []
        for query in (f"state={text}", f"stuck={text}", f"limit={text}", f"next={text}"):
            assert (await ask(fleet, routes.devices, query)).status == 400
        for query in (f"stuck={text}", f"stuckBefore={text}"):
            assert (await ask(fleet, routes.modules, query)).status == 400


async def test_a_megabyte_in_any_place_of_a_request_is_answered(app: App) -> None:
    fleet = app.services.fleet()
    for character in ("x", "'", "~", "\x00", "\ud800", "[", '"', "%"):
        long = character * 1_000_000
        encoded = quote(character, errors="surrogatepass")
        text = encoded * (1_000_000 // len(encoded))
        assert (await ask(fleet, routes.device, deviceId=long)).status == 404
        assert (await ask(fleet, routes.transitions, deviceId=long)).status == 404
        assert (await ask(fleet, routes.deployment, deploymentId=long)).status == 404
        for name in ("deployment", "state", "stuck", "limit", "next", text):
            answered = await ask(fleet, routes.devices, f"{name}={text}")
            assert answered.status == 400
            assert len(answered.body) < 500
        assert (await ask(fleet, routes.devices, "", {"if-none-match": long})).status == 200


@pytest.mark.parametrize(
    "content",
    [
        b'{"after": ' + b"[" * 1400 + b"]" * 1400 + b"}",
        b'{"after": [' + b"9" * 2900 + b"]}",
        b'{"after": [NaN]}',
        b'{"after": ["\xff"]}',
        b'{"after": ["x"], "after": ["y"], "of": "z"}',
        b"NaN",
    ],
    ids=["nested", "a huge number", "no number", "not utf-8", "a key twice", "NaN alone"],
)
async def test_a_token_of_hostile_json_is_no_token(unasked: Fleet, content: bytes) -> None:
    text = base64.urlsafe_b64encode(content).decode().rstrip("=")
    answered = await ask(unasked, routes.devices, f"next={text}")
    assert (answered.status, "next takes" in answered.json["detail"]) == (400, True)


@pytest.mark.parametrize("host", ["a[b", "[", "a]b", "\u2100", ""])
async def test_a_host_that_is_none_is_no_matter(unasked: Fleet, host: str) -> None:
    request = func.HttpRequest("GET", f"http://{host}/api/devices?limit=0", params={"limit": "0"}, body=b"")
    assert (await routes.devices(unasked, request)).status_code == 400


async def test_the_words_of_a_request_are_not_quoted_in_a_problem(app: App) -> None:
    fleet: Any = app.services.fleet()
    secret = "hunter2-correct-horse"
    for route, query in (
        (routes.devices, f"state={secret}"),
        (routes.devices, f"next={secret}"),
        (routes.devices, f"{secret}=1"),
        (routes.device, ""),
    ):
        answered = await ask(fleet, route, query, deviceId=secret)
        assert answered.status in (400, 404)
        assert secret not in answered.body.decode()
