"""How the app answers: headers, tags, an empty fleet, and a table service that fails."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from app_over_azurite import SECRET, App, fresh_app
from asking import Route, ask

from local.tables import TableProxy, table_proxy
from status_app.http import routes
from status_app.queries import Fleet
from status_app.services import Services
from status_app.settings import Settings
from status_app.storage import client

ROUTES: Final[dict[Route, str]] = {
    routes.devices: "",
    routes.device: "",
    routes.transitions: "",
    routes.modules: "stuck=true",
    routes.deployments: "",
    routes.deployment: "",
    routes.progress: "",
    routes.disagreements: "",
    routes.causes: "",
    routes.images: "",
    routes.agents: "",
}
"""Every route about the fleet, with a valid query."""
OF_ONE: Final = (routes.device, routes.transitions, routes.deployment, routes.progress, routes.disagreements)
"""Routes of one device or one deployment."""
PATH = {"deviceId": "one", "deploymentId": "at-scale1"}
SAFE = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry a failed request at once."""
    monkeypatch.setitem(client._RETRIES, "retry_backoff_factor", 0)  # noqa: SLF001 (seconds)


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables) as app:
        device = app.put("one", "048")
        app.hub.twins["one"] = {**app.hub.twins[device], "deviceId": "one"}
        await app.handle(app.event("one"))
        await app.flag_stuck()
        yield app


@pytest.fixture
async def empty(accounts: Iterator[str]) -> AsyncIterator[tuple[Fleet, TableProxy]]:
    """The fleet of a table service without tables, and the proxy of that service."""
    async with table_proxy(next(accounts)) as proxy:
        settings = {"STATUS_TABLES": proxy.connection_string, "IOT_HUB": "hub1.azure-devices.net"}
        services = Services(Settings.read(settings))
        yield services.fleet(), proxy
        await services.close()


async def test_an_answer_has_a_tag_and_a_client_that_sends_the_tag_gets_a_304(app: App) -> None:
    fleet = app.services.fleet()
    for route, query in ROUTES.items():
        answered = await ask(fleet, route, query, **PATH)
        tag = answered.headers["ETag"]
        assert answered.status == 200
        assert answered.headers == {**SAFE, "ETag": tag, "Content-Type": "application/json"}
        if route is routes.deployment:  # it is counted for each answer, and has the time of that
            continue
        for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            again = await ask(fleet, route, query, {"if-none-match": known}, **PATH)
            assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
            assert again.headers["Cache-Control"] == SAFE["Cache-Control"]
        for other in ('"x"', tag.strip('"'), f'"{tag}"', ""):
            assert (await ask(fleet, route, query, {"if-none-match": other}, **PATH)).status == 200


async def test_the_tag_of_a_device_changes_with_the_device(app: App) -> None:
    fleet = app.services.fleet()
    before = (await ask(fleet, routes.device, deviceId="one")).headers["ETag"]
    await app.handle(app.event("one"))
    assert (await ask(fleet, routes.device, deviceId="one")).headers["ETag"] == before
    twin = app.hub.twins["one"]
    app.hub.twins["one"] = {**twin, "version": 8, "configurations": {}}
    await app.handle(app.event("one"))
    assert (await ask(fleet, routes.device, "", {"if-none-match": before}, deviceId="one")).status == 200


async def test_a_problem_has_the_safe_headers_of_any_answer_and_no_tag(app: App) -> None:
    fleet = app.services.fleet()
    for answered in (
        await ask(fleet, routes.devices, "limit=0"),
        await ask(fleet, routes.device, "", {"if-none-match": "*"}, deviceId="two"),
    ):
        assert answered.headers == {**SAFE, "Content-Type": "application/problem+json"}


async def test_a_fleet_without_tables_is_empty_and_no_question_creates_one(empty: tuple[Fleet, TableProxy]) -> None:
    fleet, proxy = empty
    for route, query in ROUTES.items():
        answered = await ask(fleet, route, query, **PATH)
        if route in OF_ONE:
            assert answered.status == 404
        else:
            more = {"listedAt": None} if route == routes.deployments else {}
            assert answered.json == {"items": [], "next": None, **more}
    for query in ("state=pending", "deployment=x", "stuck=true", "stuck=true&deployment=x"):
        assert (await ask(fleet, routes.devices, query)).json == {"items": [], "next": None}
    assert (await ask(fleet, routes.modules, "stuckBefore=2999-01-01T00:00:00Z")).json["items"] == []
    assert "Tables" not in proxy.requests_of
    assert proxy.requests["write"] == 0


async def test_while_the_table_service_fails_each_route_answers_503_with_a_time_to_retry(
    app: App, tables: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        for route, query in ROUTES.items():
            proxy.faults.add("read", 503, 1000)
            answered = await ask(services.fleet(), route, query, **PATH)
            assert answered.status == 503
            assert answered.headers == {**SAFE, "Retry-After": "5", "Content-Type": "application/problem+json"}
            assert answered.json == {
                "type": "about:blank",
                "title": "Service Unavailable",
                "status": 503,
                "detail": "the table service does not answer now: try again later",
            }
            proxy.faults.clear()
            assert (await ask(services.fleet(), route, query, **PATH)).status == 200
        assert "tables is unavailable: answer 503" in caplog.text


@pytest.mark.parametrize("fault", ["refused", "cut", "throttled", "forbidden"])
async def test_every_kind_of_failure_of_the_table_service_is_a_503(app: App, tables: str, fault: str) -> None:
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        match fault:
            case "refused":
                await proxy.stop()
                await proxy.start()  # on another port
            case "cut":
                proxy.faults.cut("read", 1000)
            case "throttled":
                proxy.faults.add("read", 429, 1000, retry_after=0)
            case _:
                proxy.faults.add("read", 403, 1000)
        assert (await ask(services.fleet(), routes.device, deviceId="one")).status == 503
        answered = await ask(services.health, routes.health)
        assert (answered.status, answered.json) == (503, {"status": "tables_unavailable"})


async def test_a_failure_that_passes_is_retried_and_not_answered(app: App, tables: str) -> None:
    async with table_proxy(tables) as proxy:
        services = app.another(STATUS_TABLES=proxy.connection_string)
        proxy.faults.add("read", 503, 2)
        assert (await ask(services.fleet(), routes.device, deviceId="one")).status == 200


async def test_no_secret_of_a_twin_is_in_any_answer(app: App) -> None:
    twin: Any = app.hub.twins["one"]
    module = twin["properties"]["desired"]["modules"]["m1"]
    module["env"] = {"PASSWORD": {"value": SECRET}}
    module["settings"]["createOptions"] = f'{{"Env": ["TOKEN={SECRET}"]}}'
    twin["properties"]["desired"].setdefault("runtime", {})["settings"] = {
        "registryCredentials": {"r": {"username": "u", "password": SECRET, "address": "a"}}
    }
    twin["version"] += 1
    await app.handle(app.event("one"))
    for route, query in ROUTES.items():
        assert SECRET not in (await ask(app.services.fleet(), route, query, **PATH)).body.decode()
