"""Checks the IoT hub: its address, the caller's access to twins, and the route to the app."""

import asyncio
import json
import shutil
from typing import Any, Final

from status_app.commands.doctor.step import Step, ok, skipped, wrong
from status_app.errors import UnavailableError
from status_app.iothub.twins import TwinReader

NOBODY: Final = "edge-status-doctor-nobody"
"""A device that no hub has: reading its twin shows whether twins can be read."""
AZ_PATIENCE: Final = 60.0
"""Seconds that a call of `az` may take."""

_ROLE: Final = 'az role assignment create --role "IoT Hub Data Reader" --assignee YOU --scope IOT_HUB_ID'
_UNAUTHORIZED: Final = ("answer 401", "answer 403")
_TIER: Final = "sku.tier"
_BASIC: Final = "Basic"
_STAND_IN: Final = "localhost"
_AGENT: Final = '{"moduleId":"$edgeAgent"}'


async def check_twins(reader: TwinReader, hub: str) -> Step:
    """Read a twin that does not exist, and query a page of those that do."""
    name, asked = f"IoT hub {hub}", "a twin, and a page of $edgeAgent twins"
    try:
        await reader.read(NOBODY)
        page = await reader.page(None)
    except UnavailableError as error:
        text = str(error)
        if "ClientAuthenticationError" in text:
            return wrong(name, asked, "nobody is signed in here", "az login")
        if any(word in text for word in _UNAUTHORIZED):
            return wrong(name, asked, f"access is refused ({error})", _ROLE)
        if "answer 429" in text:
            return wrong(name, asked, f"the hub throttles ({error})", "wait a minute, or add a unit to the hub")
        if "answer 4" in text:
            answer = f"it cannot read twins ({error}): a hub of the basic tier has none"
            return wrong(name, asked, answer, f"az iot hub show --name {hub} --query {_TIER}")
        return wrong(name, asked, f"nothing answers at its address ({error})", "az iot hub list --query [].name")
    more = " or more" if page.continuation else ""
    return ok(name, asked, f"twins can be read; edge devices: {len(page.twins)}{more}")


async def check_route(hub: str) -> list[Step]:
    """Ask `az` what only the management API knows: the tier, and whether a route takes twin changes of $edgeAgent."""
    name, asked = "route of twin changes", "az iot hub message-route test"
    by_hand = f"{asked} --hub-name {hub} --source-type TwinChangeEvents --ap '{_AGENT}'"
    if hub == _STAND_IN:
        return [skipped(name, asked, "the hub is a stand-in on this machine, which az does not know")]
    if shutil.which("az") is None:
        return [skipped(name, asked, "az is not installed here", by_hand)]
    found = await _az(["iot", "hub", "show", "--name", hub])
    if found is None:
        return [skipped(name, asked, "az is not signed in, or may not see the hub", "az login")]
    tier = str(_at(found, "sku", "tier"))
    if tier == _BASIC:
        return [wrong("tier of the IoT hub", "az iot hub show", "basic: it has no twins", "move to a hub of tier S1")]
    return [ok("tier of the IoT hub", "az iot hub show", tier.lower()), await _route(hub, name, asked, by_hand)]


async def _route(hub: str, name: str, asked: str, by_hand: str) -> Step:
    test = ["iot", "hub", "message-route", "test", "--hub-name", hub, "--source-type", "TwinChangeEvents"]
    matched = _at(await _az([*test, "--ap", _AGENT]), "routes")
    if not isinstance(matched, list):
        return skipped(name, asked, "az has no access to the hub's routes", by_hand)
    routes = [str(_at(item, "properties", "name")) for item in matched]
    routes = [route for route in routes if route != "$fallback"]
    if not routes:
        return wrong(name, asked, "no route takes the twin changes of $edgeAgent", "azd hooks run postprovision")
    return ok(name, asked, f"taken by {', '.join(routes)}")


async def _az(arguments: list[str]) -> Any:
    """Run `az` and parse its answer; None if it fails. Its error output is not shown: it may hold a token."""
    process = await asyncio.create_subprocess_exec(
        "az", *arguments, "--output", "json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(AZ_PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return json.loads(output) if process.returncode == 0 else None
    except ValueError:
        return None


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
