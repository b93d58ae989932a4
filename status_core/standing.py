"""How far a device is in one of its deployments, according to its clocks."""

from datetime import datetime
from enum import StrEnum

from status_core.listing import Listing, Listings, Wanted
from status_core.record import DeviceRecord, ModuleRecord
from status_core.states import ModuleState, State
from status_core.twin import EDGE_AGENT


class Standing(StrEnum):
    """How far a device is in a deployment."""

    SUCCESSFUL = "successful"
    """It is successful, and no clock runs for it or for a module that counts for the deployment."""
    SETTLING = "settling"
    """It looks successful, but such a clock still runs."""
    FAILING = "failing"
    """Its manifest is rejected, or something that counts for the deployment is stuck and not as desired now."""
    UNDERWAY = "underway"
    """None of these."""
    WAITING = "waiting"
    """The deployment was deleted and created again, and the device still has what was desired before."""


def standing(
    device: DeviceRecord, deployment: str, listings: Listings, now: datetime
) -> tuple[Standing, datetime | None]:
    """Return how far a device is in a deployment, and when time alone changes that; None if it does not.

    Args:
        device: The device's record.
        deployment: A deployment applied to it.
        listings: The hub's own list.
        now: The time in UTC.
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

    That is so if D was changed since `createdTimeUtc`. It is also so if D has the listed image and status for each
    module of the list, except modules that an applied deployment of higher priority names too.
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
    """Whether another deployment wins. At equal priority, the one created later does."""

    def rank(item: Listing) -> tuple[int, float]:
        return item.priority or 0, 0.0 if item.created is None else item.created.timestamp()

    return rank(other) > rank(listing)


def _has(device: DeviceRecord, name: str, wanted: Wanted) -> bool:
    """Whether D has the listed image and status of a module. edgeAgent has no desired status."""
    image, status = wanted
    if name == EDGE_AGENT:
        return device.verdict.desired_agent_image == image
    module = device.modules.get(name)
    return module is not None and (module.verdict.desired_image, module.verdict.desired_status) == (image, status)


def _fails_at(
    part: DeviceRecord | ModuleRecord, device: DeviceRecord, deployment: str, listing: Listing
) -> datetime | None:
    """Return when something makes the device fail; None if it does not.

    What was stuck before the version counts once its grace period, counted from the version, is over.
    """
    clock = part.clock
    if clock.stuck_since is None or clock.settled_since is not None:
        return None
    versions = (device.credited_since(deployment), listing.created)
    version = max((time for time in versions if time is not None), default=clock.stuck_since)
    return clock.stuck_since if clock.stuck_since >= version else version + clock.grace
