"""The phases that work on the index: look up what it holds of a device, announce a change, project the device."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from status_app.errors import OutOfTimeError
from status_app.fleet_index.former import FormerIndex
from status_app.fleet_index.index_transaction import Projection
from status_app.fleet_index.projection import FleetProjection
from status_app.fleet_index.rows import Summary, project
from status_app.reconcile.batch import Device, each
from status_app.reconcile.publish_phase import PublishPhase
from status_app.reconcile.tasks import Announced, Due
from status_app.retry import NEVER, Deadline
from status_app.status_table.reader import DeviceReader
from status_app.status_table.stored_device import StoredDevice
from status_app.telemetry.logs import log

_log = log(__name__)


class IndexPhase:
    """Keeps the index equal to the stored devices.

    Args:
        projection: Writes the index.
        former: The index as the previous release wrote it.
        reader: Reads stored devices.
        publishing: Publishes what a writer that was first has left.
        clock: The time in UTC.
    """

    def __init__(
        self,
        projection: FleetProjection,
        former: FormerIndex,
        reader: DeviceReader,
        publishing: PublishPhase,
        clock: Callable[[], datetime],
    ) -> None:
        self._projection = projection
        self._former = former
        self._reader = reader
        self._publishing = publishing
        self._clock = clock

    async def summary(self, device_id: str) -> Summary:
        """Read what the index holds of a device."""
        return await self._projection.read(device_id)

    async def take(self, device: Device, summary: Summary | None, stored: StoredDevice) -> None:
        """Take over a device as it was read, without sending again what this process has sent."""
        device.summary, device.stored = summary, stored
        published = summary.published if summary is not None and summary.published is not None else stored.published
        if published is None and summary is not None:  # no row of this release has it
            published = await self._published_without_a_row(stored) if stored.last_sequence else 0
        device.published = max(device.published, published or 0)

    async def consult(self, device: Device) -> None:
        """Read the summary of a device that changes, unless it is known, or the device has no history and is new."""
        if device.summary is None and device.change is not None:
            is_new = device.stored.last_sequence == 0
            summary = Summary(device.device_id) if is_new else await self.summary(device.device_id)
            await self.take(device, summary, device.stored)
            device.change = replace(device.change, published=device.published)
        if device.change is not None and device.change.record is None:
            await self._keep_published(device)

    async def announce(self, devices: Sequence[Device], deadline: Deadline) -> None:
        """Announce that devices may change, once more in each round: earlier announcements may have ended."""
        device_ids = [device.device_id for device in devices]
        announced: Mapping[str, str | Exception]
        try:
            async with deadline.limits("tables"):
                announced = await self._projection.announce(device_ids)
        except OutOfTimeError as error:
            announced = dict.fromkeys(device_ids, error)
        for device in devices:
            key = announced[device.device_id]
            if isinstance(key, Exception):
                device.error = key
            else:
                device.pending.add(key)

    async def project(self, devices: Sequence[Device]) -> list[Device]:
        """Project devices.

        Returns:
            Those that are projected, each with its new summary. The timer projects the others.
        """
        work: dict[str, Device] = {}
        projections: list[Projection] = []

        async def prepare(device: Device) -> None:
            projections.append(self._projection_of(device))
            work[device.device_id] = device

        await each(devices, prepare, NEVER)

        async def again(item: Projection) -> Projection:
            return await self._as_it_is_now(work[item.before.device_id])

        results = await self._projection.project(projections, again)
        projected = []
        for device in work.values():
            result = results[device.device_id]
            if not isinstance(result, Exception):
                device.summary = result
                projected.append(device)
                continue
            _log.info("device %r: the timer projects it: %s", device.device_id, result)
            if isinstance(device.task, Announced):  # nothing else will project it
                device.error = result
        return projected

    async def _published_without_a_row(self, stored: StoredDevice) -> int:
        """Return the sequence up to which a device is published for sure, if the previous release wrote its row last.

        That drops `Published`: what this release committed before, and did not project, may be unpublished too.
        """
        unsent = await self._former.first_unsent(stored.device_id), await self._reader.first_of_this_release(stored)
        return min((sequence - 1 for sequence in unsent if sequence is not None), default=stored.last_sequence)

    async def _keep_published(self, device: Device) -> None:
        """Project a device without a summary before its removal.

        Its row, which holds `Published`, is deleted, so the summary must hold it. The summary is missing if the
        projection of the device's first change failed.
        """
        if device.summary is None or device.summary.etag is not None:
            return
        item = replace(self._projection_of(device), pending=frozenset())
        results = await self._projection.project([item], lambda _: self._as_it_is_now(device))
        result = results[device.device_id]
        if isinstance(result, Exception):
            raise result
        device.summary = result

    async def _as_it_is_now(self, device: Device) -> Projection:
        """Return the new projection of a device after a lost race."""
        summary = await self.summary(device.device_id)
        await self.take(device, summary, await self._reader.read(device.device_id))
        if device.has_unpublished:
            device.history = []
            await self._publishing.publish(device)
        return self._projection_of(device)

    def _projection_of(self, device: Device) -> Projection:
        before = device.summary or Summary(device.device_id)
        after = project(
            device.stored,
            before,
            device.published,
            now=self._clock(),
            listings=device.listings,
            moved=isinstance(device.task, Due),
        )
        pending = set(device.pending)
        if isinstance(device.task, Announced):
            pending |= device.task.pending if device.stored.is_known else device.task.forgotten
        return Projection(before, after, frozenset(pending))
