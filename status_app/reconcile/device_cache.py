"""Devices as this process has stored and projected them last: whoever begins with one reads no table.

They may be out of date, since other processes write too. Nothing is lost by that: a change holds only where the device
is still stored as it was known, by its ETag, and a writer that loses begins again with a read.
"""

from collections import OrderedDict
from typing import Final

from status_app.fleet_index.rows import Summary
from status_app.status_table.stored_device import StoredDevice

ROWS: Final = 20_000
"""Rows that are kept, of 1 to 2 KB each."""


class DeviceCache:
    """Keeps the devices that were reconciled last, each with what the index says of it."""

    def __init__(self) -> None:
        self._devices: OrderedDict[str, tuple[Summary, StoredDevice]] = OrderedDict()
        self._rows = 0

    def take(self, device_id: str) -> tuple[Summary, StoredDevice] | None:
        """A device, if it is known, for one use: what comes of that is kept instead, or nothing where it fails."""
        known = self._devices.pop(device_id, None)
        self._rows -= len(known[1].rows) if known else 0
        return known

    def keep(self, summary: Summary, stored: StoredDevice) -> None:
        """Keep a device as it is stored now, and forget those that were used longest ago."""
        self.take(stored.device_id)
        if not stored.is_known:
            return
        self._devices[stored.device_id] = summary, stored
        self._rows += len(stored.rows)
        while self._rows > ROWS:
            self.take(next(iter(self._devices)))
