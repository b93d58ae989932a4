"""The devices of a deployment, as the rows of DeploymentIndex by deployment tell of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from status_app.fleet_index.index_rows import IndexKey, IndexRows
from status_app.status_table.rows import read_number, read_time
from status_app.storage.keys import unescape

COLUMNS: Final = ["PartitionKey", "RowKey", "Device", "State", "Reason", "Portal", "StuckSince", "Generation"]
"""What is read of such a row."""

type RowsOf = Callable[[str], Awaitable[IndexRows]]
"""Asks a device, as it is stored, for its rows in the index."""


@dataclass(frozen=True, slots=True)
class Member:
    """A device on which a deployment is credited, as one row tells.

    Attributes:
        key: The row.
        portal: What IoT Hub's own counters say; empty for nothing.
        stuck_since: Since when something of it is stuck.
        generation: That of the row.
    """

    key: IndexKey
    device_id: str
    state: str
    reason: str
    portal: str
    stuck_since: datetime | None
    generation: int | None


def read_member(row: Mapping[str, Any]) -> Member:
    """What a row tells."""
    since = row.get("StuckSince")
    return Member(
        (row["PartitionKey"], row["RowKey"]),
        unescape(row["Device"]),
        row["State"],
        row["Reason"],
        row["Portal"],
        None if since is None else read_time(since),
        read_number(row["Generation"]),
    )


async def member_of(rows: Sequence[Member], rows_of: RowsOf) -> Member | None:
    """What the rows of a device by one deployment come to.

    One is taken at its word. Of two, a change under way or a crash left one, and the device is asked: it is of none
    where both are left.

    Raises:
        UnavailableError: The table service does not answer.
    """
    if len(rows) == 1:
        return rows[0]
    own = await rows_of(rows[0].device_id)
    return next((member for member in rows if member.key in own), None)
