"""The causes of a fleet, one line per cause, and the devices of one cause."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from status_app.fleet_index.entries import CauseRows, DeviceGroup, IndexEntry
from status_app.fleet_index.leading_cause import cause_id, leading_cause
from status_app.fleet_index.peers import PeerRows, Peers, inference
from status_app.queries.answers import Answer, device_summary, readable
from status_app.queries.pages import Candidate, Candidates, IndexedDevices, Items, Page, Place, PlaceError, begin, fill
from status_app.storage.codecs import show_time
from status_app.storage.keys import DEVICE, joined
from status_core import Cause, ModuleState, State, known_reason

EXAMPLES: Final = 3
"""How many devices are named as examples of a cause."""

_ID: Final = re.compile(r"[0-9a-f]{16}")
_PLACE: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class _Group:
    """The devices under a cause: its line, their number, and how many are stuck."""

    line: str
    devices: int
    stuck: int


type _Rank = tuple[int, int, str]
"""Sorts causes: most stuck devices first, then most devices."""


async def causes(  # noqa: PLR0913, PLR0917 (sources and query)
    indexed: IndexedDevices,
    peers: PeerRows,
    deployment: str | None,
    cohort: str | None,
    after: Place | None,
    limit: int,
) -> Page:
    """Return a page of causes, most stuck devices first.

    One request per shard of the index for its counters and one for examples, one to three per cause on the page for a
    device's message, and one for the peers.

    Args:
        indexed: The devices.
        peers: The counts of devices that run the images of causes.
        deployment: Only devices with this deployment; None for the fleet.
        cohort: Only devices in this cohort; None for all.
        after: The place to start after.
        limit: How many causes a page has.
    """
    begins = _rank(after) if after is not None else None
    asked = deployment or "", cohort or ""
    others = await indexed.overflow_counters()
    counters = [
        *await indexed.index.counters(*asked),
        *(group for group in others if (group.deployment, group.cohort) == asked),
    ]
    devices, stuck = _totals(counters)
    ranks = sorted((-stuck[line], -number, cause_id(line)) for line, number in devices.items())
    wanted = [rank for rank in ranks if begins is None or rank > begins]
    lines = {cause_id(line): line for line in devices}
    shown = wanted[:limit]
    numbers = await peers.read() if shown else {}
    rows = await _rows(indexed, {rank[2] for rank in shown}, deployment, cohort) if shown else {}
    answers = await asyncio.gather(
        *(
            _answer(indexed, _Group(lines[cause], -number, -is_stuck), rows.get(cause), numbers.get(cause))
            for is_stuck, number, cause in shown
        )
    )
    more = len(wanted) > limit
    return Page(answers, (str(-shown[-1][0]), str(-shown[-1][1]), shown[-1][2]) if more else None)


async def one_cause(indexed: IndexedDevices, peers: PeerRows, line: str, deployment: str, cohort: str | None) -> Answer:
    """Return a cause as `causes` does, but without counts: the caller has them.

    One request per shard of the index, one for the peers, and some for the message of its first device.

    Args:
        indexed: The devices.
        peers: The counts of devices that run the images of causes.
        line: The cause as one line.
        deployment: Only devices with this deployment.
        cohort: Only devices in this cohort; None for all.
    """
    cause = cause_id(line)
    rows = await _rows(indexed, {cause}, deployment, cohort)
    answer = await _answer(indexed, _Group(line, 0, 0), rows.get(cause), (await peers.read()).get(cause))
    return {name: value for name, value in answer.items() if name not in ("devices", "stuck")}


async def cause_devices(indexed: IndexedDevices, cause: str, after: Place | None, limit: int) -> Page | None:
    """Return a page of the devices under a cause, longest first; None if there are none."""
    if not _ID.fullmatch(cause):
        return None

    async def read(candidate: Candidate) -> Items:
        stored = await indexed.reader.read(candidate.device_id)
        found = leading_cause(stored.rows) if stored.is_whole else None
        if found is None or found.id != cause:
            return []
        return [((candidate.place,), device_summary(stored.device_id, stored.rows[DEVICE]))]

    prefix = joined("cause", cause, "")
    page = await fill(Candidates(indexed, prefix), read, begin(after, prefix), limit)
    return page if page.items or page.after is not None or after is not None else None


def _rank(place: Place) -> _Rank:
    if len(place) != 3 or not all(map(_PLACE.fullmatch, place[:2])) or not _ID.fullmatch(place[2]):  # noqa: PLR2004
        raise PlaceError
    return -int(place[0]), -int(place[1]), place[2]


def _totals(counters: Iterable[DeviceGroup]) -> tuple[Counter[str], Counter[str]]:
    """Count by cause the devices, and those that are stuck."""
    devices, stuck = Counter[str](), Counter[str]()
    for group in counters:
        if group.cause:
            devices[group.cause] += group.devices
            stuck[group.cause] += group.devices if group.is_stuck else 0
    return devices, stuck


async def _rows(
    indexed: IndexedDevices, wanted: set[str], deployment: str | None, cohort: str | None
) -> dict[str, CauseRows]:
    def applies(columns: Mapping[str, Any]) -> bool:
        applied, cohorts = (json.loads(columns.get(name, "[]")) for name in ("Deployments", "Cohorts"))
        return (deployment is None or deployment in applied) and (cohort is None or cohort in cohorts)

    def matches(entry: IndexEntry) -> bool:
        return any(readable([entry.columns], applies, lambda _: entry.key))

    return await indexed.index.causes(wanted, EXAMPLES, matches)


async def _answer(indexed: IndexedDevices, group: _Group, rows: CauseRows | None, peers: Peers | None) -> Answer:
    line = group.line
    first = rows.first if rows is not None else ()
    newest = rows.newest if rows is not None else None
    cause, reason = Cause.parse(line), known_reason(line.partition(": ")[0])
    inferred = inference(cause, peers) if cause is not None and peers is not None else None
    advice = reason.advice if reason else None
    return {
        "causeId": cause_id(line),
        "cause": line,
        "reason": line.partition(": ")[0],
        "module": (cause.module or None) if cause else None,
        "image": (cause.image or None) if cause else None,
        "exitCode": cause.exit_code if cause else None,
        "devices": group.devices,
        "stuck": group.stuck,
        "since": _since(first[0]) if first else None,
        "newest": _device(newest) if newest is not None else None,
        "examples": [_device(entry) for entry in first],
        "message": await _message(indexed, line, first),
        "means": reason.means if reason else None,
        "advice": inferred[1] if inferred else advice,
        "peers": None if peers is None else {**_numbers(peers), "says": inferred[0] if inferred else None},
    }


def _numbers(peers: Peers) -> Answer:
    return {
        "devices": peers.devices,
        "running": peers.running,
        "failing": peers.failing,
        "shared": peers.shared or None,
        "countedAt": show_time(peers.counted),
    }


async def _message(indexed: IndexedDevices, line: str, examples: Iterable[IndexEntry]) -> str | None:
    """Return the message of the first device that is not as desired now, from the part that has the cause."""
    settled: list[str] = []
    for example in examples:
        rows = (await indexed.reader.read(example.device_id)).rows
        own = [row for key, row in rows.items() if key != DEVICE and row.get("Cause") == line]
        first = [*own, *(row for key, row in rows.items() if key == DEVICE)][:1]
        for state, message in readable(first, _state_and_message, lambda _: f"device {example.device_id!r}"):  # noqa: B023 (called at once)
            if state not in (ModuleState.SETTLED, State.SUCCESSFUL):
                return message
            settled.append(message)
    return settled[0] if settled else None


def _state_and_message(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["State"], row["Message"]


def _device(entry: IndexEntry) -> Answer:
    return {"deviceId": entry.device_id, "since": _since(entry)}


def _since(entry: IndexEntry) -> str:
    """Return since when a device has the cause of its row."""
    return show_time(datetime.fromisoformat(entry.key.split("|")[2]))
