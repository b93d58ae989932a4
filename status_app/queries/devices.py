"""Devices, one and many."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from status_app.fleet_index.deployment_index import DeploymentIndex
from status_app.fleet_index.index_rows import time_text
from status_app.queries.answers import device_summary
from status_app.queries.pages import Candidate, Items, Page, Place, begin, fill
from status_app.status_table.status_table import StatusTable
from status_app.storage.keys import DEVICE, joined, key_part
from status_core import State


@dataclass(frozen=True, slots=True)
class Devices:
    """Which devices are asked for: those to which all of it applies.

    Attributes:
        state: Those in this state.
        deployment: Those on which it is credited.
        stuck: Those of which something is stuck; the longest first.
    """

    state: State | None = None
    deployment: str | None = None
    stuck: bool = False


async def devices(table: StatusTable, index: DeploymentIndex, asked: Devices, after: Place | None, limit: int) -> Page:
    """A page of devices: by device id, those of all states by state first, those that are stuck by since when."""

    async def look(candidate: Candidate) -> Items:
        stored = await table.read(candidate.device_id)
        if not candidate.holds(stored):
            return []
        answer = device_summary(stored.device_id, stored.rows[DEVICE])
        is_asked = (
            asked.state in (None, answer["state"])
            and (asked.deployment is None or asked.deployment in answer["deployments"])
            and (not asked.stuck or answer["stuck"])
        )
        return [((candidate.place,), answer)] if is_asked else []

    if asked.stuck and asked.deployment is not None:
        return await fill(await _stuck_members(table, index, asked), look, begin(after, ""), limit)
    prefix, where = _rows(asked)

    async def candidates(after: str | None, count: int) -> list[Candidate]:
        return [Candidate.of(pointer) for pointer in await index.page(prefix, after, count, where=where)]

    return await fill(candidates, look, begin(after, prefix), limit)


def _rows(asked: Devices) -> tuple[str, str]:
    """With what the index rows begin that name the devices, and what they have to be beside."""
    if asked.stuck:
        return "stuck|", ""
    if asked.deployment is not None:
        prefix = joined("deployment", key_part(asked.deployment), "")
        return prefix, f"State eq '{asked.state.value}'" if asked.state else ""
    return f"state|{key_part(asked.state.value)}|" if asked.state else "state|", ""


async def _stuck_members(
    table: StatusTable, index: DeploymentIndex, asked: Devices
) -> Callable[[str | None, int], Awaitable[Sequence[Candidate]]]:
    """The devices of a deployment that are stuck, the longest first. The index has them by device id only."""
    members = await index.stuck_members(asked.deployment or "", table.index_rows)
    found = sorted(
        (
            Candidate(joined(time_text(member.stuck_since), key_part(member.device_id)), member.device_id, None)
            for member in members
            if member.stuck_since is not None and asked.state in (None, member.state)
        ),
        key=lambda candidate: candidate.place,
    )

    async def candidates(after: str | None, count: int) -> Sequence[Candidate]:
        return [candidate for candidate in found if after is None or candidate.place > after][:count]

    return candidates
