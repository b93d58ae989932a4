"""The hub's own list of deployments: read by the timer, stored in the table, used by every process.

A deployment missing from one list may be on the next one, so it counts as gone only after two lists in a row.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from status_app.errors import UnavailableError
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.kept_list import KeptList, kept_listing
from status_app.telemetry.logs import log
from status_core import NO_LIST, Listings, read_listings

KEPT: Final = timedelta(minutes=1)
"""How long a process uses the list that it has read."""

_log = log(__name__)


class ListSource(Protocol):
    """The source of the list."""

    async def deployments(self) -> Sequence[Any]:
        """Return the hub's configurations, as it sends them.

        Raises:
            UnavailableError: The hub does not answer, or refuses.
        """


class HubList:
    """The list as last stored.

    Args:
        rows: Stores the list.
        source: The source of the list; None if there is none.
        clock: Returns the time in UTC.
    """

    def __init__(self, rows: DeploymentRows, source: ListSource | None, clock: Callable[[], datetime]) -> None:
        self._rows = rows
        self._source = source
        self._clock = clock
        self._listings = NO_LIST
        self._read_at: datetime | None = None
        self._is_refused = False

    async def listings(self) -> Listings:
        """Return the deployments of the hub, at most a minute old. One request if they are older.

        If the table does not answer, the last ones read. The timer corrects whatever follows from an old list.
        """
        now = self._clock()
        if self._read_at is None or not timedelta(0) <= now - self._read_at < KEPT:
            try:
                self._use(await self._rows.kept_list(), now)
            except UnavailableError as error:
                _log.info("the list of deployments cannot be read: %s", error)
        return self._listings

    async def refresh(self, kept: KeptList) -> KeptList:
        """Read the hub's list, and store what has changed: one request to the hub, and the changes.

        Args:
            kept: The stored list.

        Returns:
            The list as stored now; unchanged if the hub gives none.

        Raises:
            UnavailableError: The table service does not answer.
        """
        now = self._clock()
        if self._source is None:
            return kept
        try:
            listed = read_listings(await self._source.deployments())
        except UnavailableError as error:
            if not self._is_refused:
                _log.warning("IoT Hub does not return its list of deployments: %s", error)
            self._is_refused = True
        else:
            if self._is_refused:
                _log.warning("IoT Hub returns its list of deployments again")
            self._is_refused = False
            missed = kept.listings.keys() - listed.keys()
            stays = {name: kept.listings[name] for name in missed if name not in kept.missed}
            known = {name: kept_listing(listing, kept.listings.get(name)) for name, listing in listed.items()}
            after = KeptList(stays | known, frozenset(stays), now)
            await self._rows.keep_list(kept, after)
            kept = after
        self._use(kept, now)
        return kept

    def _use(self, kept: KeptList, now: datetime) -> None:
        self._listings, self._read_at = kept.listings, now
