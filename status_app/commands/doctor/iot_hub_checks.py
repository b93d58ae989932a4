"""The IoT hub: does it answer, may the caller read twins, and does its route lead to the app."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any, Final

from status_app.commands.doctor.step import Step, ok, skipped, wrong
from status_app.errors import UnavailableError
from status_app.iothub.twins import TwinReader

NOBODY: Final = "edge-status-doctor-nobody"
"""A device that no hub has: reading its twin shows that twins can be read."""
AZ_PATIENCE: Final = 60.0
"""Seconds that a call of `az` may take."""

_ROLE: Final = 'az role assignment create --role "IoT Hub Data Reader" --assignee YOU --scope IOT_HUB_ID'
_UNAUTHORIZED: Final = ("answer 401", "answer 403")
_TIER: Final = "sku.tier"
_BASIC: Final = "Basic"
_AGENT: Final = '{"moduleId":"$edgeAgent"}'


async def check_twins(reader: TwinReader, hub: str) -> Step:
    """Read a twin that is not there, and query a page of those that are."""
    name, asked = f"IoT hub {hub}", "a twin, and a page of $edgeAgent twins"
    try:
        await reader.read(NOBODY)
        page = await reader.page(None)
    except UnavailableError as error:
        text = str(error)
        if any(word in text for word in _UNAUTHORIZED):
            return wrong(name, asked, f"access is refused ({error})", _ROLE)
        if "answer 429" in text:
            return wrong(name, asked, f"the hub throttles ({error})", "wait a minute, or add a unit to the hub")
        if "answer 4" in text:
            answer = f"it does not read twins ({error}): a hub of the basic tier has none"
            return wrong(name, asked, answer, f"az iot hub show --name {hub} --query {_TIER}")
        return wrong(name, asked, f"nothing answers at its address ({error})", "az iot hub list --query [].name")
    more = " or more" if page.continuation else ""
    return ok(name, asked, f"twins can be read; edge devices: {len(page.twins)}{more}")


async def check_route(hub: str) -> AsyncIterator[Step]:
    """Ask `az` what only the management API says: the tier, and whether a route takes twin changes of $edgeAgent."""
    show = ["iot", "hub", "show", "--name", hub]
    test = ["iot", "hub", "message-route", "test", "--hub-name", hub, "--source-type", "TwinChangeEvents"]
    test += ["--ap", _AGENT]
    name, asked = "route of twin changes", "az iot hub message-route test"
    by_hand = f"az iot hub message-route test --hub-name {hub} --source-type TwinChangeEvents --ap '{_AGENT}'"
    if shutil.which("az") is None:
        yield skipped(name, asked, "az is not installed here", by_hand)
        return
    found = await _az(show)
    if found is None:
        yield skipped(name, asked, "az is not signed in, or may not see the hub", "az login")
        return
    tier = str(_at(found, "sku", "tier"))
    if tier == _BASIC:
        yield wrong("tier of the IoT hub", "az iot hub show", "basic: it has no twins", "move to a hub of tier S1")
        return
    yield ok("tier of the IoT hub", "az iot hub show", tier.lower())
    matched = await _az(test)
    routes = [str(_at(item, "properties", "name")) for item in _list(matched, "routes")]
    routes = [route for route in routes if route != "$fallback"]
    if not routes:
        yield wrong(name, asked, "no route takes the twin changes of $edgeAgent", "sh scripts/route-iot-hub")
    else:
        yield ok(name, asked, f"taken by {', '.join(routes)}")


async def _az(arguments: list[str]) -> Any:
    """What `az` answers, as JSON; None where it fails. What it prints of an error is not shown: it may hold a token."""
    process = await asyncio.create_subprocess_exec(
        "az", *arguments, "--output", "json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(AZ_PATIENCE):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    try:
        return json.loads(printed) if process.returncode == 0 else None
    except ValueError:
        return None


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _list(value: Any, key: str) -> list[Any]:
    found = _at(value, key)
    return found if isinstance(found, list) else []
