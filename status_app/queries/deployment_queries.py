"""Queries of deployments as a whole."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from status_app.queries.answers import Answer, deployment_counted, listed, listed_at, milestones, readable
from status_app.queries.device_filter import DeviceFilter
from status_app.queries.devices import devices
from status_app.queries.pages import Candidate, Candidates, IndexedDevices, Page, Place, begin
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.device_count import NO_DEVICES, DeviceCount, count_devices, overflow_groups
from status_app.storage.codecs import show_time
from status_app.storage.keys import joined, key_part
from status_core import Listings, Portal, Rollout, Threshold

TOP_REASONS: Final = 10


async def deployments(rows: DeploymentRows, after: Place | None, limit: int) -> Page:
    """Return a page of deployments by id, as the timer last counted them.

    Two requests, and one more for each page with an unreadable row.
    """
    kept = await rows.kept_list()
    begins, items = begin(after, ""), list[tuple[str, Answer]]()
    while len(items) <= limit:
        found = await rows.counted(begins, limit + 1)
        items += readable(
            found,
            lambda stored: (stored.key, deployment_counted(stored, kept)),
            lambda stored: f"deployment {stored.deployment!r}",
        )
        if len(found) <= limit:
            break
        begins = found[-1].key
    page = [answer for _, answer in items[:limit]]
    return Page(page, (items[limit - 1][0],) if len(items) > limit else None, {"listedAt": listed_at(kept)})


async def deployment(
    indexed: IndexedDevices,
    rows: DeploymentRows,
    clock: Callable[[], datetime],
    deployment_id: str,
    cohort: str | None = None,
) -> Answer | None:
    """Return a deployment with its devices, or one cohort's, counted now; None if it does not exist and never did.

    One request for its row and the hub's list, one per shard of the index for counters, and one if something is stuck.
    """
    now = clock()
    stored, kept = await rows.one(deployment_id)
    total = await counted_now(indexed, deployment_id, kept.listings, now, cohort or "")
    if stored is None and not total.devices and deployment_id not in kept.listings:
        return None
    longest = await _longest_stuck(indexed, deployment_id, cohort) if total.stuck else None
    read = readable(
        [stored] if stored is not None else [],
        lambda row: (row.rollout, row.threshold),
        lambda _: f"deployment {deployment_id!r}",
    )
    rollout, threshold = read[0] if read else (None, None)
    if rollout is not None and not kept.is_of_present_version(deployment_id, rollout):
        rollout = None
    reasons, portal = Counter[tuple[str, str]](), Counter[str]()
    for group in total.groups:
        reasons[group.state, group.reason] += group.devices
        portal[group.portal] += group.devices
    return {
        "deploymentId": deployment_id,
        **_progress(rollout, threshold, total, kept.targeted(deployment_id) if cohort is None else None, now),
        "stuck": total.stuck,
        "longestStuck": longest,
        "states": total.states,
        "reasons": [
            {"state": state, "reason": reason, "devices": devices}
            for (state, reason), devices in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ][:TOP_REASONS],
        "portal": {
            "applied": total.devices,
            "successful": portal[Portal.SUCCESSFUL],
            "failed": portal[Portal.FAILED],
        },
        "milestones": milestones(rollout),
        "hub": listed(deployment_id, kept),
        "listedAt": listed_at(kept),
        "countedAt": show_time(now),
    }


async def counted_now(
    indexed: IndexedDevices, deployment_id: str, listings: Listings, now: datetime, cohort: str = ""
) -> DeviceCount:
    """Count the devices of a deployment, or those of one cohort. One request per shard of the index."""
    others = [group for device in await indexed.overflowing() for group in overflow_groups(device, listings, now)]
    counters = [*await indexed.index.counters(deployment_id, cohort), *others]
    of_the_cohort = [replace(item, cohort="") for item in counters if item.cohort == cohort]
    return count_devices(of_the_cohort, listings).get(deployment_id, NO_DEVICES)


def _progress(
    rollout: Rollout | None, threshold: str | None, total: DeviceCount, targeted: int | None, now: datetime
) -> Answer:
    """Return how far the devices are now, and what the timer stored if it still holds."""
    counts = total.counts
    is_complete = counts.are_complete(None if threshold is None else Threshold.parse(threshold), targeted)
    settled = rollout.settled_since if rollout is not None and is_complete else None
    joined_at = rollout.joined_at if rollout is not None and counts.taken <= rollout.counts.taken else now
    return {
        "version": rollout.version if rollout else None,
        "devices": counts.devices,
        "successful": counts.successful,
        "settling": counts.settling,
        "failing": counts.failing,
        "waiting": counts.waiting,
        "failureThreshold": threshold,
        "settledSince": None if settled is None else show_time(settled),
        "createdAt": show_time(rollout.created) if rollout is not None and rollout.created is not None else None,
        "creditedAt": None if joined_at is None else show_time(joined_at),
    }


async def _longest_stuck(indexed: IndexedDevices, deployment_id: str, cohort: str | None) -> Answer | None:
    """Return the device that has been stuck the longest. For a cohort, devices are searched: one request each."""
    if cohort is not None:
        page = await devices(indexed, DeviceFilter(deployment=deployment_id, stuck=True, cohort=cohort), None, 1)
        return next(({"deviceId": item["deviceId"], "since": item["stuckSince"]} for item in page.items), None)
    found = await Candidates(indexed, joined("stuck", key_part(deployment_id), ""))(None, 1)
    return {"deviceId": found[0].device_id, "since": _since(found[0])} if found else None


def _since(candidate: Candidate) -> str:
    """Return since when something is stuck, from the key of the candidate."""
    return show_time(datetime.fromisoformat(candidate.place.split("|")[2]))
