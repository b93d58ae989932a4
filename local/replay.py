"""Replays a scenario through the real app, and gives what came of it."""

import base64
import json
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from azure.data.tables import EntityProperty
from azure.data.tables.aio import TableServiceClient

from local.azurite import azurite_tables
from local.routed_event import RoutedEvent
from local.scenario import Step
from local.stack import Stack, running_stack


async def replay(steps: Iterable[Step]) -> dict[str, list[Any]]:
    """Run the steps, each to its end before the next.

    Returns:
        `rows` and `deadLetters`, the entities of both tables, and `events`, what was published.
    """
    steps = list(steps)
    times = [step.at for step in steps[:1]]
    with azurite_tables() as tables, tempfile.TemporaryDirectory() as folder:
        async with running_stack(Path(folder), tables, lambda: times[-1], routes=False) as stack:
            for step in steps:
                times.append(step.at)
                _take(stack, step)
                await stack.host.drained()
        async with TableServiceClient.from_connection_string(tables) as service:
            rows = await _entities(service, "DeploymentStatus")
            dead_letters = await _entities(service, "DeadLetter")
    return {"rows": rows, "events": [], "deadLetters": dead_letters}


def _take(stack: Stack, step: Step) -> None:
    """Do what a line says: change the hub, and send what its route would have sent, or what the line says."""
    content, before = step.content, len(stack.sent)
    if step.kind == "raw":
        properties = {key: str(value) for key, value in content.get("properties", {}).items()}
        stack.send(RoutedEvent(content["raw"].encode(), properties.get("deviceId", ""), properties))
        return
    if step.kind == "delete":
        stack.iot_hub.registry.delete(content["delete"])
    else:
        stack.iot_hub.registry.put(content["twin"])
    if not content.get("notify", True):
        return
    for event in stack.sent[before:]:
        sent = replace(event, body=_body(content["body"])) if "body" in content else event
        for _ in range(content.get("repeat", 1)):
            stack.send(sent)


def _body(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


async def _entities(service: TableServiceClient, name: str) -> list[dict[str, Any]]:
    entities = service.get_table_client(name).list_entities()
    return [{key: _plain(value) for key, value in entity.items()} async for entity in entities]


def _plain(value: Any) -> Any:
    if isinstance(value, EntityProperty):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
