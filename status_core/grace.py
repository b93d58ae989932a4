"""How long a module may be unsettled before it counts as stuck.

A label in the module's createOptions wins, then the operator's setting by module name, then by image prefix
(the longest that fits), then the default. A setting by reason wins over all of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from status_core.create_options import create_options
from status_core.durations import parse_duration
from status_core.reading import object_at
from status_core.threshold import Threshold

LABEL: Final = "deployment-status.grace"
DEFAULT: Final = timedelta(minutes=15)
STABLE_AFTER: Final = timedelta(seconds=60)
INTENSIVE_CARE: Final = timedelta(minutes=10)
HOPELESS: Final = timedelta(minutes=2)
BY_REASON: Final = "reason:"
"""Begins the name of a grace period that goes by reason."""


@dataclass(frozen=True, slots=True)
class GracePolicy:
    """The operator's settings.

    Attributes:
        default: Grace of whatever `periods` does not name (`GRACE_DEFAULT`).
        periods: Module name, image prefix or `reason:<reason>` to grace (`GRACE_PERIODS`); `$edgeAgent` means the
            device.
        stable_after: How long something must be settled before its clock ends, where a new version made it leave
            (`STABLE_AFTER`).
        intensive_care: The same, where it left by itself (`INTENSIVE_CARE`).
        hopeless: Grace of what only a person can change (`GRACE_HOPELESS`).
        threshold: How many devices of a deployment may fail; None: nobody says (`FAILURE_THRESHOLD`).
    """

    default: timedelta = DEFAULT
    periods: Mapping[str, timedelta] = field(default_factory=dict)
    stable_after: timedelta = STABLE_AFTER
    intensive_care: timedelta = INTENSIVE_CARE
    hopeless: timedelta = HOPELESS
    threshold: Threshold | None = None

    def grace(self, name: str, image: str | None, label: timedelta | None, reason: str) -> tuple[timedelta, str]:
        """The grace period of one module, and where it comes from: `label`, `default`, or what `periods` calls it."""
        by_reason = f"{BY_REASON}{reason}"
        if by_reason in self.periods:
            return self.periods[by_reason], by_reason
        if label is not None:
            return label, "label"
        if name in self.periods:
            return self.periods[name], name
        prefixes = [prefix for prefix in self.periods if (image or "").strip().startswith(prefix)]
        if not prefixes:
            return self.default, "default"
        longest = max(prefixes, key=len)
        return self.periods[longest], longest


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
