"""Deployments as wholes."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

from status_app.deployments import count
from status_app.queries.answers import Answer, deployment_counted, milestones, time_answer
from status_app.queries.pages import Page, Place, begin
from status_app.tables.deployment_index import DeploymentIndex
from status_app.tables.deployment_rows import DeploymentRows
from status_app.tables.status_table import StatusTable
from status_core import Portal

TOP_REASONS: Final = 10


async def deployments(rows: DeploymentRows, after: Place | None, limit: int) -> Page:
    """A page of deployments by their ids, as the timer counted them last. One request."""
    found = await rows.counted(begin(after, ""), limit + 1)
    items = [deployment_counted(stored) for stored in found[:limit]]
    return Page(items, (found[limit - 1].key,) if len(found) > limit else None)


async def deployment(
    table: StatusTable, index: DeploymentIndex, rows: DeploymentRows, clock: Callable[[], datetime], deployment_id: str
) -> Answer | None:
    """A deployment, its devices counted now; None where there is none and never was one.

    A request for each thousand devices, and at least one for each shard of the index, and one for its row.
    """
    now = clock()
    members = await index.members(deployment_id, table.index_rows)
    stored = await rows.one(deployment_id)
    if not members and stored is None:
        return None
    rollout = stored.rollout if stored is not None else None
    counts = count(members)
    stuck = sorted((member.stuck_since, member.device_id) for member in members if member.stuck_since is not None)
    reasons = Counter((member.state, member.reason) for member in members)
    portal = Counter(member.portal for member in members)
    return {
        "deploymentId": deployment_id,
        "version": rollout.version if rollout else None,
        "devices": counts.devices,
        "successful": counts.successful,
        "failing": counts.failing,
        "stuck": len(stuck),
        "longestStuck": {"deviceId": stuck[0][1], "since": time_answer(stuck[0][0])} if stuck else None,
        "states": dict(sorted(Counter(member.state for member in members).items())),
        "reasons": [
            {"state": state, "reason": reason, "devices": devices}
            for (state, reason), devices in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ][:TOP_REASONS],
        "portal": {
            "applied": len(members),
            "successful": portal[Portal.SUCCESSFUL],
            "failed": portal[Portal.FAILED],
        },
        "milestones": milestones(rollout),
        "countedAt": time_answer(now),
    }
