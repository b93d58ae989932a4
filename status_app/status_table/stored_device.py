"""A stored device."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from status_app.status_table.rows import read_record
from status_app.storage.codecs import read_number, read_time
from status_app.storage.keys import DEVICE, escape, unescape
from status_core import DeviceRecord


@dataclass(frozen=True)  # without slots: its record is read once
class StoredDevice:
    """A device as it is stored.

    Attributes:
        rows: Its state rows by RowKey; none for a device that is unknown or removed.
        etag: ETag of its own row; None if it has none.
        last_sequence: The number of its last transition, even from before a removal.
        last_at: The time of that transition, for a device without its own row.
    """

    device_id: str
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    etag: str | None = None
    last_sequence: int = 0
    last_at: datetime | None = None

    @property
    def at(self) -> datetime:
        """Hub time of its last change. Only for a device that has a state."""
        return read_time(self.rows[DEVICE]["At"])

    @property
    def is_known(self) -> bool:
        """Whether it has a state, or part of a first one."""
        return DEVICE in self.rows

    @property
    def is_whole(self) -> bool:
        """Whether it has a complete state. A first state may be written in several parts."""
        return self.is_known and bool(self.rows[DEVICE]["State"])

    @property
    def twin_version(self) -> int | None:
        """Version of the twin behind its state; None if it has no complete state."""
        return read_number(self.rows[DEVICE].get("TwinVersion")) if self.is_known else None

    @property
    def observed(self) -> datetime:
        """When that twin was read. Only for a device that has a state."""
        return read_time(self.rows[DEVICE]["ObservedAt"])

    @property
    def newest_since(self) -> datetime:
        """When the newest of its states began: its twin changed then or later. Only for a device that has a state."""
        return max(read_time(row["Since"]) for row in self.rows.values())

    @property
    def due_at(self) -> datetime | None:
        """When it must be read again even without a change; None if it need not be."""
        look_at = self.rows[DEVICE].get("LookAt") if self.is_known else None
        return None if look_at is None else read_time(look_at)

    @property
    def published(self) -> int | None:
        """The sequence up to which its transitions were published before its last change; None if not known."""
        return read_number(self.rows[DEVICE].get("Published")) if self.is_known else None

    @property
    def cohorts(self) -> Sequence[str]:
        """The cohorts that it is in."""
        return json.loads(self.rows[DEVICE].get("Cohorts", "[]")) if self.is_known else ()

    def record(self, names: Sequence[str] = ()) -> DeviceRecord | None:
        """Read the core's record; None for part of a first state, so that the next read counts as the first.

        Args:
            names: The modules of the twin to compare with.
        """
        record = self._record
        cut = {key: name for name in names if unescape(key := escape(name)) != name}
        if record is None or not cut:
            return record
        return replace(record, modules={cut.get(name, name): module for name, module in record.modules.items()})

    @cached_property
    def _record(self) -> DeviceRecord | None:
        """What the core keeps of it, with what the keys say of the names of modules."""
        return read_record(self.rows) if self.is_whole else None
