"""What the agent's own description of a failed plan means.

Texts of several agent generations; they are quoted in issues of Azure/iotedge and built in edge-agent's
Core/Agent.cs (`One or more errors occurred. (...) (...)`), Edgelet and Docker clients.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from status_core.reasons import Reason

_TIMED_OUT: Final = re.compile(r"cancel|time-?\s?out|timed out", re.IGNORECASE)
_STEPS: Final[tuple[tuple[re.Pattern[str], Reason], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"list modules", Reason.RUNTIME_UNREACHABLE),
        (r"could not pull|pull access denied|manifest unknown|manifest for .* not found", Reason.PULL_FAILED),
        (r"calling start module|could not start module", Reason.START_FAILED),
        (r"calling (stop|remove|delete) module", Reason.STOP_FAILED),
        (r"calling (create|update) module", Reason.CREATE_FAILED),
        (r"is not a valid status", Reason.STATUS_UNREADABLE),
        (r"identity|identities", Reason.IDENTITY_FAILED),
    )
)
_STEP: Final = re.compile(r"(?=error calling )", re.IGNORECASE)
"""Where the text of a step begins: several steps can fail, each for a reason of its own."""
_PREPARE: Final = re.compile(r"calling prepare update", re.IGNORECASE)
_NAMED: Final = re.compile(r"\bmodule ([^\s:()]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason, and that of each module that the text names (lower case; none where it names none)."""

    reason: Reason
    modules: Mapping[str, Reason]


def explain(description: str, *, image_outstanding: bool) -> Explanation:
    """Map the description of a code 500 to a reason.

    Args:
        description: `lastDesiredStatus.description`.
        image_outstanding: A desired image is not on the device. "The request was canceled" then means a pull
            that goes on ("if the pull was timed out ... this state is probably transitional").
    """
    modules: dict[str, Reason] = {}
    for step in _STEP.split(description):
        reason = _reason(step, image_outstanding=image_outstanding)
        modules |= {name: reason for name in _named(step) if name not in modules}
    return Explanation(_reason(description, image_outstanding=image_outstanding), modules)


def _reason(description: str, *, image_outstanding: bool) -> Reason:
    for pattern, reason in _STEPS:
        if pattern.search(description):
            return reason
    timed_out = _TIMED_OUT.search(description) is not None
    if _PREPARE.search(description):
        return Reason.PULL_TIMED_OUT if timed_out else Reason.PULL_FAILED
    if timed_out:
        return Reason.PULL_TIMED_OUT if image_outstanding else Reason.STEP_TIMED_OUT
    return Reason.PLAN_FAILED


def _named(description: str) -> frozenset[str]:
    return frozenset(name.lower().strip("'\".,") for name in _NAMED.findall(description))
