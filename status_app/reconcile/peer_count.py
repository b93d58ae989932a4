"""The part of the minute's timer that counts the devices that run the images of current causes."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from status_app.fleet_index.leading_cause import cause_id
from status_app.fleet_index.lookups import FleetIndex
from status_app.fleet_index.peers import PeerRows, count_peers
from status_app.fleet_index.profile import Profile
from status_app.queries.answers import readable
from status_core import Cause

EVERY: Final = timedelta(minutes=10)
"""The shortest time between two passes over the fleet."""
AT_LEAST_EVERY: Final = timedelta(hours=1)
"""The longest time between two passes while counters change and a cause names an image: a device that gets the
image, or leaves the cause, does not make the cause new."""
MOST: Final = 1_000
"""For how many causes peers are counted, most devices first."""


class PeerCount:
    """Counts peers if a cause is new, has doubled, or was counted an hour ago, and if counters changed."""

    def __init__(self, rows: PeerRows, index: FleetIndex, clock: Callable[[], datetime]) -> None:
        self._rows = rows
        self._index = index
        self._clock = clock
        self._seen: Mapping[str, str] | None = None
        self._asked: datetime | None = None

    async def run(self, counter_etags: Mapping[str, str]) -> None:
        """Count, if it is time and something has changed.

        Args:
            counter_etags: For each shard, an ETag that changes with its counters.

        Raises:
            UnavailableError: The table service does not answer.
        """
        now = self._clock()
        if counter_etags == self._seen or (self._asked is not None and timedelta(0) <= now - self._asked < EVERY):
            return
        self._asked = now
        devices, causes = Counter[str](), dict[str, Cause]()
        for group in await self._index.counters(""):
            cause = Cause.parse(group.cause)
            if cause is not None and cause.image:
                causes[cause_id(group.cause)] = cause
                devices[cause_id(group.cause)] += group.devices
        causes = {cause: causes[cause] for cause, _ in devices.most_common(MOST)}
        known = await self._rows.read()
        is_new = any(cause not in known or devices[cause] >= 2 * max(known[cause].devices, 1) for cause in causes)
        times = [peers.counted for peers in known.values()]
        is_old = bool(causes and times) and min(times) + AT_LEAST_EVERY <= now
        has_just_counted = bool(times) and now < max(times) + EVERY  # another process
        if (is_new or is_old) and not has_just_counted:
            entries = [entry for entry in await self._index.all_profiles() if "State" in entry.columns]
            profiles = readable(entries, lambda entry: Profile.read(entry.columns), lambda entry: entry.key)
            await self._rows.replace(known, count_peers(causes, profiles, now))
            self._seen = dict(counter_etags)
        elif known.keys() - causes.keys():
            await self._rows.replace(known, {cause: peers for cause, peers in known.items() if cause in causes})
        if not causes:
            self._seen = dict(counter_etags)
