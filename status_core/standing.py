"""How far a device is in one of its deployments, by its clocks."""

from datetime import datetime
from enum import StrEnum

from status_core.listing import Listing, Listings, Wanted
from status_core.record import DeviceRecord, ModuleRecord
from status_core.states import ModuleState, State
from status_core.twin import EDGE_AGENT


class Standing(StrEnum):
    """How far a device is in a deployment."""

    SUCCESSFUL = "successful"
    """It is successful, and no clock of it, or of a module that counts for the deployment, runs."""
    SETTLING = "settling"
    """It looks successful, and waits for such a clock."""
    FAILING = "failing"
    """Its manifest is rejected, or something that counts for the deployment is stuck and not as desired now."""
    UNDERWAY = "underway"
    """None of these."""
    WAITING = "waiting"
    """The deployment was deleted and created again, and the device still has what was desired before."""


def standing(
    device: DeviceRecord, deployment: str, listings: Listings, now: datetime
) -> tuple[Standing, datetime | None]:
    """How far a device is in a deployment, and when that changes though the device does not; None where it does not.

    Args:
        device: What is kept of it.
        deployment: One that is credited on it.
        listings: The hub's own list.
        now: The time, in UTC.
    """
    listing = listings.get(deployment, Listing())
    if not _has_version(device, deployment, listings):
        return Standing.WAITING, None
    modules = [
        module
        for name, module in device.modules.items()
        if module.verdict.state != ModuleState.EXTRA and listing.names(name)
    ]
    if device.verdict.state == State.INVALID:
        return Standing.FAILING, None
    parts: list[DeviceRecord | ModuleRecord] = [device, *modules]
    times = [_fails_at(part, device, deployment, listing) for part in parts]
    fails_at = min((time for time in times if time is not None), default=None)
    if fails_at is not None and fails_at <= now:
        return Standing.FAILING, None
    is_running = any(part.clock.is_running for part in parts)
    if device.verdict.state == State.SUCCESSFUL and is_running:
        return Standing.SETTLING, fails_at
    was_successful = device.is_lagging and device.news.state == State.SUCCESSFUL
    if not is_running and (device.verdict.state == State.SUCCESSFUL or was_successful):
        return Standing.SUCCESSFUL, None
    return Standing.UNDERWAY, fails_at


def _has_version(device: DeviceRecord, deployment: str, listings: Listings) -> bool:
    """Whether a device has what the deployment asks for since it was created.

    "Each module that the list names for it, and no applied deployment of higher priority names too, has in its D the
    image and status of the list, or `D.$metadata.$lastUpdated` is not before `createdTimeUtc`."
    """
    listing = listings.get(deployment)
    if listing is None or listing.created is None:
        return True
    desired_at = device.verdict.desired_at
    if desired_at is not None and desired_at >= listing.created:
        return True
    if listing.modules is None:
        return False
    applied = (listings[name] for name in device.verdict.deployments if name in listings)
    higher = [other for other in applied if _is_higher(other, listing)]
    return all(
        _has(device, name, wanted)
        for name, wanted in listing.modules.items()
        if not any(other.modules is not None and name in other.modules for other in higher)
    )


def _is_higher(other: Listing, listing: Listing) -> bool:
    """Whether another deployment wins: of two with one priority the one that was created later does."""

    def rank(item: Listing) -> tuple[int, float]:
        return item.priority or 0, 0.0 if item.created is None else item.created.timestamp()

    return rank(other) > rank(listing)


def _has(device: DeviceRecord, name: str, wanted: Wanted) -> bool:
    """Whether D has the image and the status of a module that the list has; edgeAgent has no desired status."""
    image, status = wanted
    if name == EDGE_AGENT:
        return device.verdict.desired_agent_image == image
    module = device.modules.get(name)
    return module is not None and (module.verdict.desired_image, module.verdict.desired_status) == (image, status)


def _fails_at(
    part: DeviceRecord | ModuleRecord, device: DeviceRecord, deployment: str, listing: Listing
) -> datetime | None:
    """Since when, or from when on, something lets the device fail; None where it does not.

    "What was stuck before the version counts for it once its grace, counted from the version, is over."
    """
    clock = part.clock
    if clock.stuck_since is None or clock.settled_since is not None:
        return None
    versions = (device.credited_since(deployment), listing.created)
    version = max((time for time in versions if time is not None), default=clock.stuck_since)
    return clock.stuck_since if clock.stuck_since >= version else version + clock.grace
