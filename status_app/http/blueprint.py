"""The HTTP triggers of the app as one Blueprint: the routes, their handlers, and their access levels."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Protocol

import azure.functions as func

from status_app.http import routes
from status_app.http.methods import METHODS, Trigger, served
from status_app.http.page import fleet_page
from status_app.http.responses import is_known
from status_app.queries import Fleet
from status_app.queries.exposition import Exposition
from status_app.queries.health import Health


class Sources(Protocol):
    """What the routes read from."""

    @property
    def health(self) -> Health:
        """The health of the app itself."""

    @property
    def exposition(self) -> Exposition:
        """The metrics of the fleet and the app."""

    def fleet(self) -> Fleet:
        """Return the queries of the fleet."""


type _Answer = Callable[[Sources, func.HttpRequest], Awaitable[func.HttpResponse]]

_KEY: Final = func.AuthLevel.FUNCTION
_ANYBODY: Final = func.AuthLevel.ANONYMOUS


def _fleet(answer: Callable[[Fleet, func.HttpRequest], Awaitable[func.HttpResponse]]) -> _Answer:
    return lambda sources, request: answer(sources.fleet(), request)


def _health(answer: Callable[[Health, func.HttpRequest], Awaitable[func.HttpResponse]]) -> _Answer:
    return lambda sources, request: answer(sources.health, request)


ROUTES: Final[tuple[tuple[str, str, _Answer, func.AuthLevel], ...]] = (
    ("devices", "devices", _fleet(routes.devices), _KEY),
    ("device", "devices/{deviceId}", _fleet(routes.device), _KEY),
    ("transitions", "devices/{deviceId}/transitions", _fleet(routes.transitions), _KEY),
    ("modules", "modules", _fleet(routes.modules), _KEY),
    ("causes", "causes", _fleet(routes.causes), _KEY),
    ("cause_devices", "causes/{causeId}/devices", _fleet(routes.cause_devices), _KEY),
    ("images", "images", _fleet(routes.images), _KEY),
    ("agents", "agents", _fleet(routes.agents), _KEY),
    ("deployments", "deployments", _fleet(routes.deployments), _KEY),
    ("deployment", "deployments/{deploymentId}", _fleet(routes.deployment), _KEY),
    ("progress", "deployments/{deploymentId}/progress", _fleet(routes.progress), _KEY),
    ("disagreements", "deployments/{deploymentId}/disagreements", _fleet(routes.disagreements), _KEY),
    ("metrics", "metrics", lambda sources, request: routes.metrics(sources.exposition, request), _KEY),
    ("health", "health", _health(routes.health), _ANYBODY),
    ("health_details", "health/details", _health(routes.health_details), _KEY),
)
"""Each route of the API: the name of its function, its path, its handler, and its access level."""


def http_blueprint(sources: Callable[[], Sources]) -> func.Blueprint:
    """Create the routes of the API, and the page, for one app.

    Each app needs a new Blueprint: the worker library accepts its functions only once.

    Args:
        sources: Returns what the routes read from; called for each request.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]  # the library has no annotation there
    for name, path, answer, level in ROUTES:
        _add(blueprint, name, path, _trigger(answer, sources), level)
    _add(blueprint, "fleet", "fleet", _page, _ANYBODY)
    return blueprint


def _add(blueprint: func.Blueprint, name: str, path: str, trigger: Trigger, level: func.AuthLevel) -> None:
    route = blueprint.route(route=path, methods=METHODS, auth_level=level)
    blueprint.function_name(name)(route(served(trigger)))


def _trigger(answer: _Answer, sources: Callable[[], Sources]) -> Trigger:
    async def trigger(req: func.HttpRequest) -> func.HttpResponse:
        return await answer(sources(), req)

    return trigger


async def _page(req: func.HttpRequest) -> func.HttpResponse:
    """Serve the page for people. It holds no data, so it needs no key."""
    page = fleet_page()
    if is_known(page.headers["ETag"], req.headers.get("if-none-match", "")):
        return func.HttpResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=dict(page.headers))
    return func.HttpResponse(page.body, headers=dict(page.headers))
