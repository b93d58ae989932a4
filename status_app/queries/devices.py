"""Lists of devices, found by the most selective row of the index, or by the profiles of all devices."""

from status_app.fleet_index.entries import IndexEntry
from status_app.fleet_index.profile import Profile
from status_app.queries.answers import Answer, device_summary, readable
from status_app.queries.device_filter import DeviceFilter
from status_app.queries.pages import (
    Candidate,
    Candidates,
    IndexedDevices,
    Items,
    Page,
    Place,
    begin,
    fill,
    read_at_once,
)
from status_app.storage.keys import DEVICE, joined, key_part
from status_core import UNVERIFIED


async def devices(indexed: IndexedDevices, asked: DeviceFilter, after: Place | None, limit: int) -> Page:
    """Return a page of devices.

    Stuck devices come longest first, devices of a cause in the order in which they got it. Other lists are sorted by
    device id, and without a state by state first.
    """
    if asked.needs_profiles and asked.cause is None and not asked.stuck:
        return await _by_profiles(indexed, asked, after, limit)

    async def read(candidate: Candidate) -> Items:
        answer = await _matching(indexed, asked, candidate.device_id)
        return [] if answer is None else [((candidate.place,), answer)]

    prefix, where = _rows(asked)
    return await fill(Candidates(indexed, prefix, where=where), read, begin(after, prefix), limit)


async def _by_profiles(indexed: IndexedDevices, asked: DeviceFilter, after: Place | None, limit: int) -> Page:
    """Return a page of devices found in the summaries: one request per thousand devices."""

    def matches(entry: IndexEntry) -> bool:
        # The summary of a removed device, or of a device of doctor, has no profile.
        profiles = readable([entry.columns] if "State" in entry.columns else [], Profile.read, lambda _: entry.key)
        return any(asked.matches(entry.device_id, profile) for profile in profiles)

    first = begin(after, "summary|")
    found, place = await indexed.index.profiles(asked.prefix or "", first, limit, _where(asked), matches)
    answers = await read_at_once(found, lambda entry: _matching(indexed, asked, entry.device_id))
    return Page([answer for answer in answers if answer is not None], None if place is None else (place,))


async def _matching(indexed: IndexedDevices, asked: DeviceFilter, device_id: str) -> Answer | None:
    """Read a device; None if it does not match."""
    stored = await indexed.reader.read(device_id)
    if not stored.is_whole or not asked.matches(device_id, Profile.of(stored.rows)):
        return None
    return device_summary(stored.device_id, stored.rows[DEVICE])


def _rows(asked: DeviceFilter) -> tuple[str, str]:
    """Return the key prefix of the index rows to search, and a filter on their columns."""
    if asked.cause is not None:
        return joined("cause", asked.cause, ""), "Stuck eq true" if asked.stuck else ""
    if asked.stuck or asked.deployment is not None:
        name = "" if asked.deployment is None else key_part(asked.deployment)
        prefix = joined("stuck" if asked.stuck else "deployment", name, "")
        return prefix, f"State eq '{asked.state.value}'" if asked.state else ""
    return f"state|{key_part(asked.state.value)}|" if asked.state else "state|", ""


def _where(asked: DeviceFilter) -> str:
    """Return the filter on the columns of a summary, as far as one can be expressed."""
    parts = [
        f"State eq '{asked.state.value}'" if asked.state else "",
        f"(Reason eq '{asked.reason.value}' or Reason eq '{asked.reason.value}{UNVERIFIED}')" if asked.reason else "",
    ]
    return " and ".join(part for part in parts if part)
