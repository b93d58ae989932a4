"""Deployments as wholes."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

from status_app.fleet_index.deployment_index import DeploymentIndex
from status_app.queries.answers import Answer, deployment_counted, milestones, readable, time_answer
from status_app.queries.pages import Page, Place, begin
from status_app.rollouts.deployment_counts import DeploymentCounts
from status_app.rollouts.deployment_rows import DeploymentRows
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
    index: DeploymentIndex,
    rows: DeploymentRows,
    counts: DeploymentCounts,
    clock: Callable[[], datetime],
    deployment_id: str,
) -> Answer | None:
    """A deployment, its devices counted now; None where there is none and never was one.

    A request for its row, one for each shard of the index, and those of its count.
    """
    now, stored = clock(), await rows.one(deployment_id)
    changed = await index.changed(deployment_id) if stored is not None else ()
    total = (await counts.count(deployment_id, changed, now)).total
    if stored is None and not total.devices:
        return None
    kept = readable(
        [stored] if stored is not None else [], lambda row: row.rollout, lambda _: f"deployment {deployment_id!r}"
    )
    rollout, totals, longest = kept[0] if kept else None, total.counts, total.longest
    reasons, portal = Counter[tuple[str, str]](), Counter[str]()
    for (state, reason, counter), (devices, _) in total.groups.items():
        reasons[state, reason] += devices
        portal[counter] += devices
    return {
        "deploymentId": deployment_id,
        "version": rollout.version if rollout else None,
        "devices": totals.devices,
        "successful": totals.successful,
        "failing": totals.failing,
        "stuck": total.stuck,
        "longestStuck": {"deviceId": longest[1], "since": time_answer(longest[0])} if longest else None,
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
        "countedAt": time_answer(now),
    }
