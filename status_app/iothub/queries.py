"""The app's queries to the hub, in the query language of IoT Hub."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from status_core import EDGE_AGENT

PAGE_SIZE: Final = 100
"""Twins per page: the most that the hub returns, because S1 allows 20 queries a minute."""
LIMIT: Final = 8_000
"""Characters of a query. A user reports that the hub refuses more than about 8,200 (azure-iot-sdk-csharp, issue 1680);
Microsoft documents no limit."""
_MODULES: Final = f"FROM devices.modules WHERE moduleId = '{EDGE_AGENT}'"
ALL: Final = f"SELECT * {_MODULES}"
OUTLINES: Final = (
    "SELECT deviceId, version, configurations, properties.desired.$metadata.$lastUpdated AS desiredAt, "
    f"properties.reported.$metadata.$lastUpdated AS reportedAt {_MODULES}"
)
"""Fields that show whether a twin has changed, a hundredth of its size. It is undocumented whether hubs accept this."""
TAGS: Final = "SELECT deviceId, tags FROM devices"
"""Tags are in the twin of a device, not in that of a module."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9\-.+%_#*?!(),:=@$]{1,128}")
"""Ids that need no escaping: all characters that IoT Hub allows in an id, except the quote."""


def is_plain(device_id: str) -> bool:
    """Whether a query can name a device. How to escape a quote is not documented, so such an id is never used."""
    return _PLAIN.fullmatch(device_id) is not None


def changed_since(time: datetime) -> str:
    """Build the query for twins with a section changed at that time or later.

    Public code uses it for devices (LoRaWAN starter kit). It is undocumented whether hubs accept it for modules.
    """
    text = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sections = (f"properties.{name}.$metadata.$lastUpdated >= '{text}'" for name in ("desired", "reported"))
    return f"{ALL} AND ({' OR '.join(sections)})"


def of_devices(device_ids: Iterable[str]) -> str:
    """Build the query for the twins of some devices with plain ids."""
    return f"{ALL} AND {_is_one(device_ids)}"


def outlines_of(device_ids: Iterable[str]) -> str:
    """Build the query for the outlines of some twins with plain ids."""
    return f"{OUTLINES} AND {_is_one(device_ids)}"


def tags_of(device_ids: Iterable[str]) -> str:
    """Build the query for the tags of some devices with plain ids."""
    return f"{TAGS} WHERE {_is_one(device_ids)}"


def portions(device_ids: Iterable[str], query: Callable[[Iterable[str]], str] = of_devices) -> Iterator[Sequence[str]]:
    """Split devices into few portions that each fit into a query and a page. Ids that are not plain are left out."""
    room = LIMIT - len(query(()))
    portion: list[str] = []
    size = 0
    for device_id in filter(is_plain, device_ids):
        length = len(device_id) + len("'',")
        if len(portion) == PAGE_SIZE or size + length > room:
            yield portion
            portion, size = [], 0
        portion.append(device_id)
        size += length
    if portion:
        yield portion


def _is_one(device_ids: Iterable[str]) -> str:
    return f"deviceId IN [{','.join(f"'{device_id}'" for device_id in device_ids)}]"
