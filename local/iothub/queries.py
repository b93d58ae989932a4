"""The queries of IoT Hub that the app uses: `$edgeAgent` twins, their changes, and tags."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from local.iothub.registry import Twin

LIMIT: Final = 8_192
"""Characters of a query. Reported by a user; Microsoft's pages do not say."""
_TWINS: Final = "SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent'"
_OUTLINES: Final = (
    "SELECT deviceId, version, configurations, properties.desired.$metadata.$lastUpdated AS desiredAt, "
    "properties.reported.$metadata.$lastUpdated AS reportedAt FROM devices.modules WHERE moduleId = '$edgeAgent'"
)
_TAGS: Final = "SELECT deviceId, tags FROM devices"
_SECTIONS: Final = ("desired", "reported")
_CHANGED: Final = (f"properties.{name}.$metadata.$lastUpdated >= 'T'" for name in _SECTIONS)
FORMS: Final = (
    _TWINS,
    f"{_TWINS} AND deviceId IN ['a','b']",
    f"{_TWINS} AND ({' OR '.join(_CHANGED)})",
    f"{_OUTLINES} AND deviceId IN ['a','b']",
    _TAGS,
    f"{_TAGS} WHERE deviceId IN ['a','b']",
)
"""The supported forms."""

_LITERAL: Final = r"'(?:[^'\\])*'"
_IN: Final = rf"(?-i:deviceId)\s+in\s*\[\s*(?P<ids>{_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\]"
_QUERIES: Final = {
    "twins": re.compile(
        r"\s*select\s+\*\s+from\s+devices\.modules\s+where\s+(?-i:moduleId)\s*=\s*'(?-i:\$edgeAgent)'"
        rf"(?:\s+and\s+{_IN}"
        r"|\s+and\s*\(\s*(?-i:properties\.desired\.\$metadata\.\$lastUpdated)\s*>=\s*'(?P<desired>[^']+)'"
        r"\s+or\s+(?-i:properties\.reported\.\$metadata\.\$lastUpdated)\s*>=\s*'(?P<reported>[^']+)'\s*\))?\s*",
        re.IGNORECASE,
    ),
    "outlines": re.compile(
        r"\s*select\s+(?-i:deviceId\s*,\s*version\s*,\s*configurations)"
        r"\s*,\s*(?-i:properties\.desired\.\$metadata\.\$lastUpdated)\s+as\s+(?-i:desiredAt)"
        r"\s*,\s*(?-i:properties\.reported\.\$metadata\.\$lastUpdated)\s+as\s+(?-i:reportedAt)"
        rf"\s+from\s+devices\.modules\s+where\s+(?-i:moduleId)\s*=\s*'(?-i:\$edgeAgent)'\s+and\s+{_IN}\s*",
        re.IGNORECASE,
    ),
    "tags": re.compile(
        rf"\s*select\s+(?-i:deviceId)\s*,\s*tags\s+from\s+devices(?:\s+where\s+{_IN})?\s*", re.IGNORECASE
    ),
}


@dataclass(frozen=True, slots=True)
class Query:
    """A query.

    Attributes:
        gives: Whole module twins, their outlines, or the tags of devices.
        device_ids: The requested devices; None: all.
        since: The earliest time of the last change, by section. One match is enough. Empty: no restriction.
    """

    gives: Literal["twins", "outlines", "tags"]
    device_ids: frozenset[str] | None
    since: Mapping[str, datetime]

    def is_about(self, twin: Twin) -> bool:
        """Whether the answer includes the device of a twin."""
        if self.device_ids is not None and twin["deviceId"] not in self.device_ids:
            return False
        sections = twin.get("properties", {})
        times = {name: sections.get(name, {}).get("$metadata", {}).get("$lastUpdated") for name in self.since}
        return not self.since or any(
            time is not None and datetime.fromisoformat(time) >= self.since[name] for name, time in times.items()
        )

    def item(self, twin: Twin, tags_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return the item of the answer. It has no tags if the device has none."""
        if self.gives == "twins":
            return twin
        if self.gives == "outlines":
            sections = twin.get("properties", {})
            times = {f"{name}At": sections.get(name, {}).get("$metadata", {}).get("$lastUpdated") for name in _SECTIONS}
            said = {name: twin.get(name) for name in ("deviceId", "version", "configurations")} | times
            return {name: value for name, value in said.items() if value is not None}
        tags = tags_of(twin["deviceId"])
        return {"deviceId": twin["deviceId"], **({"tags": tags} if tags else {})}


def parse(text: str) -> Query | None:
    """Parse a query; None if it has none of the supported forms."""
    if (match := _QUERIES["tags"].fullmatch(text)) is not None:
        return Query("tags", _device_ids(match), {})
    if (match := _QUERIES["outlines"].fullmatch(text)) is not None:
        return Query("outlines", _device_ids(match), {})
    if (match := _QUERIES["twins"].fullmatch(text)) is None:
        return None
    try:
        since = {name: datetime.fromisoformat(match[name]) for name in _SECTIONS if match[name]}
    except ValueError:
        return None
    return Query("twins", _device_ids(match), since)


def _device_ids(match: re.Match[str]) -> frozenset[str] | None:
    return None if match["ids"] is None else frozenset(re.findall(r"'([^']*)'", match["ids"]))
