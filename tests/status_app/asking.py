"""Asks the routes of the app, with requests as the host makes them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import azure.functions as func

from status_app.queries import Fleet

type Route[Source = Fleet] = Callable[[Source, func.HttpRequest], Awaitable[func.HttpResponse]]


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask[Source](
    source: Source, route: Route[Source], query: str = "", headers: Mapping[str, str] | None = None, /, **path: str
) -> Answered:
    """The answer of a route. The host joins values of one name, and leaves out empty ones."""
    params: dict[str, str] = {}
    for name, value in parse_qsl(query):
        params[name] = f"{params[name]},{value}" if name in params else value
    url = f"https://app.azurewebsites.net/api/x?{query}"
    request = func.HttpRequest("GET", url, headers=headers, params=params, route_params=path, body=b"")
    response = await route(source, request)
    return Answered(response.status_code, {**response.headers, "Content-Type": response.mimetype}, response.get_body())


async def pages(
    fleet: Fleet, route: Route, /, *, most: int = 100, path: Mapping[str, str] | None = None, **query: Any
) -> list[list[Any]]:
    """The pages of a list to its end; none is longer than its limit."""
    found: list[list[Any]] = []
    asked = {name: str(value) for name, value in query.items()}
    while len(found) < most:
        answered = await ask(fleet, route, urlencode(asked), **(path or {}))
        assert answered.status == 200, answered.body
        assert len(answered.json["items"]) <= int(asked.get("limit", 50))
        found.append(answered.json["items"])
        if answered.json["next"] is None:
            return found
        asked["next"] = answered.json["next"]
    raise AssertionError(f"the list does not end in {most} pages")


async def listed(fleet: Fleet, route: Route, /, path: Mapping[str, str] | None = None, **query: Any) -> list[Any]:
    """The items of all pages."""
    return [item for page in await pages(fleet, route, path=path, **query) for item in page]
