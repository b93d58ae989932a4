"""Counters: how many devices of a shard share a state, a cause and how far they are in a deployment."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from status_app.fleet_index.leading_cause import LeadingCause, leading_cause
from status_app.fleet_index.profile import credited
from status_app.iothub.doctors_device import is_doctors_device
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.codecs import UNREADABLE
from status_app.storage.cohort_values import OTHER
from status_app.storage.keys import DEVICE, joined, key_part, time_text
from status_app.telemetry.logs import log
from status_core import Listings, Standing, standing

COUNTED: Final = 16
"""Counters that a device changes."""

_MODULES_UNKNOWN: Final = " without modules"

_log = log(__name__)

type Counters = dict[str, dict[str, Any]]
"""The columns of each counter, by its RowKey."""
type Standings = dict[str, tuple[Standing, datetime | None]]
"""How far a device is in each deployment, and when time alone changes that."""


def counters_of(stored: StoredDevice, listings: Listings, standings: Standings) -> Counters:
    """Return every counter that counts a device, those first that it changes; none without a complete state."""
    if not stored.is_whole:
        return {}
    row, cause = stored.rows[DEVICE], counted_cause(stored)
    common = {
        "State": row["State"],
        "Reason": row["Reason"],
        "Portal": row.get("Portal", ""),
        "Stuck": "FirstStuckSince" in row,
    }
    groups = [] if cause is None else [{"Deployment": "", "Standing": "", "Version": ""}]
    for deployment, (how_far, _) in standings.items():
        version = version_of(deployment, listings)
        groups.append({"Deployment": key_part(deployment), "Standing": how_far.value, "Version": version})
    found: Counters = {}
    for cohort in ("", *_counted_cohorts(stored.cohorts)):
        for group in groups:
            counted = {**common, **group}
            if cause is not None:
                counted["Cause"] = cause.line
            if cohort:
                counted["Cohort"] = cohort
            found[_counter_key(counted, "" if cause is None else cause.id)] = counted
    return found


def _counter_key(counted: Mapping[str, Any], cause: str) -> str:
    columns = (counted[name] for name in ("State", "Reason", "Portal"))
    parts = (counted.get("Cohort", ""), *columns, str(int(counted["Stuck"])), counted["Standing"], counted["Version"])
    return joined("count", counted["Deployment"], *map(key_part, parts), cause)


def _counted_cohorts(cohorts: Sequence[str]) -> list[str]:
    """Of a tag with `~other`, keep only that cohort."""
    others = {cohort.partition("=")[0] for cohort in cohorts if cohort.endswith(f"={OTHER}")}
    return [cohort for cohort in cohorts if cohort.endswith(f"={OTHER}") or cohort.partition("=")[0] not in others]


def counted_cause(stored: StoredDevice) -> LeadingCause | None:
    """Return the cause that counts a device; None for a device of doctor."""
    return None if is_doctors_device(stored.device_id) else leading_cause(stored.rows)


def standings_of(stored: StoredDevice, listings: Listings, now: datetime) -> Standings:
    """Return how far a device is in each of its deployments, and when time alone changes that."""
    try:
        record = stored.record()
    except UNREADABLE as error:  # its text may quote the row
        _log.error("the rows of device %r cannot be read: %s", stored.device_id, type(error).__name__)
        return dict.fromkeys(deployments_of(stored), (Standing.UNDERWAY, None))
    if record is None:
        return {}
    return {deployment: standing(record, deployment, listings, now) for deployment in deployments_of(stored)}


def deployments_of(stored: StoredDevice) -> tuple[str, ...]:
    """Return the deployments that count a device with a complete state; none for a device of doctor."""
    if is_doctors_device(stored.device_id):
        return ()
    return credited(stored.rows[DEVICE])


def version_of(deployment: str, listings: Listings) -> str:
    """Return when a deployment was created, by the list used for a row; empty if the list does not say.

    Devices that were judged without its modules have another version: they are judged again once the list shows them.
    """
    listing = listings.get(deployment)
    if listing is None or listing.created is None:
        return ""
    return time_text(listing.created) + ("" if listing.modules is not None else _MODULES_UNKNOWN)
