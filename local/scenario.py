"""Scenario files: JSON Lines, one thing that happens a line, `at` the time of everything."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

KINDS: Final = ("twin", "delete", "raw")


class ScenarioError(Exception):
    """A line that is no step. The text names the line and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line.

    Attributes:
        kind: `twin`, `delete` or `raw`.
        content: What the line holds besides its time.
    """

    line: int
    at: datetime
    kind: str
    content: dict[str, Any]


def read_scenario(text: str) -> Iterator[Step]:
    """The steps of a scenario, in its order.

    Raises:
        ScenarioError: A line is no step.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _step(number, line)


def _step(number: int, line: str) -> Step:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise ScenarioError(f"line {number}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ScenarioError(f"line {number}: a step is a JSON object")
    try:
        at = datetime.fromisoformat(content["at"])
    except (KeyError, TypeError, ValueError):
        raise ScenarioError(f"line {number}: `at` takes an ISO 8601 time") from None
    kind = next((kind for kind in KINDS if kind in content), None)
    if kind is None:
        raise ScenarioError(f"line {number}: a step has one of {', '.join(KINDS)}; others are not replayed yet")
    if kind == "twin" and not (isinstance(content["twin"], dict) and isinstance(content["twin"].get("deviceId"), str)):
        raise ScenarioError(f"line {number}: `twin` takes a twin with its deviceId")
    return Step(number, at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC), kind, content)
