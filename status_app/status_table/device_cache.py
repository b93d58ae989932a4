"""Devices as this process has stored them last: a look that begins with one reads no table.

They may be out of date, since other processes write too. Nothing is lost by that: a change holds only where the device
is still stored as it was known, by its ETag, and a look that loses begins anew with a read.
"""

from collections import OrderedDict
from typing import Final

from status_app.status_table.stored_device import StoredDevice

ROWS: Final = 20_000
"""Rows that are kept, of 1 to 2 KB each."""


class KnownDevices:
    """Keeps the devices that were looked at last."""

    def __init__(self) -> None:
        self._devices: OrderedDict[str, StoredDevice] = OrderedDict()
        self._rows = 0

    def take(self, device_id: str) -> StoredDevice | None:
        """A device, if it is known, for one look: what comes of that is kept instead, or nothing where it fails."""
        stored = self._devices.pop(device_id, None)
        self._rows -= len(stored.rows) if stored else 0
        return stored

    def keep(self, stored: StoredDevice) -> None:
        """Keep a device as it is stored now, and forget those that were looked at longest ago."""
        self.take(stored.device_id)
        if not stored.is_known:
            return
        self._devices[stored.device_id] = stored
        self._rows += len(stored.rows)
        while self._rows > ROWS:
            self.take(next(iter(self._devices)))
