"""What peers say of a cause: how many devices run the image that it names, and how many of these have the cause.

The twin of one device often does not show why a pull fails, and the fleet can. What follows from it is an inference.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Any, Final, Self

from azure.data.tables import TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.fleet_index.profile import Profile
from status_app.storage import transaction
from status_app.storage.client import TRANSACTION_LIMIT, table_errors
from status_app.storage.codecs import UNREADABLE, read_number, read_time
from status_app.telemetry.logs import log
from status_core import Cause, Reason

PARTITION: Final = "peers"
_PULLS: Final = (
    Reason.REGISTRY_REFUSED,
    Reason.IMAGE_NOT_FOUND,
    Reason.WRONG_PLATFORM,
    Reason.REGISTRY_UNREACHABLE,
    Reason.PULL_TIMED_OUT,
    Reason.PULL_FAILED,
)
"""Reasons for which a device does not get an image, whatever its disk: `disk_full` says by itself whose fault it is."""

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class Peers:
    """The numbers of one cause.

    Attributes:
        devices: How many devices had the cause.
        running: How many others report its image.
        failing: How many report its image and have the cause.
        shared: What all that have the cause have in common and not all others: cohorts, and the agent's version.
        counted: When they were counted.
    """

    devices: int
    running: int
    failing: int
    shared: str
    counted: datetime

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """The numbers of a row."""
        devices, running, failing = (read_number(row[name]) or 0 for name in ("Devices", "Running", "Failing"))
        return cls(devices, running, failing, row["Shared"], read_time(row["CountedAt"]))

    def columns(self) -> dict[str, Any]:
        """The columns of the row."""
        return {
            "Devices": self.devices,
            "Running": self.running,
            "Failing": self.failing,
            "Shared": self.shared,
            "CountedAt": self.counted,
        }


def count_peers(causes: Mapping[str, Cause], profiles: Iterable[Profile], counted: datetime) -> dict[str, Peers]:
    """The numbers of causes that name an image, in one pass over the fleet.

    Args:
        causes: The causes by their ids.
        profiles: Those of all devices.
        counted: The time.
    """
    reporting, having = dict[str, list[Profile]](), dict[str, list[Profile]]()
    images = {cause.image for cause in causes.values()}
    for profile in profiles:
        for image in {image for image, _ in (profile.images or {}).values()} & images:
            reporting.setdefault(image, []).append(profile)
        if profile.cause in causes:
            having.setdefault(profile.cause, []).append(profile)
    found = {}
    for cause_id, cause in causes.items():
        all_reporting, failing = reporting.get(cause.image, []), having.get(cause_id, [])
        others = [profile for profile in all_reporting if profile.cause != cause_id]
        shared = _shared(failing, others) if others else ""
        at_both = len(all_reporting) - len(others)
        found[cause_id] = Peers(len(failing), len(others), at_both, shared, counted)
    return found


def inference(cause: Cause, peers: Peers) -> tuple[str, str] | None:
    """What the numbers say, and what to do then; None where they say nothing.

    Args:
        cause: The cause.
        peers: Its numbers.
    """
    if not peers.devices:
        return None
    if cause.reason in _PULLS:
        if not peers.running:
            says = f"No device runs this image, and {_devices(peers.devices)} cannot get it: it looks like the image."
            return says, "Check the image, its tag and the registry's credentials in the deployment."
        if peers.running >= peers.devices:
            run = f"{_devices(peers.running)} run{'s' if peers.running == 1 else ''}"
            these = "this device" if peers.devices == 1 else "these devices"
            says = f"{run} this image, and {peers.devices} cannot get it: it looks like {these}."
            return says, f"Check network, disk and credentials of {these}."
    elif peers.failing and not peers.running:
        where = "the only device" if peers.failing == 1 else f"all {peers.failing} devices"
        says = f"It fails on {where} that got this image: it looks like the image."
        return says, "Look at the image, or go back to the one before."
    if peers.failing and peers.running:
        common = f"; these have in common: {peers.shared}" if peers.shared else ""
        says = f"It fails on {peers.failing} of {_devices(peers.failing + peers.running)} that got this image{common}."
        return says, "Compare those on which it fails with those on which it runs."
    return None


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number} devices"


def _shared(failing: list[Profile], others: list[Profile]) -> str:
    """Properties of all that fail, and not of all others."""

    def properties(profile: Profile) -> list[str]:
        version = [f"edgeAgent {profile.agent_version}"] if profile.agent_version else []
        return [*profile.cohorts, *version]

    of_failing = Counter(item for profile in failing for item in properties(profile))
    of_others = Counter(item for profile in others for item in properties(profile))
    common = [item for item, number in of_failing.items() if number == len(failing)]
    return ", ".join(sorted(item for item in common if of_others[item] < len(others)))


class PeerRows:
    """Keeps the numbers: a row for each cause that names an image."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def read(self) -> dict[str, Peers]:
        """The numbers by the ids of causes; a row that cannot be read costs itself. One request.

        Raises:
            UnavailableError: The table service does not answer.
        """
        with table_errors():
            rows = [row async for row in self._client.query_entities(f"PartitionKey eq '{PARTITION}'")]
        found = {}
        for row in rows:
            try:
                found[row["RowKey"]] = Peers.read(row)
            except UNREADABLE as error:  # its text may quote the row
                _log.error("the peers of cause %r cannot be read: %s", row["RowKey"], type(error).__name__)
        return found

    async def replace(self, before: Mapping[str, Peers], after: Mapping[str, Peers]) -> None:
        """Keep numbers in the place of those before. A request for each hundred causes of which they differ.

        Raises:
            UnavailableError: The table service does not answer.
        """
        operations: list[transaction.Operation] = [
            (TransactionOperation.DELETE, {"PartitionKey": PARTITION, "RowKey": cause})
            for cause in before.keys() - after.keys()
        ]
        for cause, peers in after.items():
            if before.get(cause) != peers:
                row = {"PartitionKey": PARTITION, "RowKey": cause, **peers.columns()}
                operations.append((TransactionOperation.UPSERT, row, {"mode": UpdateMode.REPLACE}))
        with table_errors():
            for some in batched(operations, TRANSACTION_LIMIT, strict=False):
                await transaction.submit(self._client, some)
