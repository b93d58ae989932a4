"""Modules of the whole fleet that are stuck, or soon will be."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from status_app.fleet_index.rows import RECONCILE
from status_app.queries.answers import Answer, module_answer
from status_app.queries.pages import Candidate, Candidates, IndexedDevices, Items, Page, Place, PlaceError, begin, fill
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.codecs import read_time
from status_app.storage.keys import DEVICE, key_part, time_text
from status_core import ClockInput, module_input

_DEADLINE: Final = re.compile(rf"{RECONCILE}\|[^|]+\|([^|]+)")


async def stuck_modules(indexed: IndexedDevices, after: Place | None, limit: int) -> Page:
    """Return a page of stuck modules, longest first. A device that is stuck itself appears as its `$edgeAgent`."""

    async def read(candidate: Candidate) -> Items:
        stored = await indexed.reader.read(candidate.device_id)
        key = str(candidate.columns["Row"])
        if not stored.is_whole or not stored.rows.get(key, {}).get("Stuck"):
            return []
        return [((candidate.place,), module_answer(stored.device_id, key, stored.rows[key]))]

    return await fill(Candidates(indexed, "module|"), read, begin(after, "module|"), limit)


async def modules_due(indexed: IndexedDevices, before: datetime, after: Place | None, limit: int) -> Page:
    """Return a page of modules that get stuck before a time unless they settle.

    The index has devices by their next deadline, so pages follow that order, and each page is sorted. A place between
    the modules of one device has three parts: the device's deadline, then the time and the name of the last module.
    """
    first = begin(after, f"{RECONCILE}|", parts=3)
    given = after[1:] if after is not None else ()
    resumed = None
    if first is not None and given:
        deadline = _DEADLINE.fullmatch(first)
        if deadline is None:
            raise PlaceError
        # Start just before the row of the interrupted device, so that it comes again.
        first, resumed = first[:-1], deadline[1]
    end = f"{RECONCILE}|{time_text(before)}"

    async def read(candidate: Candidate) -> Items:
        stored = await indexed.reader.read(candidate.device_id)
        if not stored.is_whole:
            return []
        part = key_part(candidate.device_id)
        items = sorted(_due(stored, before), key=lambda item: item[0])
        ends = items[-1:]  # after its last module a list continues with the next device
        return [
            ((candidate.place,) if item in ends else (candidate.place, *item[0]), item[1])
            for item in items
            if part != resumed or item[0] > given
        ]

    page = await fill(Candidates(indexed, f"{RECONCILE}|", end=end), read, first, limit)
    return Page(sorted(page.items, key=lambda item: (item["stuckAt"], item["deviceId"], item["module"])), page.after)


def _lacks_evidence(module: Mapping[str, Any], device: Mapping[str, Any]) -> bool:
    return module_input(module["State"], module["Reason"], device["State"]) is ClockInput.NO_EVIDENCE


def _due(stored: StoredDevice, before: datetime) -> Iterator[tuple[Place, Answer]]:
    for key, row in stored.rows.items():
        if key != DEVICE and _lacks_evidence(row, stored.rows[DEVICE]):
            continue  # the device is flagged instead of its modules
        if "SettledSince" in row:
            continue  # it is as desired again
        if "StuckAt" in row and not row["Stuck"] and read_time(row["StuckAt"]) < before:
            answer = module_answer(stored.device_id, key, row)
            yield (time_text(row["StuckAt"]), key_part(answer["module"])), answer
