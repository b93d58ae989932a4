"""Counts the peers of a cause: how many devices run its image, and how many of these have the cause.

The twin of one device often does not show why a pull fails, but the fleet can. The conclusion is an inference.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from azure.data.tables.aio import TableClient

from status_app.fleet_index.profile import Profile
from status_app.storage import transaction
from status_app.storage.client import table_errors
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
"""Reasons why a device does not get an image, except `disk_full`, which is clearly the device's own."""

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class Peers:
    """The numbers of one cause.

    Attributes:
        devices: How many devices had the cause.
        running: How many others report its image.
        failing: How many report its image and have the cause.
        shared: Cohorts and agent version that all devices with the cause share, and not all others.
        counted: When they were counted.
    """

    devices: int
    running: int
    failing: int
    shared: str
    counted: datetime

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """Read the numbers from a row."""
        devices, running, failing = (read_number(row[name]) or 0 for name in ("Devices", "Running", "Failing"))
        return cls(devices, running, failing, row["Shared"], read_time(row["CountedAt"]))

    def columns(self) -> dict[str, Any]:
        """Return the columns of the row."""
        return {
            "Devices": self.devices,
            "Running": self.running,
            "Failing": self.failing,
            "Shared": self.shared,
            "CountedAt": self.counted,
        }


def count_peers(causes: Mapping[str, Cause], profiles: Iterable[Profile], counted: datetime) -> dict[str, Peers]:
    """Count the peers of causes that name an image, in one pass over the fleet.

    Args:
        causes: The causes by their ids.
        profiles: The profiles of all devices.
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
    """Return what the numbers suggest, and what to do; None if they suggest nothing.

    Args:
        cause: The cause.
        peers: Its numbers.
    """
    if not peers.devices:
        return None
    if cause.reason in _PULLS:
        if not peers.running:
            says = f"No device runs this image, and {_devices(peers.devices)} cannot get it: the image seems wrong."
            return says, "Check the image, its tag and the registry's credentials in the deployment."
        if peers.running >= peers.devices:
            run = f"{_devices(peers.running)} run{'s' if peers.running == 1 else ''}"
            these = "this device" if peers.devices == 1 else "these devices"
            says = f"{run} this image, and {peers.devices} cannot get it: {these} "
            says += f"{'seems' if peers.devices == 1 else 'seem'} to be the problem."
            return says, f"Check network, disk and credentials of {these}."
    elif peers.failing and not peers.running:
        where = "the only device" if peers.failing == 1 else f"all {peers.failing} devices"
        says = f"It fails on {where} that got this image: the image seems to be the problem."
        return says, "Check the image, or go back to the previous one."
    if peers.failing and peers.running:
        common = f"; these have in common: {peers.shared}" if peers.shared else ""
        says = f"It fails on {peers.failing} of {_devices(peers.failing + peers.running)} that got this image{common}."
        return says, "Compare the devices on which it fails with those on which it runs."
    return None


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number} devices"


def _shared(failing: list[Profile], others: list[Profile]) -> str:
    """Return the properties that all failing devices have, but not all others."""

    def properties(profile: Profile) -> list[str]:
        version = [f"edgeAgent {profile.agent_version}"] if profile.agent_version else []
        return [*profile.cohorts, *version]

    of_failing = Counter(item for profile in failing for item in properties(profile))
    of_others = Counter(item for profile in others for item in properties(profile))
    common = [item for item, number in of_failing.items() if number == len(failing)]
    return ", ".join(sorted(item for item in common if of_others[item] < len(others)))


class PeerRows:
    """Stores the numbers: one row for each cause that names an image."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def read(self) -> dict[str, Peers]:
        """Read the numbers by cause id. A row that cannot be read is logged and skipped. One request.

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
        """Replace the stored numbers. One request per hundred causes that changed.

        Raises:
            UnavailableError: The table service does not answer.
        """
        changed = (
            {"PartitionKey": PARTITION, "RowKey": cause, **peers.columns()}
            for cause, peers in after.items()
            if before.get(cause) != peers
        )
        gone = ({"PartitionKey": PARTITION, "RowKey": cause} for cause in before.keys() - after.keys())
        with table_errors():
            await transaction.replace(self._client, changed)
            await transaction.delete(self._client, gone)
