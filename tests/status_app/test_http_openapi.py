"""schemas/openapi.yaml describes the answers of the app: its words, its properties, and what schemathesis asks."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call
from asking import ask
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # as above
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from yarl import URL

from local.stack import Stack, running_stack
from status_app.fleet_index.leading_cause import cause_id
from status_app.http import parameters, routes
from status_app.services import services
from status_app.status_table.rows import EVIDENCE_LIMIT
from status_core import Flag, Kind, Milestone, ModuleState, Portal, Reason, Standing, State, evaluate

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "schemas/openapi.yaml"
API = yaml.safe_load(DOCUMENT.read_text())
SCHEMAS = API["components"]["schemas"]
TWIN = json.loads((ROOT / "tests/cases/048_200_module_backoff.json").read_text())["twin"]
KEY = "a-key"
ODD = "-.+%_#*?!(),:=@$'aZ9"
"""Every kind of character that IoT Hub allows in the id of a device."""
IDS = (ODD, "a%2Fb", "a+b", "a%b", "50%25", "...", "?", "#", "%", "edge-01", "~X")
CAUSE = cause_id(str(evaluate(TWIN).cause))
OUTCOMES = {"200", "304", "400", "401", "404", "503"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tables: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The app at a time soon after the twin's, and then an hour later."""
    now = datetime.fromisoformat("2024-05-02T09:10:00Z")
    async with running_stack(tmp_path_factory.mktemp("stack"), tables, lambda: now, function_key=KEY) as stack:
        for device in IDS[:-1]:
            stack.iot_hub.registry.put(TWIN | {"deviceId": device})
        await stack.drained()
        now += timedelta(hours=1)
        await stack.host.run_timer("flag_stuck")
        await stack.host.run_timer("resync")
        yield stack


async def get(stack: Stack, path: str, **headers: str) -> tuple[int, Any]:
    """The answer to a path that is sent as it is."""
    async with (
        aiohttp.ClientSession(headers={"x-functions-key": KEY} | headers) as session,
        session.get(URL(stack.api + path, encoded=True)) as response,
    ):
        return response.status, json.loads(await response.read() or "null")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_device_of_any_legal_id_is_found_by_its_percent_encoded_path(stack: Stack) -> None:
    for device in IDS[:-1]:
        path = f"/devices/{quote(device, safe='')}"
        status, answer = await get(stack, path)
        assert (status, answer["deviceId"]) == (200, device)
        status, answer = await get(stack, f"{path}/transitions?limit=1")
        assert (status, answer["items"][0]["eventId"]) == (200, f"localhost/{device}/{answer['items'][0]['sequence']}")
    assert (await get(stack, f"/devices/{IDS[-1]}"))[0] == 404
    found, path = [], "/devices?limit=3"
    while path:
        _, answer = await get(stack, path)
        found += [item["deviceId"] for item in answer["items"]]
        path = f"/devices?limit=3&next={answer['next']}" if answer["next"] else ""
    assert sorted(found) == sorted(IDS[:-1])


