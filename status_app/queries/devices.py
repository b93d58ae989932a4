"""Devices, one and many."""

from dataclasses import dataclass

from status_app.fleet_index.rows import deployments_of
from status_app.queries.answers import device_summary
from status_app.queries.pages import Candidate, Candidates, IndexedDevices, Items, Page, Place, begin, fill
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


async def devices(indexed: IndexedDevices, asked: Devices, after: Place | None, limit: int) -> Page:
    """A page of devices: by device id, those of all states by state first, those that are stuck by since when."""

    async def look(candidate: Candidate) -> Items:
        stored = await indexed.reader.read(candidate.device_id)
        if not stored.is_whole:
            return []
        answer = device_summary(stored.device_id, stored.rows[DEVICE])
        is_asked = (
            asked.state in (None, answer["state"])
            and (asked.deployment is None or asked.deployment in deployments_of(stored))
            and (not asked.stuck or answer["stuck"])
        )
        return [((candidate.place,), answer)] if is_asked else []

    prefix, where = _rows(asked)
    return await fill(Candidates(indexed, prefix, where=where), look, begin(after, prefix), limit)


def _rows(asked: Devices) -> tuple[str, str]:
    """With what the index rows begin that name the devices, and what they have to be beside."""
    if asked.stuck or asked.deployment is not None:
        name = "" if asked.deployment is None else key_part(asked.deployment)
        prefix = joined("stuck" if asked.stuck else "deployment", name, "")
        return prefix, f"State eq '{asked.state.value}'" if asked.state else ""
    return f"state|{key_part(asked.state.value)}|" if asked.state else "state|", ""
