"""How long a module may be unsettled before it counts as stuck.

A label in the module's createOptions wins, then the operator's setting by module name, then by image prefix
(the longest that fits), then the default.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from status_core.create_options import create_options
from status_core.durations import parse_duration
from status_core.reading import object_at

LABEL: Final = "deployment-status.grace"
DEFAULT: Final = timedelta(minutes=15)
STABLE_AFTER: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class GracePolicy:
    """The operator's settings.

    Attributes:
        default: Grace of whatever `periods` does not name (`GRACE_DEFAULT`).
        periods: Module name or image prefix to grace (`GRACE_PERIODS`); `$edgeAgent` stands for the device.
        stable_after: How long something must be settled before its clock ends (`STABLE_AFTER`).
    """

    default: timedelta = DEFAULT
    periods: Mapping[str, timedelta] = field(default_factory=dict)
    stable_after: timedelta = STABLE_AFTER

    def grace(self, name: str, image: str | None, label: timedelta | None) -> timedelta:
        """The grace period of one module."""
        if label is not None:
            return label
        if name in self.periods:
            return self.periods[name]
        prefixes = [prefix for prefix in self.periods if (image or "").strip().startswith(prefix)]
        return self.periods[max(prefixes, key=len)] if prefixes else self.default


def grace_label(settings: Mapping[str, Any]) -> timedelta | None:
    """The grace period that a module's own createOptions ask for; None where they ask for none that is one."""
    options = create_options(settings)
    if LABEL not in options:
        return None
    try:
        label = object_at(json.loads(options), "Labels").get(LABEL)
        return parse_duration(label) if isinstance(label, str) else None
    except (ValueError, RecursionError):
        return None  # the agent rejects what is no JSON; a label that is no duration asks for nothing