@pytest.mark.asyncio(loop_scope="module")
async def test_every_route_but_health_and_the_page_needs_the_key(stack: Stack) -> None:
    functions = {
        function.trigger["route"]: function
        for function in stack.host.functions.values()
        if function.trigger["type"] == "httpTrigger"
    }
    levels = {route: str(function.trigger["authLevel"]).lower() for route, function in functions.items()}
    assert {route for route, level in levels.items() if level != "function"} == {"health", "fleet"}
    assert levels["health"] == levels["fleet"] == "anonymous"
    before = len(stack.host.invocations)
    async with aiohttp.ClientSession() as session:
        for route in functions.keys() - {"health", "fleet"}:
            url = f"{stack.api}/{re.sub('{.*?}', 'edge-01', route)}"
            for headers, query in (
                ({}, ""),
                ({}, "?code="),
                ({}, "?code=another"),
                ({}, f"?Code={KEY}"),
                ({"x-functions-key": "another"}, ""),
                ({"x-functions-key": "another"}, f"?code={KEY}"),
                ({"x-functions-key": KEY.upper()}, ""),
                ({"Authorization": f"Bearer {KEY}"}, ""),
            ):
                async with session.get(url + query, headers=headers) as response:
                    assert (response.status, await response.read()) == (401, b""), (url, headers, query)
        assert len(stack.host.invocations) == before
        async with session.get(f"{stack.api}/health") as response:
            assert response.status == 200
        async with session.get(f"{stack.api}/devices?code={KEY}") as response:
            assert response.status == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_a_request_of_any_length_is_answered_or_refused(stack: Stack) -> None:
    """Paths, parameters and headers up to what a host takes, which is 8 KiB here, and a body of megabytes."""
    before = len(stack.host.invocations)
    long = "x" * 7000
    expected = {
        f"/devices/{long}": 404,
        f"/devices/{long}/transitions": 404,
        f"/deployments/{long}": 404,
        f"/devices?deployment={long}": 400,
        f"/devices?next={long}": 400,
        f"/devices?{long}=1": 400,
        f"/devices?{'limit=1&' * 800}": 400,
        f"/modules?stuckBefore={'9' * 7000}": 400,
    }
    for path, status in expected.items():
        found, answer = await get(stack, path)
        assert (found, answer["status"]) == (status, status)
        assert long not in json.dumps(answer)
    assert (await get(stack, "/devices", **{"if-none-match": '"' * 7000}))[0] == 200
    assert (await get(stack, "/devices", **{"x-functions-key": "k" * 7000}))[0] == 401
    async with (
        aiohttp.ClientSession(headers={"x-functions-key": KEY}) as session,
        session.get(f"{stack.api}/devices", data=BytesIO(b"[" * 5_000_000)) as response,
    ):
        assert response.status == 200
    assert all(outcome.ok for outcome in list(stack.host.invocations)[before:])


@pytest.mark.asyncio(loop_scope="module")
async def test_schemathesis_finds_nothing(stack: Stack, tmp_path: Path) -> None:
    excluded = (
        "unsupported_method",  # the host answers 404, and not 405, to a method that no function has
        "missing_required_header",  # no header is required but the key, which ignored_auth looks at
    )
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT)),
        *("--url", stack.api),
        *("--header", f"x-functions-key: {KEY}"),
        *("--checks", "all"),
        *("--exclude-checks", ",".join(excluded)),
        *("--max-examples", "10"),
        *("--seed", "1"),
        *("--no-color", "--no-shrink"),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    printed = (await process.stdout.read()).decode()
    assert await process.wait() == 0, printed[-10_000:]
    assert f"Tested: {sum(len(path) for path in API['paths'].values())}" in printed
    assert [outcome for outcome in stack.host.invocations if not outcome.ok] == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.usefixtures("stack")
async def test_an_answer_holds_what_its_schema_names_and_nothing_else() -> None:
    fleet = services().fleet()
    for operation, route, query in (
        ("/devices", routes.devices, ""),
        ("/devices/{deviceId}", routes.device, ""),
        ("/devices/{deviceId}/transitions", routes.transitions, ""),
        ("/modules", routes.modules, "stuck=true"),
        ("/causes", routes.causes, ""),
        ("/causes/{causeId}/devices", routes.cause_devices, ""),
        ("/images", routes.images, ""),
        ("/agents", routes.agents, ""),
        ("/deployments", routes.deployments, ""),
        ("/deployments/{deploymentId}", routes.deployment, ""),
        ("/deployments/{deploymentId}/progress", routes.progress, ""),
        ("/deployments/{deploymentId}/disagreements", routes.disagreements, ""),
    ):
        answered = await ask(fleet, route, query, deviceId="edge-01", deploymentId="at-scale1", causeId=CAUSE)
        schema = content(API["paths"][operation]["get"]["responses"]["200"])["schema"]
        assert strangers(answered.json, schema) == []
        assert answered.json.get("items", True)
    health = services().health
    for operation, answered in (
        ("/health", await ask(health, routes.health)),
        ("/health/details", await ask(health, routes.health_details)),
    ):
        schema = content(API["paths"][operation]["get"]["responses"]["200"])["schema"]
        assert strangers(answered.json, schema) == []


