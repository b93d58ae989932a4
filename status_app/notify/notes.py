"""Messages for people: news in a few lines, the same for every format."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from status_app.events.severity import Severity
from status_app.notify.targets import CAUSE
from status_core import Milestone, clean

_LONGEST: Final = 1_000
"""Characters of a line: a device's manifest can make a long one."""
_NAMES: Final = 200
_DEPLOYMENT: Final = "edge.deployment."
_HEADLINES: Final[Mapping[str, str]] = {
    Milestone.STARTED: "{deployment} has started",
    Milestone.FIRST_FAILURE: "{deployment}: the first device has failed",
    Milestone.COMPLETED: "{deployment} has completed",
    Milestone.STALLED: "{deployment} makes no progress",
}


class Stage(StrEnum):
    """The stage of a message about a cause."""

    FIRST = "first"
    """Devices fail for it."""
    MORE = "more"
    """Ten times as many devices fail for it as in the last message."""
    OVER = "over"
    """No device fails for it any more."""


@dataclass(frozen=True, slots=True)
class Note:
    """A message to people.

    Attributes:
        title: What happened, in one line.
        facts: Names and values, in order.
        severity: How serious it is.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    severity: str

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        return "\n".join([self.title, *(f"{name}: {value}" for name, value in self.facts)])


def note(news: Mapping[str, Any], fleet: str) -> Note:
    """Create the message about a milestone or a cause.

    Args:
        news: The event of a milestone, or the result of `cause_notice`.
        fleet: The fleet's name for people.
    """
    data, severity = news["data"], news.get("severity", Severity.INFO)
    title = _of_a_cause(data) if news["type"] == CAUSE else _of_a_milestone(news["type"], data)
    facts = _cause_facts(data) if news["type"] == CAUSE else _milestone_facts(data)
    shown = [(name, clean(str(value), _LONGEST)) for name, value in facts if value not in (None, "")]
    return Note(clean(title, _LONGEST), [*shown, ("Fleet", clean(fleet, _NAMES)), ("Time", news["time"])], severity)


def cause_notice(news_id: str, time: str, severity: str, data: Mapping[str, Any]) -> bytes:
    """Create a message about a cause, in the form of an event.

    Args:
        news_id: Stays the same when it is sent again.
        time: When it was found.
        severity: How serious it is.
        data: `deployment`, `version`, `cohort`, `stage`, `cause`, `devices` and `before`, the number in the last
            message; if there are devices, also `examples`, `since`, `message`, `peers` and `advice`.
    """
    news = {"id": news_id, "type": CAUSE, "time": time, "severity": severity, "data": dict(data)}
    return json.dumps(news, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _of_a_cause(data: Mapping[str, Any]) -> str:
    deployment, cause = _name(data), data["cause"]
    match data["stage"]:
        case Stage.OVER:
            return f"{deployment}: no device fails any more due to {cause}"
        case Stage.MORE:
            return f"{deployment}: now {_devices(data['devices'])} due to {cause}"
    return f"{deployment}: {_devices(data['devices'])} due to {cause}"


def _cause_facts(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    before = f"{data['before']} in the last message" if data["stage"] != Stage.FIRST else ""
    return [
        ("Devices", f"{data['devices']} ({before})" if before else data["devices"]),
        ("For instance", ", ".join(clean(name, _NAMES) for name in data.get("examples", ()))),
        ("Since", data.get("since")),
        ("What happened", data.get("message")),
        ("Across the fleet", data.get("peers")),
        ("What to do", data.get("advice")),
        ("Cohort", data["cohort"]),
        ("Version", data["version"]),
    ]


def _of_a_milestone(event_type: str, data: Mapping[str, Any]) -> str:
    milestone = event_type.removeprefix(_DEPLOYMENT)
    known = _HEADLINES.get(milestone)
    return known.format(deployment=_name(data)) if known else f"{_name(data)}: {milestone.replace('_', ' ')}"


def _milestone_facts(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    states = ", ".join(f"{number} {state}" for state, number in data["states"].items())
    return [
        ("Devices", f"{data['successful']} of {data['devices']} successful, {data['failing']} failing"),
        ("States", states),
        ("Version", data["version"]),
    ]


def _devices(number: int) -> str:
    return "1 device fails" if number == 1 else f"{number} devices fail"


def _name(data: Mapping[str, Any]) -> str:
    return f"Deployment {clean(str(data['deployment']), _NAMES)}"
