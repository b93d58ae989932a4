"""Where IoT Hub and the app disagree about a deployment: which numbers, which devices, and why.

The hub gives numbers but no devices. How it counts a device follows from the device's twin (`status_core.portal`).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from status_app.fleet_index.counters import standings_of
from status_app.queries.answers import Answer, listed_at
from status_app.queries.deployment_queries import counted_now
from status_app.queries.pages import Candidate, Candidates, IndexedDevices, Items, Page, Place, begin, fill
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.device_count import DeviceCount
from status_app.rollouts.kept_list import KeptList
from status_app.storage.codecs import show_time
from status_app.storage.keys import DEVICE, joined, key_part
from status_core import Listing, Portal, Standing

_AS_COUNTED: Final[Mapping[str, Portal]] = {
    Standing.SUCCESSFUL: Portal.SUCCESSFUL,
    Standing.SETTLING: Portal.SUCCESSFUL,  # it looks successful to both, and a clock still runs
    Standing.FAILING: Portal.FAILED,
    Standing.UNDERWAY: Portal.APPLIED,
    Standing.WAITING: Portal.APPLIED,
}
"""The hub's counter that corresponds to the app's standing of a device."""
_HUB: Final[Mapping[Portal, str]] = {
    Portal.SUCCESSFUL: "IoT Hub counts the agent's answer 200, without looking at modules or images.",
    Portal.FAILED: "IoT Hub counts every answer of the agent but 200 as a failure.",
    Portal.APPLIED: "IoT Hub counts neither success nor failure before the agent has answered about the version.",
}
_HERE: Final[Mapping[Standing, str]] = {
    Standing.SUCCESSFUL: "Here it was successful, and this report shows what ran before the plan.",
    Standing.SETTLING: "Here it looks successful, but has not stayed so long enough yet.",
    Standing.FAILING: "Here its manifest is rejected, or something of the deployment is stuck and not as desired.",
    Standing.UNDERWAY: "Here something is not as desired yet, but nothing counts as failed.",
    Standing.WAITING: "Here it still has what was desired before the deployment was created again.",
}


async def disagreements(  # noqa: PLR0913, PLR0917 (what a list needs)
    indexed: IndexedDevices,
    rows: DeploymentRows,
    clock: Callable[[], datetime],
    deployment_id: str,
    after: Place | None,
    limit: int,
) -> Page | None:
    """Return a page of the devices that hub and app count differently, by id; None if no such deployment exists.

    The requests are those of a deployment. If its counters show such devices, there are more for the rows of the index,
    and one for each device in one of their states: at most `pages.MOST_READS` per page.
    """
    stored, kept = await rows.one(deployment_id)
    total = await counted_now(indexed, deployment_id, kept.listings, clock())
    if stored is None and not total.devices and deployment_id not in kept.listings:
        return None
    prefix = joined("deployment", key_part(deployment_id), "")
    begins, extra = begin(after, prefix), _numbers(total, deployment_id, kept)
    states = sorted({group.state for group in total.groups if _disagree(group.portal, group.standing)})
    if not states:
        return Page(extra=extra)

    async def read(candidate: Candidate) -> Items:
        device = await indexed.reader.read(candidate.device_id)
        standings = standings_of(device, kept.listings, clock()) if device.is_whole else {}
        if deployment_id not in standings:
            return []
        row, standing = device.rows[DEVICE], standings[deployment_id][0]
        if not _disagree(row.get("Portal"), standing):
            return []
        answer = {
            "deviceId": device.device_id,
            "portal": row["Portal"],
            "standing": standing.value,
            "why": f"{_HUB[Portal(row['Portal'])]} {_HERE[standing]}",
            "state": row["State"],
            "reason": row["Reason"],
            "message": row["Message"],
            "since": show_time(row["Since"]),
        }
        return [((candidate.place,), answer)]

    where = " or ".join(f"State eq '{state}'" for state in states)
    page = await fill(Candidates(indexed, prefix, where=f"({where})"), read, begins, limit)
    return Page(page.items, page.after, extra)


def _disagree(portal: str | None, standing: str) -> bool:
    """Whether the hub counts a device differently. Without a configuration it does not count it."""
    return bool(portal) and portal != _AS_COUNTED.get(standing, portal)  # a later release has more standings


def _numbers(total: DeviceCount, deployment_id: str, kept: KeptList) -> Answer:
    """Return each counter of the hub: as listed, as the last twins imply it, and as counted here."""
    listing = Listing() if deployment_id in kept.missed else kept.listings.get(deployment_id, Listing())
    portal = Counter[str]()
    for group in total.groups:
        portal[group.portal] += group.devices
    counts, applied = total.counts, sum(portal[word] for word in Portal)
    numbers = (
        ("targeted", listing.targeted, None, counts.devices),
        ("applied", listing.applied, applied, counts.devices),
        ("reportedSuccessful", listing.reported_successful, portal[Portal.SUCCESSFUL], counts.successful),
        ("reportedFailed", listing.reported_failed, portal[Portal.FAILED], counts.failing),
    )
    return {
        "counters": [{"counter": name, "hub": hub, "twins": twins, "here": here} for name, hub, twins, here in numbers],
        "settling": counts.settling,
        "listedAt": listed_at(kept),
    }
