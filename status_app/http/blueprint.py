"""The HTTP triggers of the app, as one Blueprint: which route answers what, and who may ask."""

from collections.abc import Awaitable, Callable
from typing import Final

import azure.functions as func

from status_app.http import routes
from status_app.http.page import fleet_page
from status_app.queries import Fleet

type _Answer = Callable[[Fleet, func.HttpRequest], Awaitable[func.HttpResponse]]
type _Trigger = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]

_KEY: Final = func.AuthLevel.FUNCTION
_ANYBODY: Final = func.AuthLevel.ANONYMOUS

ROUTES: Final[tuple[tuple[str, str, _Answer, func.AuthLevel], ...]] = (
    ("devices", "devices", routes.devices, _KEY),
    ("device", "devices/{deviceId}", routes.device, _KEY),
    ("transitions", "devices/{deviceId}/transitions", routes.transitions, _KEY),
    ("modules", "modules", routes.modules, _KEY),
    ("deployments", "deployments", routes.deployments, _KEY),
    ("deployment", "deployments/{deploymentId}", routes.deployment, _KEY),
    ("health", "health", routes.health, _ANYBODY),
)
"""Of each route of the API: the name of its function, its path, what answers it, and whether it takes a key."""


def http_blueprint(fleet: Callable[[], Fleet]) -> func.Blueprint:
    """The routes of the API, and the page, for one app.

    A new one each time: the worker library takes the functions of a Blueprint once.

    Args:
        fleet: Gives what is asked; called for each request.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]  # the library has no annotation there
    for name, path, answer, level in ROUTES:
        _add(blueprint, name, path, _asking(answer, fleet), level)
    _add(blueprint, "fleet", "fleet", _page, _KEY)
    return blueprint


def _add(blueprint: func.Blueprint, name: str, path: str, trigger: _Trigger, level: func.AuthLevel) -> None:
    route = blueprint.route(route=path, methods=["GET"], auth_level=level)
    blueprint.function_name(name)(route(trigger))


def _asking(answer: _Answer, fleet: Callable[[], Fleet]) -> _Trigger:
    async def trigger(req: func.HttpRequest) -> func.HttpResponse:
        return await answer(fleet(), req)

    return trigger


async def _page(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 (a binding)
    """The page that shows the fleet to a person."""
    page = fleet_page()
    return func.HttpResponse(page.body, headers=dict(page.headers))
