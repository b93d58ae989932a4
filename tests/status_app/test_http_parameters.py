"""A wrong parameter is named, and no text of a request becomes part of a filter of a table."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import azure.functions as func
import pytest
from app_over_azurite import SECRET, App, fresh_app
from asking import Route, ask, listed

from local.tables import table_proxy
from status_app.http import routes
from status_app.http.parameters import MOST
from status_app.queries import Fleet
from status_app.queries.device_filter import PARAMETERS
from status_app.services import Services
from status_app.settings import Settings
from status_core import Flag, Reason, State

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
NO_TOKENS = (
    b"[]",
    b"NaN",
    b'{"after": ["x"], "of": ""}',
    b'{"after": [1], "of": ""}',
    b'{"after": [NaN]}',
    b'{"after": ["\xff"]}',
    b'{"after": [' + b"9" * 2900 + b"]}",
    b'{"after": ["x"], "after": ["y"], "of": "z"}',
    b'{"after": ' + b"[" * 1400 + b"]" * 1400 + b"}",
    b"[" * 3000,
)
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
    """A fleet whose table service does not exist."""
    tables = "AccountName=a;AccountKey=aw==;TableEndpoint=http://127.0.0.1:9/a"
    services = Services(Settings.read({"STATUS_TABLES": tables, "IOT_HUB": "hub1.azure-devices.net"}))
    yield services.fleet()
    await services.close()


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def token(content: Any) -> str:
    return encoded(json.dumps(content).encode())


def content_of(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


LIMIT = f"limit takes a whole number from 1 to {MOST}"
TIME = "stuckBefore takes a time such as 2026-01-31T12:00:00Z"
COHORT = "cohort takes the name of a tag and its value, such as ring=canary"
NEXT = "next takes the value of `next` in the previous answer, with the same parameters"
ONE_OF_TWO = "the request takes either stuck or stuckBefore"


def unknown(*known: str) -> str:
    return f"the request has an unknown parameter: it takes {', '.join(known) or 'none'}"


@pytest.mark.parametrize(
    ("route", "query", "detail"),
    [
        (routes.devices, "limit=0", LIMIT),
        (routes.devices, "limit=201", LIMIT),
        (routes.devices, "limit=-1", LIMIT),
        (routes.devices, "limit=1.0", LIMIT),
        (routes.devices, "limit=%D9%A3", LIMIT),
        (routes.devices, "limit=5&limit=6", LIMIT),
        (routes.devices, "state=failed", f"state takes one of {', '.join(State)}"),
        (routes.devices, "state=", "state is empty: leave it out, or give a value"),
        (routes.devices, "reason=leak", f"reason takes one of {', '.join(Reason)}"),
        (routes.devices, "flag=red", f"flag takes one of {', '.join(Flag)}"),
        (routes.devices, "cause=backoff", "cause takes the causeId of a cause, 16 hexadecimal digits"),
        (routes.devices, "format=xml", "format takes json or csv"),
        (routes.devices, "stuck=false", "stuck takes true, or is left out"),
        (routes.devices, "stuck=true&stuck=true", "stuck takes true, or is left out"),
        (routes.devices, "Limit=5", unknown(*PARAMETERS, "limit", "next", "format")),
        (routes.devices, "x=", unknown(*PARAMETERS, "limit", "next", "format")),
        (routes.devices, f"deployment={'x' * 1025}", "deployment takes at most 1024 characters"),
        (routes.devices, f"image={'x' * 1025}", "image takes at most 1024 characters"),
        (routes.devices, f"prefix={'x' * 129}", "prefix takes at most 128 characters"),
        (routes.devices, f"cohort=a%3D{'x' * 255}", "cohort takes at most 256 characters"),
        (routes.devices, "cohort=canary", COHORT),
        (routes.devices, "cohort=%3Dcanary", COHORT),
        (routes.causes, f"deployment={'x' * 1025}", "deployment takes at most 1024 characters"),
        (routes.causes, "cohort=canary", COHORT),
        (routes.causes, "cohort=%3Dcanary", COHORT),
        (routes.causes, "cohort=ring%3D", COHORT),
        (
            routes.devices,
            "state=successful&reason=backoff",
            "state=successful and reason=backoff contradict: it has as_desired",
        ),
        (
            routes.devices,
            "state=pending&reason=as_desired",
            "reason=as_desired and state=pending contradict: only successful has that reason",
        ),
        (
            routes.devices,
            "state=successful&flag=version_regressed",
            "flag=version_regressed and state=successful contradict: only pending has that flag",
        ),
        (routes.device, "limit=5", unknown()),
        (routes.deployment, "limit=5", unknown("cohort")),
        (routes.transitions, "state=pending", unknown("limit", "next", "format")),
        (routes.modules, "", ONE_OF_TWO),
        (routes.modules, "stuck=true&stuckBefore=2026-01-01T00:00:00Z", ONE_OF_TWO),
        (routes.modules, "stuckBefore=2026-01-01", TIME),
        (routes.modules, "stuckBefore=2026-01-01T00:00:00", TIME),
        (routes.modules, "stuckBefore=2026-02-30T00:00:00Z", TIME),
        (routes.modules, "stuckBefore=0001-01-01T00:00:00%2B12:00", TIME),
        (routes.modules, "stuckBefore=2026-01-01T00:00:00+02:00", TIME),  # a space
        (routes.deployments, "next=x", NEXT),
        (routes.deployments, "next=%20", NEXT),
        (routes.deployments, f"next={'A' * 5000}", NEXT),
        *((routes.deployments, f"next={encoded(content)}", NEXT) for content in NO_TOKENS),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
async def test_a_wrong_parameter_is_named_with_what_it_takes_and_no_table_is_asked(
    unasked: Fleet, route: Route, query: str, detail: str
) -> None:
    answered = await ask(unasked, route, query, deviceId="one", deploymentId="at-scale1")
    assert answered.headers["Content-Type"] == "application/problem+json"
    assert (answered.status, answered.json) == (
        400,
        {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail},
    )


async def test_the_offset_of_a_time_counts_and_the_key_in_an_address_is_no_parameter(app: App) -> None:
    fleet = app.services.fleet()
    for query in ("stuckBefore=2999-01-01T02:00:00%2B02:00", "stuckBefore=2999-01-01T00:00:00.0Z&code=secret"):
        answered = await ask(fleet, routes.modules, query)
        assert [item["module"] for item in answered.json["items"]] == ["m1"]


async def test_a_token_is_valid_for_its_own_question_alone_whatever_the_limit(app: App) -> None:
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


@pytest.mark.parametrize("host", ["a[b", "[", "a]b", "\u2100", ""])
async def test_a_request_with_an_invalid_host_is_answered(unasked: Fleet, host: str) -> None:
    request = func.HttpRequest("GET", f"http://{host}/api/devices?limit=0", params={"limit": "0"}, body=b"")
    assert (await routes.devices(unasked, request)).status_code == 400


async def test_a_problem_quotes_nothing_of_the_request(app: App) -> None:
    fleet = app.services.fleet()
    for route, query in (
        (routes.devices, f"state={SECRET}"),
        (routes.devices, f"next={SECRET}"),
        (routes.devices, f"{SECRET}=1"),
        (routes.device, ""),
    ):
        answered = await ask(fleet, route, query, deviceId=SECRET)
        assert answered.status in (400, 404)
        assert SECRET not in answered.body.decode()
