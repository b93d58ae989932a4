"""The phase in which events are published that are not published yet, those of a device in their order."""

from collections.abc import Mapping, Sequence
from typing import Any

from status_app.errors import OutOfTimeError, UnavailableError
from status_app.events.outbox import LeftForTheApp, Outbox
from status_app.reconcile.batch import Device, each
from status_app.retry import NEVER, Deadline
from status_app.status_table.reader import DeviceReader
from status_app.telemetry.logs import log

_log = log(__name__)


class PublishPhase:
    """Publishes what was committed, and what others have left. What fails is left to the timer.

    Args:
        reader: Where the history of a device is read.
        outbox: Sends events; None where none are published.
    """

    def __init__(self, reader: DeviceReader, outbox: Outbox | LeftForTheApp | None) -> None:
        self._reader = reader
        self._outbox = outbox

    async def run(self, devices: Sequence[Device], deadline: Deadline) -> None:
        """Publish what is unpublished of each device."""

        async def publish(device: Device) -> None:
            try:
                async with deadline.limits("transitions"):
                    await self.publish(device)
            except OutOfTimeError as error:  # it is committed
                _log.info("device %r: its events are left for the timer: %s", device.device_id, error)

        await each(devices, publish, NEVER)

    async def publish(self, device: Device) -> None:
        """Publish what is unpublished of a device, in its order; what fails is left to the timer."""
        last = device.stored.last_sequence
        try:
            is_sent = self._outbox is None or await self._send(device, self._outbox, last)
        except UnavailableError as error:
            _log.info("device %r: its events are left for the timer: %s", device.device_id, error)
        except Exception:  # noqa: BLE001 (a bug, or a row that was edited: what was committed is projected all the same)
            _log.exception("device %r: its events cannot be sent", device.device_id)
        else:
            device.published = last if is_sent else device.published

    async def _send(self, device: Device, outbox: Outbox | LeftForTheApp, last: int) -> bool:
        rows: Sequence[Mapping[str, Any]] = device.history
        if len(rows) < last - device.published:
            rows = await self._reader.transitions(device.device_id, range(device.published + 1, last + 1))
        elif len(rows) > last - device.published:
            rows = rows[len(rows) - last + device.published :]
        return await outbox.send(device.device_id, rows)
