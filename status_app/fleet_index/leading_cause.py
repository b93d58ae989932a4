"""The single cause under which a device is counted, so that the counts of causes add up to the devices."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from status_app.storage.codecs import read_time
from status_app.storage.keys import DEVICE, module_name
from status_core import Cause, Reason, known_reason

PASSING: Final = (Reason.WAITING_FOR_DEVICE, Reason.SETTLING, Reason.AGENT_UPDATING)
"""Reasons that occur in every rollout. A device that only waits, and is not stuck, counts under no cause."""
_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class LeadingCause:
    """Why a device is not as desired.

    Attributes:
        line: The cause as one line; equal causes have equal lines.
        since: Since when the first part with this cause is not as desired.
    """

    line: str
    since: datetime

    @property
    def id(self) -> str:
        """Its id in keys and addresses."""
        return cause_id(self.line)


def cause_id(line: str) -> str:
    """Return the id of a cause: the start of a digest, the same in every release and every fleet."""
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def leading_cause(rows: Mapping[str, Mapping[str, Any]]) -> LeadingCause | None:
    """Return the device's own cause, else that of the part stuck for the longest time; None if it has none.

    Args:
        rows: The state rows of the device by RowKey, its own among them.
    """
    key, device = DEVICE, rows[DEVICE]
    line = device.get("Cause")
    if line is None or (not device.get("Stuck") and known_reason(device["Reason"]) in PASSING):
        stuck = min(((row["StuckSince"], key) for key, row in rows.items() if "StuckSince" in row), default=None)
        if stuck is None:
            return None
        key = stuck[1]
        line = rows[key].get("Cause") or _without_words(key, rows[key])
    alike = [row for name, row in rows.items() if name != DEVICE and row.get("Cause") == line] or [rows[key]]
    since = min(row.get("UnsettledSince", row["Since"]) for row in alike)
    return LeadingCause(line, read_time(since))


def _without_words(key: str, row: Mapping[str, Any]) -> str:
    """Build the cause of something stuck whose row has none: an undesired module, or a row of an old release."""
    reason = known_reason(row["Reason"])
    return str(Cause(reason, "" if key == DEVICE else module_name(key))) if reason is not None else row["Reason"]
