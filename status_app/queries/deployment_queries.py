"""Deployments as wholes."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

from status_app.queries.answers import Answer, deployment_counted, milestones, readable
from status_app.queries.pages import Candidate, Candidates, IndexedDevices, Page, Place, begin
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.device_count import NO_DEVICES, beyond, count_devices
from status_app.storage.codecs import show_time
from status_app.storage.keys import joined, key_part
from status_core import Portal

TOP_REASONS: Final = 10


async def deployments(rows: DeploymentRows, after: Place | None, limit: int) -> Page:
    """A page of deployments by their ids, as the timer counted them last.

    One request, and one more for each page of rows of which one cannot be read.
    """
    begins, items = begin(after, ""), list[tuple[str, Answer]]()
    while len(items) <= limit:
        found = await rows.counted(begins, limit + 1)
        items += readable(
            found,
            lambda stored: (stored.key, deployment_counted(stored)),
            lambda stored: f"deployment {stored.deployment!r}",
        )
        if len(found) <= limit:
            break
        begins = found[-1].key
    return Page([answer for _, answer in items[:limit]], (items[limit - 1][0],) if len(items) > limit else None)


async def deployment(
    indexed: IndexedDevices, rows: DeploymentRows, clock: Callable[[], datetime], deployment_id: str
) -> Answer | None:
    """A deployment, its devices counted now; None where there is none and never was one.

    A request for its row, one for each shard of the index for its counters, and one where something is stuck.
    """
    now, stored = clock(), await rows.one(deployment_id)
    others = [counted for device in await indexed.more() for counted in beyond(device)]
    total = count_devices([*await indexed.index.counters(deployment_id), *others]).get(deployment_id, NO_DEVICES)
    if stored is None and not total.devices:
        return None
    stuck = Candidates(indexed, joined("stuck", key_part(deployment_id), ""))
    longest = await stuck(None, 1) if total.stuck else []
    kept = readable(
        [stored] if stored is not None else [], lambda row: row.rollout, lambda _: f"deployment {deployment_id!r}"
    )
    rollout, totals = kept[0] if kept else None, total.counts
    reasons, portal = Counter[tuple[str, str]](), Counter[str]()
    for group in total.groups:
        reasons[group.state, group.reason] += group.devices
        portal[group.portal] += group.devices
    return {
        "deploymentId": deployment_id,
        "version": rollout.version if rollout else None,
        "devices": totals.devices,
        "successful": totals.successful,
        "failing": totals.failing,
        "stuck": total.stuck,
        "longestStuck": {"deviceId": longest[0].device_id, "since": _since(longest[0])} if longest else None,
        "states": total.states,
        "reasons": [
            {"state": state, "reason": reason, "devices": devices}
            for (state, reason), devices in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ][:TOP_REASONS],
        "portal": {
            "applied": totals.devices,
            "successful": portal[Portal.SUCCESSFUL],
            "failed": portal[Portal.FAILED],
        },
        "milestones": milestones(rollout),
        "countedAt": show_time(now),
    }


def _since(candidate: Candidate) -> str:
    """Since when something is stuck of the device of a row by what is stuck."""
    return show_time(datetime.fromisoformat(candidate.place.split("|")[2]))
