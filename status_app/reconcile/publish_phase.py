"""The phase that publishes pending events, in order per device."""

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
    """Publishes committed transitions, and those left by others. What fails is left to the timer.

    Args:
        reader: Reads the history of a device.
        outbox: Sends events; None if events are not published.
    """

    def __init__(self, reader: DeviceReader, outbox: Outbox | LeftForTheApp | None) -> None:
        self._reader = reader
        self._outbox = outbox

    async def run(self, devices: Sequence[Device], deadline: Deadline) -> None:
        """Publish the pending events of each device."""

        async def publish(device: Device) -> None:
            try:
                async with deadline.limits("transitions"):
                    await self.publish(device)
            except OutOfTimeError as error:  # its state is committed
                _log.info("device %r: its events are left for the timer: %s", device.device_id, error)

        await each(devices, publish, NEVER)

    async def publish(self, device: Device) -> None:
        """Publish the pending events of a device in order. What fails is left to the timer."""
        last = device.stored.last_sequence
        try:
            is_sent = self._outbox is None or await self._send(device, self._outbox, last)
        except UnavailableError as error:
            _log.info("device %r: its events are left for the timer: %s", device.device_id, error)
        except Exception:  # noqa: BLE001 (a bug or an edited row; the committed state is still projected)
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
