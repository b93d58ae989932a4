"""The part of IoT Hub's query language that reads `$edgeAgent` twins: all of them, or those of some devices."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.iothub.registry import Twin

LIMIT: Final = 8_192
"""Characters of a query. Reported by a user; Microsoft's pages do not say."""
FORMS: Final = (
    "SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent'",
    "SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent' AND deviceId IN ['a','b']",
)
"""What is answered."""

_LITERAL: Final = r"'(?:[^'\\])*'"
_QUERY: Final = re.compile(
    r"\s*select\s+\*\s+from\s+devices\.modules\s+where\s+(?-i:moduleId)\s*=\s*'(?-i:\$edgeAgent)'"
    rf"(?:\s+and\s+(?-i:deviceId)\s+in\s*\[\s*(?P<ids>{_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\])?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query.

    Attributes:
        device_ids: The devices that it is about; None: all.
    """

    device_ids: frozenset[str] | None

    def answer(self, twins: Iterable[Twin]) -> list[Mapping[str, Any]]:
        """What it gives of twins, in their order."""
        return [twin for twin in twins if self.device_ids is None or twin["deviceId"] in self.device_ids]


def parse(text: str) -> Query | None:
    """A query; None where it is none of the forms."""
    match = _QUERY.fullmatch(text)
    if match is None:
        return None
    ids = match["ids"]
    return Query(None if ids is None else frozenset(re.findall(r"'([^']*)'", ids)))
