"""The deployments of several devices, looked at and counted as the app does it."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from status_core import (
    Counts,
    DeviceRecord,
    GracePolicy,
    Listing,
    Rollout,
    advance,
    evaluate,
    progress,
    read_listings,
    standing,
)

FIELD: Final = Path(__file__).parents[1] / "field"


class Deployments:
    """Devices, the hub's list, and what is kept of each deployment."""

    def __init__(self, policy: GracePolicy | None = None) -> None:
        self.policy = policy or GracePolicy()
        self.twins: dict[str, Any] = {}
        self.records: dict[str, DeviceRecord] = {}
        self.listings: dict[str, Listing] = {}
        self.has_list = False
        self.listed: dict[str, Listing] | None = None
        self.kept: dict[str, Rollout] = {}
        self.milestones = defaultdict[str, list[tuple[int, str, datetime]]](list)

    def look(self, device: str, now: datetime) -> None:
        """Look at the twin of a device."""
        status = evaluate(self.twins[device], now=now)
        self.records[device], _ = advance(self.records.get(device), status, now, self.policy)

    def counts(self, now: datetime) -> dict[str, Counts]:
        """The devices of each deployment, as they are now."""
        found = defaultdict[str, Counter[str]](Counter)
        for record in self.records.values():
            for deployment in record.verdict.deployments:
                found[deployment][standing(record, deployment, self.listings, now)[0]] += 1
        return {deployment: Counts.of(standings) for deployment, standings in found.items()}

    def run(self, now: datetime) -> None:
        """The timer: reads the list, looks at what is due, and counts."""
        if self.listed is not None:
            self.listings, self.has_list = self.listed, True
        for device, record in list(self.records.items()):
            due = record.due(self.policy)
            if due is not None and due <= now:
                self.look(device, now)
        counts = self.counts(now)
        for deployment in counts.keys() | self.kept.keys() | self.listings.keys():
            before = self.kept.get(deployment)
            known = before.reached if before is not None else ()
            after = progress(
                before,
                counts.get(deployment, Counts()),
                now,
                self.policy,
                listing=self.listings.get(deployment),
                has_list=self.has_list,
            )
            if before is not None and after.version != before.version:
                known = ()
            self.kept[deployment] = after
            self.milestones[deployment] += ((after.version, name, at) for name, at in after.reached[len(known) :])

    def take(self, event: Any) -> None:
        """One line of a scenario."""
        now = datetime.fromisoformat(event["at"])
        if "deployments" in event:
            self.listed = read_listings(event["deployments"])
        elif "twin" in event:
            self.twins[event["twin"]["deviceId"]] = event["twin"]
            self.look(event["twin"]["deviceId"], now)
        elif event["run"] == "resync":
            for device in self.twins:
                self.look(device, now)
        else:
            self.run(now)

    def lines(self, deployment: str) -> list[str]:
        """Version, milestone and time of each, to the nearest second."""
        half = timedelta(milliseconds=500)
        return [f"{at + half:%H:%M:%S} {version} {name}" for version, name, at in self.milestones[deployment]]


def events(name: str) -> Iterator[Any]:
    """The lines of a file from the field."""
    for line in (FIELD / f"{name}.jsonl").read_text().splitlines():
        yield json.loads(line)


def replayed(name: str, each: Callable[[Deployments, datetime], None] | None = None) -> Deployments:
    """What a file comes to.

    Args:
        name: The file.
        each: Called after each of its lines, with the time of the next one.
    """
    deployments, lines = Deployments(), list(events(name))
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        deployments.take(line)
        if each is not None and following is not None:
            each(deployments, datetime.fromisoformat(following["at"]))
    return deployments
