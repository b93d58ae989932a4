"""The rows of a device in DeploymentIndex, derived from its rows in DeploymentStatus.

They are all in one of sixteen partitions, the device's shard, so that one transaction changes them together:

    summary|<device>                        lists the rows below of the device, how far its events are published, and
                                            its searchable properties: images, flags and so on
    state|<state>|<device>                  the device is in that state
    deployment|<id>|<device>                the deployment is applied to the device
    stuck|<id>|<since>|<device>             something on a device of that deployment is stuck; without id: of any
    module|<since>|<device>|<module>        that module is stuck, or the device itself: `$edgeAgent`
    cause|<cause>|<since>|<device>          the device counts under that cause
    count|<id>|<cohort>|<state>|<reason>|<portal>|<stuck>|<standing>|<version>|<cause>
                                            how many devices of the shard share these properties; without id: of the
                                            whole fleet, devices with a cause

The timer's work of each minute is one range of keys:

    pending|<device>|<nonce>                a change of the device was announced, but not projected yet
    progress|counters                       counters of this shard changed
    progress|more|<device>                  the device has more rows or counters than there is room for
    publish|<device>                        some events of the device are not published
    reconcile|<due>|<device>                the device must be read again at that time, or a little later

docs/decisions/0012-the-index-is-a-projection.md has the protocol.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final, Self

from status_app.fleet_index.counters import (
    COUNTED,
    Standings,
    counted_cause,
    counters_of,
    deployments_of,
    standings_of,
    version_of,
)
from status_app.fleet_index.profile import PROFILE, Profile, credited
from status_app.iothub.doctors_device import is_doctors_device
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.codecs import long, read_number, read_time
from status_app.storage.keys import DEVICE, escape, joined, key_part, module_name, time_text, unescape
from status_core import EDGE_AGENT, NO_LIST, Listings

FORMAT: Final = 2
"""The format of these rows. A new format is built next to the old one. Counters of format 1 have no standing."""
SHARDS: Final = tuple(f"index:{shard:x}" for shard in range(16))
"""A partition takes 2,000 writes a second. A query over the fleet sends one request to each shard."""
ROWS: Final = 30
"""Rows of a device besides its summary. Old and new rows, counters and the rest must fit into one transaction."""
NAMES_SIZE: Final = 2_000
"""Characters of the deployments in a row by cause. A device with more has none there."""
PENDING: Final = "pending"
PUBLISH: Final = "publish"
RECONCILE: Final = "reconcile"
MOVED: Final = "progress|counters"
MORE: Final = "progress|more|"
ROOM: Final = ROWS - 3
"""How many of these rows make a device searchable. The others are for the timer (due, publish, more)."""

type Entries = dict[str, dict[str, Any]]
"""Rows by RowKey, with their columns."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the shard holds of a device.

    Attributes:
        etag: ETag of its summary row; None if it has none.
        entries: Its other rows, by RowKey.
        counters: The counters that count it.
        published: Its transitions up to this sequence are published; None if only the device's own row may know.
        profile: Its searchable properties, as columns of a profile.
        status_etag: ETag of the DeploymentStatus row behind these rows, so that no two projections are alike; None if
            it has no state. Later changes that affect none of these rows are not included.
        twin: Version of the twin behind this row, and when it had changed; None if the row does not say.
    """

    device_id: str
    etag: str | None = None
    entries: Mapping[str, Mapping[str, Any]] | None = None
    counters: Mapping[str, Mapping[str, Any]] | None = None
    published: int | None = None
    status_etag: str | None = None
    profile: Mapping[str, Any] | None = None
    twin: tuple[int, datetime] | None = None

    @classmethod
    def read(cls, row: Mapping[str, Any], etag: str) -> Self:
        """Read the summary from its row."""
        return cls(
            unescape(row["Device"]),
            etag,
            json.loads(row["Rows"]),
            json.loads(row["Counters"]),
            read_number(row["Published"]),
            row.get("StatusETag"),
            {name: row[name] for name in PROFILE if name in row} or None,
            _twin(row),
        )

    def row(self) -> dict[str, Any]:
        """Return the row of the summary, without its keys."""
        row = {
            "Device": escape(self.device_id),
            "Rows": json.dumps(self.entries or {}, ensure_ascii=False),
            "Counters": json.dumps(self.counters or {}, ensure_ascii=False),
            "Published": long(self.published or 0),
            "Format": FORMAT,
            **(self.profile or {}),
            **({} if self.twin is None else {"TwinVersion": long(self.twin[0]), "At": self.twin[1]}),
        }
        return row if self.status_etag is None else {**row, "StatusETag": self.status_etag}

    @property
    def due(self) -> str | None:
        """The RowKey that makes the timer read the device."""
        return next((key for key in self.entries or () if key.startswith(f"{RECONCILE}|")), None)


def project(  # noqa: PLR0913 (four of them keyword-only)
    stored: StoredDevice,
    before: Summary,
    published: int,
    *,
    now: datetime,
    listings: Listings = NO_LIST,
    moved: bool = False,
) -> Summary | None:
    """Derive what the shard should hold of a device.

    Args:
        stored: The device, read after `before`.
        before: What the shard holds now.
        published: The sequence up to which its transitions are published.
        now: The time, which decides what counts as failing.
        listings: The hub's own list of deployments, which decides what counts for a deployment.
        moved: Make the row by due time exact. Otherwise an early one stays: the timer moves it when it fires.

    Returns:
        The summary; None for a removed device whose last event is published.
    """
    device_id, device = stored.device_id, key_part(stored.device_id)
    entries: Entries = {}
    if published < stored.last_sequence:
        entries[joined(PUBLISH, device)] = {}
    elif not stored.is_known:
        return None
    standings = standings_of(stored, listings, now)
    due = _due(stored, standings)
    if due is not None:
        key = joined(RECONCILE, time_text(due), device)
        early = before.due
        entries[early if early is not None and early <= key and not moved else key] = {}
    lookups, counters = lookup_rows(stored, listings), counters_of(stored, listings, standings)
    entries |= islice(lookups.items(), ROOM)
    if len(lookups) > ROOM or len(counters) > COUNTED:
        entries[joined(MORE[:-1], device)] = {}
    counted, profile = dict(islice(counters.items(), COUNTED)), _profile(stored)
    version = stored.twin_version
    twin = None if version is None else (version, stored.at)
    return Summary(device_id, before.etag, entries, counted, published, stored.etag, profile, twin)


def summary_to_compare(stored: StoredDevice, listings: Listings, now: datetime) -> Summary | None:
    """Derive the summary of a device whose events are all published, for comparison: without the source of the rows."""
    summary = project(stored, Summary(stored.device_id), stored.last_sequence, now=now, listings=listings)
    return None if summary is None else replace(summary, status_etag=None, twin=None)


def lookup_rows(stored: StoredDevice, listings: Listings = NO_LIST) -> Entries:
    """Return every row that makes a device searchable, most important first; none without a complete state."""
    if not stored.is_whole:
        return {}
    row, device = stored.rows[DEVICE], key_part(stored.device_id)
    since = time_text(row["FirstStuckSince"]) if "FirstStuckSince" in row else None
    state = {"State": row["State"]}
    entries: Entries = {joined("state", key_part(row["State"]), device): {}}
    cause = counted_cause(stored)
    if cause is not None:
        columns: dict[str, Any] = {"Stuck": since is not None}
        applied = json.dumps(credited(row), ensure_ascii=False)
        if len(applied) <= NAMES_SIZE:
            columns["Deployments"] = applied
        if stored.cohorts:
            columns["Cohorts"] = row["Cohorts"]
        entries[joined("cause", cause.id, time_text(cause.since), device)] = columns
    if since is not None:
        entries[joined("stuck", "", since, device)] = state
    for deployment in deployments_of(stored):
        name = key_part(deployment)
        entries[joined("deployment", name, device)] = {**state, "Version": version_of(deployment, listings)}
        if since is not None:
            entries[joined("stuck", name, since, device)] = state
    modules = sorted((time_text(part["StuckSince"]), key) for key, part in stored.rows.items() if "StuckSince" in part)
    for stuck_since, key in modules:
        name = EDGE_AGENT if key == DEVICE else module_name(key)
        entries[joined("module", stuck_since, device, key_part(name))] = {"Row": key}
    return entries


def _profile(stored: StoredDevice) -> Mapping[str, Any] | None:
    """Return the searchable properties; None without a complete state, and for a device of doctor."""
    is_shown = stored.is_whole and not is_doctors_device(stored.device_id)
    return Profile.of(stored.rows).columns() if is_shown else None


def _due(stored: StoredDevice, standings: Standings) -> datetime | None:
    if stored.is_known and not stored.is_whole:  # a first change was interrupted: the next run completes it
        return stored.at
    times = [stored.due_at, *(changes_at for _, changes_at in standings.values())]
    return min((time for time in times if time is not None), default=None)


def _twin(row: Mapping[str, Any]) -> tuple[int, datetime] | None:
    version, at = read_number(row.get("TwinVersion")), row.get("At")
    return None if version is None or at is None else (version, read_time(at))


def shard_of(device_id: str) -> str:
    """Return the partition of a device's rows."""
    return SHARDS[zlib.crc32(key_part(device_id).encode()) % len(SHARDS)]


def summary_key(device_id: str) -> str:
    """Return the RowKey of a device's summary."""
    return joined("summary", key_part(device_id))
