"""Devices as this process last stored and projected them, so that the next batch need not read the tables.

They may be out of date, because other processes write too. That loses nothing: a change is only stored if the device
still has the known ETag, and a writer that loses the race reads again.
"""

from collections import OrderedDict
from typing import Final

from status_app.fleet_index.rows import Summary
from status_app.status_table.stored_device import StoredDevice

ROWS: Final = 20_000
"""Rows in the cache, of 1 to 2 KB each."""


class DeviceCache:
    """Caches the devices reconciled last, each with its summary if that was read."""

    def __init__(self) -> None:
        self._devices: OrderedDict[str, tuple[Summary | None, StoredDevice]] = OrderedDict()
        self._rows = 0

    def take(self, device_id: str) -> tuple[Summary | None, StoredDevice] | None:
        """Remove and return a device for one use. Its new state is stored afterwards, or nothing if that fails."""
        known = self._devices.pop(device_id, None)
        self._rows -= len(known[1].rows) if known else 0
        return known

    def keep(self, summary: Summary | None, stored: StoredDevice) -> None:
        """Add a device as it is stored now, and drop those used longest ago."""
        self.take(stored.device_id)
        if not stored.is_known:
            return
        self._devices[stored.device_id] = summary, stored
        self._rows += len(stored.rows)
        while self._rows > ROWS:
            self.take(next(iter(self._devices)))
