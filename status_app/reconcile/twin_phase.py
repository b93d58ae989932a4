"""The phase that reads twins, and for new devices their cohorts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol

from status_app.errors import OutOfTimeError, UnavailableError
from status_app.iothub.cohorts import CohortReader, TagPages
from status_app.iothub.hub_requests import READERS
from status_app.reconcile.batch import Device, each
from status_app.reconcile.bulk_reads import BulkReads, ManyTwins, QueriedTwin
from status_app.reconcile.decisions import QUERIES_LAG, needs_a_read
from status_app.reconcile.tasks import Due, Queried, Tagged
from status_app.retry import Deadline
from status_app.telemetry.logs import log
from status_core import evaluate

READING: Final = 0.6
"""The share of the remaining time for reading twins. What was read by then is committed in the rest."""

_log = log(__name__)


class Twins(ManyTwins, TagPages, Protocol):
    """The source of twins."""

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        """Read the `$edgeAgent` twin that the hub holds now; None if there is none."""


class TwinPhase:
    """Reads from IoT Hub what the devices of a batch need.

    Args:
        twins: The source of twins.
        cohorts: The source of cohorts; None if there are none.
        bulk_reads: Queries many twins at once, if that is as good.
        clock: The time in UTC.
    """

    def __init__(
        self, twins: Twins, cohorts: CohortReader | None, bulk_reads: BulkReads, clock: Callable[[], datetime]
    ) -> None:
        self._twins = twins
        self._cohorts = cohorts
        self._bulk_reads = bulk_reads
        self._clock = clock

    def reading(self, twins: Twins) -> "TwinPhase":
        """Return the same phase with another source."""
        cohorts = self._cohorts.with_source(twins) if self._cohorts else None
        return TwinPhase(twins, cohorts, self._bulk_reads, self._clock)

    async def run(self, devices: Sequence[Device], deadline: Deadline) -> None:
        """Read the twin of each device that needs it, and the cohorts of new devices."""
        await self._read_twins(devices, deadline.part(READING))
        await self._read_cohorts(devices, deadline.part(READING))

    async def _read_twins(self, devices: Sequence[Device], deadline: Deadline) -> None:
        """Read the twins of all devices that need theirs: many by one query, the others singly."""
        waiting = [
            device
            for device in devices
            if device.outcome is None and device.error is None and not isinstance(device.task, Tagged)
        ]
        queried: Mapping[str, QueriedTwin] = {}
        with suppress(OutOfTimeError):  # each device's read raises it too
            async with deadline.limits("iothub"):
                queried = await self._bulk_reads.read(self._twins, ((device.task, device.stored) for device in waiting))

        async def read(device: Device) -> None:
            if isinstance(device.task, Queried) and not needs_a_read(device.task, device.stored):
                device.status, device.holds_until = device.task.status, device.task.queried - QUERIES_LAG
                return
            if (found := queried.get(device.device_id)) is not None:
                device.status = evaluate(found.twin, now=self._clock())
                device.holds_until = found.asked - QUERIES_LAG
                return
            try:
                twin = await self._twins.read(device.device_id)
                device.status = None if twin is None else evaluate(twin, now=self._clock())
            except UnavailableError as error:
                if not isinstance(device.task, Due):
                    raise
                _log.info("device %r: flagged as it was last seen: %s", device.device_id, error)
                device.is_silent = True

        await each(waiting, read, deadline, service="iothub", at_once=READERS)

    async def _read_cohorts(self, devices: Sequence[Device], deadline: Deadline) -> None:
        """Read the cohorts of new devices. If the hub does not answer, the daily refresh does it."""
        new = {item.device_id: item for item in devices if item.status is not None and not item.stored.is_whole}
        for device in devices:
            if isinstance(device.task, Tagged):
                device.cohorts = device.task.cohorts
        if self._cohorts is None or not new:
            return
        try:
            async with deadline.limits("iothub"):
                found = await self._cohorts.of([*new])
        except UnavailableError as error:
            _log.info("%d new devices are in no cohort yet: %s", len(new), error)
            return
        for device_id, device in new.items():
            device.cohorts = found.get(device_id)