def content(response: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = response["content"]["application/json"]
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with all references and parts in place; of a value that may be null, the schema of the value."""
    if "$ref" in schema:
        return resolved(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return resolved(schema["anyOf"][0])
    properties = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        properties |= resolved(part)["properties"]
    return {**schema, "properties": properties}


def strangers(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """The places where a value has other properties than its schema names."""
    schema = resolved(schema)
    if isinstance(value, list):
        return [found for item in value for found in strangers(item, schema["items"], f"{path}[]")]
    if not isinstance(value, dict):
        return []
    if "additionalProperties" in schema:
        return [
            found for item in value.values() for found in strangers(item, schema["additionalProperties"], f"{path}.*")
        ]
    if value.keys() != schema["properties"].keys():
        return [f"{path}: {value.keys() ^ schema['properties'].keys()}"]
    return [
        found for name, item in value.items() for found in strangers(item, schema["properties"][name], f"{path}.{name}")
    ]


def test_the_document_has_the_words_of_the_code() -> None:
    summary = SCHEMAS["DeviceSummary"]["properties"]
    assert SCHEMAS["State"]["enum"] == list(State)
    assert SCHEMAS["ModuleState"]["enum"] == list(ModuleState)
    assert summary["flags"]["items"]["enum"] == list(Flag)
    asked = {item.get("name"): item for item in API["paths"]["/devices"]["get"]["parameters"]}
    assert asked["reason"]["schema"]["enum"] == list(Reason)
    assert asked["flag"]["schema"]["enum"] == list(Flag)
    assert summary["portal"]["enum"] == [*Portal, None]
    assert SCHEMAS["Transition"]["properties"]["kind"]["enum"] == list(Kind)
    assert SCHEMAS["Disagreement"]["properties"]["portal"]["enum"] == list(Portal)
    assert SCHEMAS["Disagreement"]["properties"]["standing"]["enum"] == list(Standing)
    assert SCHEMAS["Milestones"]["propertyNames"]["enum"] == list(Milestone)
    assert SCHEMAS["Evidence"]["maxItems"] == EVIDENCE_LIMIT
    limit = API["components"]["parameters"]["limit"]["schema"]
    assert (limit["default"], limit["maximum"]) == (parameters.DEFAULT, parameters.MOST)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_document_has_every_route_of_the_app_with_every_outcome(stack: Stack) -> None:
    triggers = [function.trigger for function in stack.host.functions.values()]
    routes_of_the_app = {f"/{trigger['route']}" for trigger in triggers if trigger["type"] == "httpTrigger"}
    assert routes_of_the_app - {"/fleet"} == set(API["paths"])  # the page is for people
    for path, methods in API["paths"].items():
        assert list(methods) == ["get"]
        has_id = "{" in path
        for operation in methods.values():
            expected = OUTCOMES - (set() if has_id else {"404"})
            if path.startswith("/health"):
                expected = {"200", "503"} if path == "/health" else expected - {"503"}
            assert set(operation["responses"]) == expected


@pytest.mark.parametrize("path", [path for path in API["paths"] if path != "/metrics"])  # it is no JSON
def test_every_example_of_the_document_is_valid_by_its_schema(path: str) -> None:
    registry: Any = Registry().with_resource("urn:openapi", DRAFT202012.create_resource(API))
    pointer = path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    found = content(API["paths"][path]["get"]["responses"]["200"])
    values = [example["value"] for example in found.get("examples", {}).values()] or [found["example"]]
    reference = f"urn:openapi#/paths/{pointer}/get/responses/200/content/application~1json/schema"
    for value in values:
        Draft202012Validator({"$ref": reference}, registry=registry).validate(value)
        assert strangers(value, found["schema"]) == []
