"""The handlers of the routes. Their answers follow schemas/openapi.yaml."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import azure.functions as func

from status_app.http.next_token import next_token, read_token
from status_app.http.parameters import ParameterError, Parameters
from status_app.http.responses import Csv, NotFoundError, answered, plain
from status_app.listing.columns import (
    AGENTS,
    CAUSES,
    DEPLOYMENTS,
    DEVICES,
    DISAGREEMENTS,
    IMAGES,
    MODULES,
    TRANSITIONS,
    ListColumns,
)
from status_app.listing.csv_lines import csv_lines
from status_app.queries import Answer, DeviceFilter, Fleet, Page, Place
from status_app.queries.device_filter import PARAMETERS, read_cohort
from status_app.queries.exposition import CONTENT_TYPE, Exposition
from status_app.queries.health import OK, Health

_PAGED: Final = ("limit", "next", "format")
_NO_DEVICE: Final = "no device with this id is known"
_NO_CAUSE: Final = "no device has a cause with this id now: /causes lists all causes"
_NO_DEPLOYMENT: Final = "no deployment with this id is known: no device has it, and none ever had"


async def devices(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /devices."""

    async def answer() -> Answer | Csv:
        asked = _List(request, "devices", DEVICES, PARAMETERS)
        which = DeviceFilter.read(asked.parameters.words(PARAMETERS))
        return asked.answer(await fleet.devices(which, asked.after, asked.limit))

    return await answered(request, answer())


async def device(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /devices/{deviceId}."""

    async def answer() -> Answer:
        Parameters(request, ())
        return _found(await fleet.device(request.route_params["deviceId"]), _NO_DEVICE)

    return await answered(request, answer())


async def transitions(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /devices/{deviceId}/transitions."""

    async def answer() -> Answer | Csv:
        device_id = request.route_params["deviceId"]
        asked = _List(request, f"transitions of {device_id}", TRANSITIONS)
        return asked.answer(_found(await fleet.transitions(device_id, asked.after, asked.limit), _NO_DEVICE))

    return await answered(request, answer())


async def modules(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /modules."""

    async def answer() -> Answer | Csv:
        asked = _List(request, "modules", MODULES, ("stuck", "stuckBefore"))
        stuck, before = asked.parameters.flag("stuck"), asked.parameters.time("stuckBefore")
        if stuck is (before is not None):
            raise ParameterError("the request takes either stuck or stuckBefore")
        if before is None:
            return asked.answer(await fleet.stuck_modules(asked.after, asked.limit))
        return asked.answer(await fleet.modules_due(before, asked.after, asked.limit))

    return await answered(request, answer())


async def causes(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /causes."""

    async def answer() -> Answer | Csv:
        asked = _List(request, "causes", CAUSES, ("deployment", "cohort"))
        deployment, cohort = asked.parameters.text("deployment"), read_cohort(asked.parameters.words(("cohort",)))
        return asked.answer(await fleet.causes(deployment, cohort, asked.after, asked.limit))

    return await answered(request, answer())


async def cause_devices(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /causes/{causeId}/devices."""

    async def answer() -> Answer | Csv:
        cause = request.route_params["causeId"]
        asked = _List(request, f"devices of cause {cause}", DEVICES)
        return asked.answer(_found(await fleet.cause_devices(cause, asked.after, asked.limit), _NO_CAUSE))

    return await answered(request, answer())


async def images(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /images."""

    async def answer() -> Answer | Csv:
        asked = _List(request, "images", IMAGES)
        return asked.answer(await fleet.images(asked.after, asked.limit))

    return await answered(request, answer())


async def agents(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /agents."""

    async def answer() -> Answer | Csv:
        asked = _List(request, "agents", AGENTS)
        return asked.answer(await fleet.agents(asked.after, asked.limit))

    return await answered(request, answer())


async def deployments(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /deployments."""

    async def answer() -> Answer | Csv:
        asked = _List(request, "deployments", DEPLOYMENTS)
        return asked.answer(await fleet.deployments(asked.after, asked.limit))

    return await answered(request, answer())


async def deployment(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /deployments/{deploymentId}."""

    async def answer() -> Answer:
        cohort = read_cohort(Parameters(request, ("cohort",)).words(("cohort",)))
        return _found(await fleet.deployment(request.route_params["deploymentId"], cohort), _NO_DEPLOYMENT)

    return await answered(request, answer())


async def progress(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /deployments/{deploymentId}/progress."""

    async def answer() -> Answer:
        Parameters(request, ())
        return _found(await fleet.progress(request.route_params["deploymentId"]), _NO_DEPLOYMENT)

    return await answered(request, answer())


async def disagreements(fleet: Fleet, request: func.HttpRequest) -> func.HttpResponse:
    """GET /deployments/{deploymentId}/disagreements."""

    async def answer() -> Answer | Csv:
        deployment_id = request.route_params["deploymentId"]
        asked = _List(request, f"disagreements on {deployment_id}", DISAGREEMENTS)
        return asked.answer(_found(await fleet.disagreements(deployment_id, asked.after, asked.limit), _NO_DEPLOYMENT))

    return await answered(request, answer())


async def metrics(found: Exposition, request: func.HttpRequest) -> func.HttpResponse:
    """GET /metrics."""

    async def answer() -> str:
        Parameters(request, ())
        return await found.text()

    return await answered(request, answer(), CONTENT_TYPE)


async def health(found: Health, request: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 (like every route)
    """GET /health: one word for anyone, and nothing about the fleet."""
    word = await found.word()
    return plain(HTTPStatus.OK if word == OK else HTTPStatus.SERVICE_UNAVAILABLE, {"status": word})


async def health_details(found: Health, request: func.HttpRequest) -> func.HttpResponse:
    """GET /health/details: 200 whatever is wrong, because the request is answered."""

    async def answer() -> Answer:
        Parameters(request, ())
        return await found.details()

    return await answered(request, answer())


class _List:
    """A request for a page of a list.

    Raises:
        ParameterError: A parameter is wrong.
    """

    def __init__(self, request: func.HttpRequest, path: str, columns: ListColumns, names: Collection[str] = ()) -> None:
        self.parameters = Parameters(request, (*names, *_PAGED))
        self.limit = self.parameters.limit()
        self._is_csv = self.parameters.is_csv()
        self._path = path
        self._columns = columns
        self.after: Place | None = read_token(request.params.get("next"), path, self.parameters.question)

    def answer(self, page: Page) -> Answer | Csv:
        following = next_token(page.after, self._path, self.parameters.question)
        if not self._is_csv:
            return {"items": page.items, "next": following, **page.extra}
        asked = {**self.parameters.question, "limit": str(self.limit)}
        place = "" if following is None else urlencode({**asked, "next": following})
        return Csv(csv_lines(self._columns, page.items), place)


def _found[Found: (Answer, Page)](found: Found | None, detail: str) -> Found:
    if found is None:
        raise NotFoundError(detail)
    return found
