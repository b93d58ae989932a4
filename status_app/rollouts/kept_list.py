"""The stored copy of the hub's own list of deployments, as rows of the table Deployments."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from status_app.storage.codecs import UNREADABLE, read_time
from status_app.storage.columns import LISTING_COLUMNS, Row, built, read, write
from status_app.storage.keys import key_part, unescape
from status_app.telemetry.logs import log
from status_core import Listing, Listings, Rollout

LISTED: Final = "hub|"
"""Begins the keys of listed deployments."""
LIST: Final = "list|"
"""The key of the row that says when the hub gave the list."""
_TEXT_BYTES: Final = 60_000
"""Of the 65,536 bytes that a column holds."""

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class KeptList:
    """The stored copy of the hub's own list of deployments.

    Attributes:
        missed: Deployments that were in an earlier list, but not in the last one.
        listed: When the hub gave it; None if it never did.
    """

    listings: Listings = field(default_factory=dict)
    missed: frozenset[str] = frozenset()
    listed: datetime | None = None

    @classmethod
    def read(cls, rows: Iterable[Mapping[str, Any]]) -> "KeptList":
        """Read the list from its rows; other rows are skipped. An unreadable row is logged and skipped."""
        listings, missed, listed = dict[str, Listing](), set[str](), None
        for row in rows:
            key = str(row["RowKey"])
            if key == LIST:
                listed = read_time(row["ListedAt"])
            elif key.startswith(LISTED):
                name = unescape(key.removeprefix(LISTED))
                try:
                    listings[name] = _listing(row)
                except UNREADABLE as error:  # its text may quote the row
                    _log.error("row %r of the hub's list cannot be read: %s", key, type(error).__name__)
                    continue
                missed |= {name} if row.get("Missed") else set()
        return cls(listings, frozenset(missed), listed)

    def rows(self, partition: str) -> dict[str, Row]:
        """Return the rows of the listed deployments by RowKey."""
        rows = (_row(partition, name, listing, missed=name in self.missed) for name, listing in self.listings.items())
        return {row["RowKey"]: row for row in rows}

    def is_of_present_version(self, deployment: str, rollout: Rollout) -> bool:
        """Whether a count is of the version in this list, not of one that has ended and was not counted since."""
        listing = self.listings.get(deployment)
        return listing is None or listing.created is None or rollout.created in (None, listing.created)

    def targeted(self, deployment: str) -> int | None:
        """Return how many devices the hub targets with a deployment; None if it does not say."""
        listing = self.listings.get(deployment)
        return None if listing is None else listing.targeted


def listing_key(deployment: str) -> str:
    """Return the RowKey of a listed deployment."""
    return f"{LISTED}{key_part(deployment)}"


def kept_listing(listing: Listing, before: Listing | None) -> Listing:
    """Return a listing as it is stored.

    The hub never changes the modules of a deployment, so an entry that does not show them keeps the known ones. Modules
    too long for a column are left out: all modules count then.
    """
    modules = listing.modules
    if modules is None and before is not None and None is not listing.created == before.created:
        modules = before.modules
    is_too_long = modules is not None and len(_text(modules).encode("utf-16-le")) > _TEXT_BYTES
    return replace(listing, modules=None if is_too_long else modules)


def _text(modules: Mapping[str, Any]) -> str:
    return json.dumps(modules, ensure_ascii=False)


def _row(partition: str, deployment: str, listing: Listing, *, missed: bool) -> Row:
    modules = None if listing.modules is None else _text(listing.modules)
    labels = json.dumps(listing.labels or {}, ensure_ascii=False)
    columns = write(LISTING_COLUMNS, listing, Labels=labels, Modules=modules, Missed=missed)
    return {"PartitionKey": partition, "RowKey": listing_key(deployment), **columns}


def _listing(row: Mapping[str, Any]) -> Listing:
    modules = json.loads(row["Modules"]) if "Modules" in row else None
    named = None if modules is None else {name: (image, status) for name, (image, status) in modules.items()}
    values = read(LISTING_COLUMNS, row)
    return built(Listing, values, modules=named, labels=json.loads(row["Labels"]))
