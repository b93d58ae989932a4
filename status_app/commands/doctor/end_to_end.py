"""`doctor --end-to-end`: a device of its own is followed from the IoT hub to row, index, event and API.

Whatever happens, Ctrl-C included, the device is deleted again, and its rows.
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
from status_app.commands.terminal import printed
from status_app.errors import UnavailableError
from status_app.iothub.doctors_device import PREFIX
from status_app.settings import Settings
from status_app.storage.client import table_service

PATIENCE: Final = 120.0
"""Seconds for each step: a route to an event hub and a cold start of the app take a minute together."""

_FOR_ALL: Final = "*"


async def end_to_end(  # noqa: PLR0913 (three of them keyword-only)
    environment: Mapping[str, str],
    tell: Callable[[str], object],
    confirm: Callable[[], bool],
    *,
    url: str | None = None,
    key: str | None = None,
    patience: float = PATIENCE,
) -> ExitCode:
    """Make a device, apply a deployment to it, follow it, and remove all of it again.

    Args:
        environment: The settings of the app; DEPLOYMENT_STATUS_URL and DEPLOYMENT_STATUS_KEY for the step of the API.
        tell: Takes a line at a time.
        confirm: Whether to go on, asked once it is told which deployments would take the device.
        url: The app's address, in the place of the environment's.
        key: A function key, in the place of the environment's.
        patience: Seconds for each step.

    Returns:
        OK, or FAILED where a step did not come, or something could not be removed.

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
        tell(printed(f"WRONG    IoT hub: {error}"))
        return ExitCode.FAILED
    tell(printed(f"makes the edge device {device_id} in {settings.hub}, and removes it again"))
    tell(printed(f"deployments that may take it meanwhile: {', '.join(taking) or 'none'}"))
    if not confirm():
        return ExitCode.FAILED
    async with table_service(settings.tables) as service:
        device = FollowedDevice(service, device_id, patience)
        try:
            code = await _follow(device, writes, settings, address, tell)
        except (HubRefusalError, UnavailableError) as error:
            tell(printed(f"WRONG    IoT hub: {error}"))
            code = ExitCode.FAILED
        finally:
            is_clean = not writes.may_be_there or await _remove(device, writes, tell)
    return code if is_clean else ExitCode.FAILED


async def _follow(
    device: FollowedDevice,
    writes: DeviceWrites,
    settings: Settings,
    address: tuple[str | None, str | None],
    tell: Callable[[str], object],
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
        tell(f"ok       twin change in the IoT hub: after {time.monotonic() - began:.1f} s")
        for name, is_there in steps:
            if not await device.until(is_there):  # it says which link is broken: what follows is not waited for
                why = f": {device.refusal}" if device.refusal else ""
                tell(printed(f"WRONG    {name}: not within {device.patience:.0f} s{why}"))
                return ExitCode.FAILED
            tell(f"ok       {name}: after {time.monotonic() - began:.1f} s")
    return ExitCode.OK


async def _remove(device: FollowedDevice, writes: DeviceWrites, tell: Callable[[str], object]) -> bool:
    device_id = device.device_id
    try:
        await _to_its_end(writes.delete, device_id)
    except (HubRefusalError, UnavailableError) as error:
        tell(printed(f"WRONG    {device_id} is left in the IoT hub: {error}"))
        tell(f"         az iot hub device-identity delete --hub-name HUB --device-id {device_id}")
        return False
    if not await device.until(device.is_removed):
        tell(f"WRONG    rows of {device_id} are left: resync removes them")
        return False
    try:
        await device.forget()
    except (UnavailableError, HttpResponseError) as error:
        words = error if isinstance(error, UnavailableError) else f"tables: answer {error.status_code}"
        tell(printed(f"WRONG    the history of {device_id} is left: {words}"))
        tell('         az role assignment create --role "Storage Table Data Contributor" --assignee YOU --scope ID')
        return False
    tell(f"removed  {device_id}, and its rows")
    return True


async def _to_its_end(call: Callable[[str], None], device_id: str) -> None:
    """Make a call that blocks. One that is interrupted ends before what undoes it begins."""
    running = asyncio.create_task(asyncio.to_thread(call, device_id))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _may_take(condition: str) -> bool:
    """Whether a target condition may hold for a device without tags: it is for all, or asks for what is not so."""
    words = condition.lower()
    return words.strip() == _FOR_ALL or "not " in words or "!=" in words or "<>" in words or "deviceid" in words
