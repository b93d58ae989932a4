"""Replay a scenario through the real app, and return the results."""

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import EntityProperty
from azure.data.tables.aio import TableServiceClient

from local.clock import utc_now
from local.notice_board import NoticeBoard
from local.published import published
from local.routed_event import RoutedEvent
from local.scenario import Step
from local.stack import TRANSITIONS, Stack, running_stack
from local.tables import TableProxy, table_proxy

PATIENCE: Final = 120.0
"""Seconds for everything that one line causes. The app's own retries end well before."""


class ReplayError(Exception):
    """The replay did not finish. The message says where it stopped."""


async def replay(steps: Iterable[Step], tables: str, *, patience: float = PATIENCE) -> dict[str, list[Any]]:
    """Run the steps, one after the other.

    Exceptions of the app's functions are logged and do not stop the replay, as in Azure.

    Args:
        steps: The steps.
        tables: Connection string of an empty table service, over plain HTTP.
        patience: Seconds for each step, and for reading the results.

    Returns:
        `rows` and `deadLetters`: the entities of both tables. `events`: the published events. `deployments`: the answer
            of `/api/deployments`. `notices`: the messages sent to people.

    Raises:
        ReplayError: A step did not finish in time.
    """
    steps = list(steps)
    settings = steps.pop(0).content["settings"] if steps and steps[0].kind == "settings" else {}
    times = [steps[0].at if steps else utc_now()]
    with tempfile.TemporaryDirectory() as folder:
        async with (
            table_proxy(tables) as proxy,
            running_stack(
                Path(folder),
                proxy.connection_string,
                lambda: times[-1],
                routes=False,
                own_settings=settings,
                notifies=True,
            ) as stack,
        ):
            stack.iot_hub.give_list(None)
            for step in steps:
                times.append(step.at)
                async with _within(patience, f"line {step.line}: the app is not done with it"):
                    await _take(stack, proxy, step)
                    await stack.drained()
            async with _within(patience, f"the events of {TRANSITIONS} have not been received"):
                events = await published(stack.event_hubs, TRANSITIONS)
            async with _within(patience, "the deployments have not been read"):
                deployments = await _deployments(stack)
            notices = [notice.shown for notice in _board(stack).posted]
        async with (
            _within(patience, "the tables have not been read"),
            TableServiceClient.from_connection_string(tables) as service,
        ):
            rows = await _entities(service, "DeploymentStatus")
            dead_letters = await _entities(service, "DeadLetter")
    return {
        "rows": rows,
        "events": events,
        "deadLetters": dead_letters,
        "deployments": deployments,
        "notices": notices,
    }


@asynccontextmanager
async def _within(seconds: float, otherwise: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ReplayError(f"{otherwise} after {seconds:g} seconds") from None


async def _take(stack: Stack, proxy: TableProxy, step: Step) -> None:
    """Execute a step."""
    content = step.content
    match step.kind:
        case "run":
            await stack.host.run_timer(content["run"])
        case "fault":
            _order(stack, proxy, content["fault"])
        case "deployments":
            stack.iot_hub.give_list(content["deployments"])
        case "device":
            stack.iot_hub.registry.set_tags(content["device"]["deviceId"], content["device"]["tags"])
        case "raw":
            properties = content.get("properties", {})
            event = RoutedEvent(_body(content["raw"]), properties.get("deviceId", ""), properties)
            _send(stack, [event], content)
        case _:
            _change(stack, content)


def _change(stack: Stack, content: Mapping[str, Any]) -> None:
    """Change the hub, and send the events of its route, or those of the line."""
    registry, before = stack.iot_hub.registry, len(stack.sent)
    if "twin" in content:
        registry.put(content["twin"])
    else:
        if registry.get(content["delete"]) is None:  # it is deleted already, and notified again
            registry.put({"deviceId": content["delete"]}, notify=False)
        registry.delete(content["delete"])
    events = stack.sent[before:]
    if "body" in content:
        events = [replace(event, body=_body(content["body"])) for event in events]
    if content.get("notify", True):
        _send(stack, events, content)


def _send(stack: Stack, events: Iterable[RoutedEvent], content: Mapping[str, Any]) -> None:
    for event in events:
        for _ in range(content.get("repeat", 1)):
            stack.send(event)


def _order(stack: Stack, proxy: TableProxy, fault: Mapping[str, Any]) -> None:
    """Schedule failures of the next calls of a service."""
    op, count = fault["op"], fault.get("count", 1)
    if fault["service"] == "transitions":
        stack.event_hubs.faults.refuse_calls(TRANSITIONS, count)
        return
    of_services: Mapping[str, Any] = {
        "tables": proxy.faults,
        "iothub": stack.iot_hub.faults,
        "notify": _board(stack).faults,
    }
    faults = of_services[fault["service"]]
    if fault.get("cut"):
        faults.cut(op, count)
    else:
        faults.add(op, fault.get("status", HTTPStatus.SERVICE_UNAVAILABLE), count, retry_after=fault.get("retryAfter"))


def _board(stack: Stack) -> NoticeBoard:
    assert stack.board is not None  # noqa: S101 (the stack was started with it)
    return stack.board


def _body(body: Any) -> bytes:
    return body.encode(errors="surrogatepass") if isinstance(body, str) else json.dumps(body).encode()


async def _deployments(stack: Stack) -> list[Any]:
    """Return all pages of the API's list."""
    found: list[Any] = []
    query: dict[str, str] = {"limit": "200"}
    async with ClientSession() as session:
        while True:
            async with session.get(f"{stack.api}/deployments", params=query) as response:
                page = await response.json()
            found += page["items"]
            if page["next"] is None:
                return found
            query["next"] = page["next"]


async def _entities(service: TableServiceClient, name: str) -> list[dict[str, Any]]:
    """Return all rows of a table; empty if the app did not create it."""
    entities = service.get_table_client(name).list_entities()
    try:
        return [{key: _plain(value) for key, value in entity.items()} async for entity in entities]
    except ResourceNotFoundError:
        return []


def _plain(value: Any) -> Any:
    if isinstance(value, EntityProperty):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
