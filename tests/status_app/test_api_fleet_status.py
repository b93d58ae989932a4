"""The client of the API over real sockets: what it retries, what it reports, and that it keeps the key to itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from api_over_tables import KEY, Api, running_api

from status_app.commands.fleet_status import RefusedError
from status_app.commands.fleet_status.api import RETRY, ApiFleetStatus
from status_app.errors import UnavailableError
from status_app.queries import Answer, DeviceFilter, Fleet, Page, Place

PROBLEM = {"Content-Type": "application/problem+json"}
JSON = {"Content-Type": "application/json"}


class OneDevice(Fleet):
    """A fleet that knows every device and every deployment, in place of tables."""

    def __init__(self) -> None:
        pass

    async def deployment(self, deployment_id: str, _cohort: str | None = None) -> Answer | None:
        return {"deploymentId": deployment_id}

    async def devices(self, asked: DeviceFilter, _after: Place | None, _limit: int) -> Page:
        return Page([{"deviceId": asked.deployment}])

    async def device(self, device_id: str) -> Answer | None:
        return {"deviceId": device_id}


class World:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.waits: list[float] = []
        self.fleet = self.client(KEY)

    def client(self, key: str | None, **options: float) -> ApiFleetStatus:
        return ApiFleetStatus(self.api.url, key, sleep=self._sleep, **options)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_api(OneDevice()) as api:
        world = World(api)
        yield world
        await world.fleet.close()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_an_error_that_may_pass_is_retried(world: World, status: int) -> None:
    world.api.answers = [(status, {}, "busy")] * (RETRY.attempts - 1)
    assert await world.fleet.device("d") == {"deviceId": "d"}
    assert len(world.waits) == RETRY.attempts - 1


async def test_after_the_last_attempt_it_is_unavailable(world: World) -> None:
    world.api.answers = [(503, {}, "busy")] * RETRY.attempts
    with pytest.raises(UnavailableError, match=r"^the API is unavailable: answer 503$"):
        await world.fleet.device("d")
    assert len(world.api.requests) == RETRY.attempts


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("86400", RETRY.longest_wait, RETRY.longest_wait),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 2),
        ("soon", 0, 2),
    ],
)
async def test_a_requested_wait_is_kept_within_bounds(world: World, header: str, least: float, most: float) -> None:
    world.api.answers = [(503, {"Retry-After": header}, "")]
    await world.fleet.device("d")
    (wait,) = world.waits
    assert least <= wait <= most


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (403, {}, "<html>Site Disabled</html>", "the app is stopped"),
        (404, {}, "", "no API at this address"),
        (302, {"Location": "https://login.example.com/"}, "", "redirects"),
        (400, PROBLEM, '{"detail": "state takes one of nine words"}', "state takes one of nine words"),
        (400, {}, "<html>", "answer 400"),
        (400, PROBLEM, "<html>", "not the API's"),
        (200, JSON, "[]", "not the API's"),
        (200, JSON, "{", "not the API's"),
        (200, {"Content-Type": "text/html"}, "<html>Sign in</html>", "not the API's"),
    ],
)
async def test_an_error_that_no_wait_repairs_is_reported_at_once(
    world: World, status: int, headers: dict[str, str], body: str, message: str
) -> None:
    world.api.answers = [(status, headers, body)]
    with pytest.raises(RefusedError, match=message) as raised:
        await world.fleet.device("d")
    assert world.waits == []
    assert KEY not in str(raised.value)


async def test_a_list_whose_items_are_no_list_is_reported(world: World) -> None:
    world.api.answers = [(200, JSON, '{"items": 5}')]
    with pytest.raises(RefusedError, match="not the API's"):
        await world.fleet.transitions("d", 5)


async def test_a_key_that_is_wrong_or_missing_is_reported_and_not_shown(world: World) -> None:
    for key in (None, "hunter2-wrong"):
        fleet = world.client(key)
        with pytest.raises(RefusedError, match="set DEPLOYMENT_STATUS_KEY") as raised:
            await fleet.device("d")
        assert "hunter2" not in str(raised.value)
        await fleet.close()
    assert world.waits == []


async def test_a_redirect_does_not_take_the_key_along(world: World) -> None:
    async with running_api(OneDevice()) as other:
        world.api.answers = [(307, {"Location": f"{other.url}/api/devices/d"}, "")]
        with pytest.raises(RefusedError):
            await world.fleet.device("d")
        assert other.requests == []


async def test_an_api_that_is_off_is_unavailable_until_it_is_on_again(world: World) -> None:
    await world.api.stop()
    with pytest.raises(UnavailableError, match="no connection"):
        await world.fleet.device("d")
    await world.api.start()
    assert await world.fleet.device("d") == {"deviceId": "d"}


async def test_an_api_that_is_silent_is_unavailable(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    over = asyncio.Event()

    async def silent(_request: object) -> None:
        await over.wait()

    monkeypatch.setattr(world.api, "_answer", silent)
    fleet = world.client(KEY, timeout=0.1)
    with pytest.raises(UnavailableError, match="no answer within"):
        await fleet.device("d")
    over.set()
    await fleet.close()


async def test_any_name_goes_whole_into_an_address(world: World) -> None:
    name = "a b/c?d#e%20'f&g=h+\u00e4"
    assert await world.fleet.device(name) == {"deviceId": name}
    assert await world.fleet.deployment(name) == {"deploymentId": name}
    assert [item async for item in world.fleet.devices(name)] == [{"deviceId": name}]


async def test_the_proxy_of_the_environment_is_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", world.api.url)
    fleet = ApiFleetStatus("http://nowhere.invalid", KEY)
    assert await fleet.device("d") == {"deviceId": "d"}
    await fleet.close()
