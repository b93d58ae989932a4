"""How long a module may be unsettled before it is stuck.

A label in the module's createOptions overrides the operator's setting by module name, then by the longest matching
image prefix, then the default. A setting by reason overrides all of them.
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
"""Prefix of a grace period by reason."""


@dataclass(frozen=True, slots=True)
class GracePolicy:
    """The operator's settings.

    Attributes:
        default: Grace of everything not in `periods` (`GRACE_DEFAULT`).
        periods: Module name, image prefix or `reason:<reason>` to grace (`GRACE_PERIODS`); `$edgeAgent` means the
            device.
        stable_after: How long it must stay settled before a clock ends that a new version started
            (`STABLE_AFTER`).
        intensive_care: The same for a clock that started by itself (`INTENSIVE_CARE`).
        hopeless: Grace of what only a person can fix (`GRACE_HOPELESS`).
        threshold: How many devices of a deployment may fail (`FAILURE_THRESHOLD`); None if unset.
    """

    default: timedelta = DEFAULT
    periods: Mapping[str, timedelta] = field(default_factory=dict)
    stable_after: timedelta = STABLE_AFTER
    intensive_care: timedelta = INTENSIVE_CARE
    hopeless: timedelta = HOPELESS
    threshold: Threshold | None = None

    def grace(self, name: str, image: str | None, label: timedelta | None, reason: str) -> tuple[timedelta, str]:
        """Return a module's grace period and its source: `label`, `default`, or the key in `periods`."""
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
    """Return the grace period in a module's createOptions label; None if there is no valid one."""
    options = create_options(settings)
    if LABEL not in options:
        return None
    try:
        label = object_at(json.loads(options), "Labels").get(LABEL)
        return parse_duration(label) if isinstance(label, str) else None
    except (ValueError, RecursionError):
        return None  # the agent rejects invalid JSON itself; an invalid label is ignored
