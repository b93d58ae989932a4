"""The part of IoT Hub's query language that reads `$edgeAgent` twins: all of them, or those of some devices."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from local.iothub.registry import Twin

LIMIT: Final = 8_192
"""Characters of a query. Reported by a user; Microsoft's pages do not say."""
_TWINS: Final = "SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent'"
_CHANGED: Final = (f"properties.{name}.$metadata.$lastUpdated >= 'T'" for name in ("desired", "reported"))
FORMS: Final = (_TWINS, f"{_TWINS} AND deviceId IN ['a','b']", f"{_TWINS} AND ({' OR '.join(_CHANGED)})")
"""What is answered."""

_LITERAL: Final = r"'(?:[^'\\])*'"
_QUERY: Final = re.compile(
    r"\s*select\s+\*\s+from\s+devices\.modules\s+where\s+(?-i:moduleId)\s*=\s*'(?-i:\$edgeAgent)'"
    rf"(?:\s+and\s+(?-i:deviceId)\s+in\s*\[\s*(?P<ids>{_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\]"
    r"|\s+and\s*\(\s*(?-i:properties\.desired\.\$metadata\.\$lastUpdated)\s*>=\s*'(?P<desired>[^']+)'"
    r"\s+or\s+(?-i:properties\.reported\.\$metadata\.\$lastUpdated)\s*>=\s*'(?P<reported>[^']+)'\s*\))?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query.

    Attributes:
        device_ids: The devices that it is about; None: all.
        since: The least time of the last change of each section, of which one is enough; none: whatever they are.
    """

    device_ids: frozenset[str] | None
    since: Mapping[str, datetime]

    def answer(self, twins: Iterable[Twin]) -> list[Mapping[str, Any]]:
        """What it gives of twins, in their order."""
        return [twin for twin in twins if self._is_about(twin)]

    def _is_about(self, twin: Twin) -> bool:
        if self.device_ids is not None and twin["deviceId"] not in self.device_ids:
            return False
        sections = twin.get("properties", {})
        times = {name: sections.get(name, {}).get("$metadata", {}).get("$lastUpdated") for name in self.since}
        return not self.since or any(
            time is not None and datetime.fromisoformat(time) >= self.since[name] for name, time in times.items()
        )


def parse(text: str) -> Query | None:
    """A query; None where it is none of the forms."""
    match = _QUERY.fullmatch(text)
    if match is None:
        return None
    ids = match["ids"]
    try:
        since = {name: datetime.fromisoformat(match[name]) for name in ("desired", "reported") if match[name]}
    except ValueError:
        return None
    return Query(None if ids is None else frozenset(re.findall(r"'([^']*)'", ids)), since)
