"""Lists of devices: by the row of the index that leads to the fewest, or by the profiles of all."""

import asyncio

from status_app.fleet_index.lookups import IndexEntry
from status_app.fleet_index.profile import Profile
from status_app.queries.answers import Answer, device_summary, readable
from status_app.queries.device_filter import Devices
from status_app.queries.pages import Candidate, Candidates, IndexedDevices, Items, Page, Place, begin, fill
from status_app.storage.keys import DEVICE, joined, key_part
from status_core import UNVERIFIED


async def devices(indexed: IndexedDevices, asked: Devices, after: Place | None, limit: int) -> Page:
    """A page of devices.

    Those that are stuck, the longest first; those of a cause, in the order in which they got it; else by device id, but
    those of all states by state first.
    """
    if asked.needs_profiles and asked.cause is None and not asked.stuck:
        return await _by_profiles(indexed, asked, after, limit)

    async def look(candidate: Candidate) -> Items:
        answer = await _look(indexed, asked, candidate.device_id)
        return [] if answer is None else [((candidate.place,), answer)]

    prefix, where = _rows(asked)
    return await fill(Candidates(indexed, prefix, where=where), look, begin(after, prefix), limit)


async def _by_profiles(indexed: IndexedDevices, asked: Devices, after: Place | None, limit: int) -> Page:
    """A page of devices that are found by looking through summaries: a request for each thousand of them."""

    def matches(entry: IndexEntry) -> bool:
        # The summary of a removed device, or of one of doctor's, has no profile.
        profiles = readable([entry.columns] if "State" in entry.columns else [], Profile.read, lambda _: entry.key)
        return any(asked.matches(entry.device_id, profile) for profile in profiles)

    first = begin(after, "summary|")
    found, place = await indexed.index.profiles(asked.prefix or "", first, limit, _where(asked), matches)
    answers = await asyncio.gather(*(_look(indexed, asked, entry.device_id) for entry in found), return_exceptions=True)
    looked = readable(
        list(zip(found, answers, strict=True)), _unless_failed, lambda item: f"device {item[0].device_id!r}"
    )
    return Page([answer for answer in looked if answer is not None], None if place is None else (place,))


def _unless_failed(looked: tuple[IndexEntry, Answer | BaseException | None]) -> Answer | None:
    if isinstance(looked[1], BaseException):
        raise looked[1]
    return looked[1]


async def _look(indexed: IndexedDevices, asked: Devices, device_id: str) -> Answer | None:
    """A device as it is stored; None where it is not what is asked for."""
    stored = await indexed.reader.read(device_id)
    if not stored.is_whole or not asked.matches(device_id, Profile.of(stored.rows)):
        return None
    return device_summary(stored.device_id, stored.rows[DEVICE])


def _rows(asked: Devices) -> tuple[str, str]:
    """With what the index rows begin that name the devices, and what they have to be beside."""
    if asked.cause is not None:
        return joined("cause", asked.cause, ""), "Stuck eq true" if asked.stuck else ""
    if asked.stuck or asked.deployment is not None:
        name = "" if asked.deployment is None else key_part(asked.deployment)
        prefix = joined("stuck" if asked.stuck else "deployment", name, "")
        return prefix, f"State eq '{asked.state.value}'" if asked.state else ""
    return f"state|{key_part(asked.state.value)}|" if asked.state else "state|", ""


def _where(asked: Devices) -> str:
    """What columns of a summary have to be, as far as a filter can say it."""
    parts = [
        f"State eq '{asked.state.value}'" if asked.state else "",
        f"(Reason eq '{asked.reason.value}' or Reason eq '{asked.reason.value}{UNVERIFIED}')" if asked.reason else "",
    ]
    return " and ".join(part for part in parts if part)
