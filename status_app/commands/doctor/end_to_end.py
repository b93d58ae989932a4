"""`doctor --end-to-end`: follows its own device from the IoT hub to row, index, event and API.

Whatever happens, Ctrl-C included, the device and its rows are deleted again.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from azure.core.exceptions import HttpResponseError

from status_app.commands.doctor.device_writes import DeviceWrites, HubRefusalError
from status_app.commands.doctor.followed_device import FollowedDevice, published_event
from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status.api import ApiFleetStatus
from status_app.commands.fleet_status.choose_source import api_address
from status_app.commands.terminal import printable
from status_app.errors import UnavailableError
from status_app.iothub.doctors_device import PREFIX
from status_app.settings import Settings
from status_app.storage.client import table_service

PATIENCE: Final = 120.0
"""Seconds for each step: a route to an event hub and a cold start of the app together take a minute."""

_FOR_ALL: Final = "*"


async def end_to_end(  # noqa: PLR0913 (three of them keyword-only)
    environment: Mapping[str, str],
    echo: Callable[[str], object],
    confirm: Callable[[], bool],
    *,
    url: str | None = None,
    key: str | None = None,
    patience: float = PATIENCE,
) -> ExitCode:
    """Create a device, apply a deployment to it, follow it, and remove everything again.

    Args:
        environment: The settings of the app; DEPLOYMENT_STATUS_URL and DEPLOYMENT_STATUS_KEY to check the API too.
        echo: Prints a line.
        confirm: Asks whether to go on, after the deployments are printed that would take the device.
        url: The app's address, instead of the environment's.
        key: A function key, instead of the environment's.
        patience: Seconds for each step.

    Returns:
        OK, or FAILED if a step did not happen in time, or something could not be removed.

    Raises:
        SettingError: A setting is missing or wrong.
    """
    settings, address = Settings.read(environment), api_address(environment, url, key)
    device_id = PREFIX + secrets.token_hex(4)
    try:
        writes = await asyncio.to_thread(DeviceWrites, settings.iot_hub)
        taking = [
            f"{name} ({condition})"
            for name, condition in await asyncio.to_thread(writes.deployments)
            if _may_take(condition)
        ]
    except (HubRefusalError, UnavailableError) as error:
        echo(printable(f"WRONG    IoT hub: {error}"))
        return ExitCode.FAILED
    echo(printable(f"creates the edge device {device_id} in {settings.hub}, and deletes it again"))
    echo(printable(f"deployments that may take it meanwhile: {', '.join(taking) or 'none'}"))
    if not confirm():
        return ExitCode.FAILED
    async with table_service(settings.tables) as service:
        device = FollowedDevice(service, device_id, patience)
        try:
            code = await _follow(device, writes, settings, address, echo)
        except (HubRefusalError, UnavailableError) as error:
            echo(printable(f"WRONG    IoT hub: {error}"))
            code = ExitCode.FAILED
        finally:
            is_clean = not writes.may_be_there or await _remove(device, writes, echo)
    return code if is_clean else ExitCode.FAILED


async def _follow(
    device: FollowedDevice,
    writes: DeviceWrites,
    settings: Settings,
    address: tuple[str | None, str | None],
    echo: Callable[[str], object],
) -> ExitCode:
    began = time.monotonic()
    await _to_its_end(writes.create, device.device_id)
    async with AsyncExitStack() as followed:
        event = None
        if settings.transitions is not None:
            event = await followed.enter_async_context(published_event(settings.transitions, device))
        url, key = address
        await _to_its_end(writes.deploy, device.device_id)

        async def is_published() -> bool:
            return event is not None and event.is_set()

        steps = [("row: pending, never_reported", device.has_row), ("index", device.is_indexed)]
        if event is not None:
            steps.append(("event", is_published))
        if url is not None:
            api = ApiFleetStatus(url, key)
            followed.push_async_callback(api.close)
            steps.append(("API", partial(device.is_answered, api)))
        echo(f"ok       twin change in the IoT hub: after {time.monotonic() - began:.1f} s")
        for name, is_there in steps:
            if not await device.until(is_there):  # this link is broken, so later ones cannot succeed
                why = f": {device.refusal}" if device.refusal else ""
                echo(printable(f"WRONG    {name}: not within {device.patience:.0f} s{why}"))
                return ExitCode.FAILED
            echo(f"ok       {name}: after {time.monotonic() - began:.1f} s")
    return ExitCode.OK


async def _remove(device: FollowedDevice, writes: DeviceWrites, echo: Callable[[str], object]) -> bool:
    device_id = device.device_id
    try:
        await _to_its_end(writes.delete, device_id)
    except (HubRefusalError, UnavailableError) as error:
        echo(printable(f"WRONG    {device_id} is left in the IoT hub: {error}"))
        echo(f"         az iot hub device-identity delete --hub-name HUB --device-id {device_id}")
        return False
    if not await device.until(device.is_removed):
        echo(f"WRONG    rows of {device_id} are left: resync removes them")
        return False
    try:
        await device.forget()
    except (UnavailableError, HttpResponseError) as error:
        words = error if isinstance(error, UnavailableError) else f"tables: answer {error.status_code}"
        echo(printable(f"WRONG    the history of {device_id} is left: {words}"))
        echo('         az role assignment create --role "Storage Table Data Contributor" --assignee YOU --scope ID')
        return False
    echo(f"removed  {device_id}, and its rows")
    return True


async def _to_its_end(call: Callable[[str], None], device_id: str) -> None:
    """Run a blocking call. An interrupted call still finishes before the cleanup begins."""
    running = asyncio.create_task(asyncio.to_thread(call, device_id))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _may_take(condition: str) -> bool:
    """Whether a target condition may match a device without tags: it matches all, or has a negation."""
    words = condition.lower()
    return words.strip() == _FOR_ALL or "not " in words or "!=" in words or "<>" in words or "deviceid" in words
