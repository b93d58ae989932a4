"""Scenario files: JSON Lines, one step per line, with its time as `at`.

    {"at": TIME, "twin": {"deviceId": ID, ...}}         the hub stores this twin and notifies
    {"at": TIME, "delete": ID}                          the hub deletes the device and notifies
    {"at": TIME, "device": {"deviceId": ID, "tags": {...}}}    the device twin gets these tags
    {"at": TIME, "raw": TEXT, "properties": {...}}      any event on twin-changes
    {"at": TIME, "deployments": [...]}                  the hub's own list of deployments; refused before the first one
    {"settings": {NAME: VALUE}}                         settings of the app: the first line, and no other
    {"at": TIME, "run": "flag_stuck"}                   a timer fires, flag_stuck or resync
    {"at": TIME, "fault": {"service": "tables", "op": "write", "status": 503, "count": 2}}    the next calls fail

`twin` and `delete` accept `"notify": false` (the notification gets lost), `"repeat": 3` (it is sent three times) and
`"body": ...` (it has this body, a string or any JSON).

The default of a fault is status 503 and count 1. It accepts `"retryAfter"`, in seconds, and `"cut": true` instead of
a status: the connection breaks, and the call is not executed. Calls are counted as they arrive, including retries of
an SDK. For `transitions` neither option exists: it is busy, whatever the status, and a call is one send of the app,
with both attempts of the SDK. `notify` is the target of notifications to people.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Never

TIMERS: Final = ("flag_stuck", "resync")
OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "tables": ("read", "write"),
    "iothub": ("read", "query", "list"),
    "transitions": ("send", "write"),
    "notify": ("send",),
}
"""The calls that can fail, by service."""

_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "twin": ("notify", "repeat", "body"),
    "delete": ("notify", "repeat", "body"),
    "device": (),
    "raw": ("properties", "repeat"),
    "deployments": (),
    "settings": (),
    "run": (),
    "fault": (),
}
"""The kinds of lines, with the keys each accepts in addition to itself and `at`."""
_MOST_REPEATS: Final = 10_000
_MOST_CALLS: Final = 10**9
_MOST_SECONDS: Final = 3600
_FIRST_REFUSAL: Final = 400


class ScenarioError(Exception):
    """A line is not a valid step. The message has its number and the problem, but does not quote it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line.

    Attributes:
        kind: `twin`, `delete`, `device`, `raw`, `deployments`, `settings`, `run` or `fault`.
        content: The content of the line.
    """

    line: int
    at: datetime
    kind: str
    content: Mapping[str, Any]


def read_scenario(text: str) -> Iterator[Step]:
    """Parse a scenario; yield its steps in order.

    Raises:
        ScenarioError: A line is not a valid step.
    """
    for number, line in enumerate(text.split("\n"), 1):  # a JSON string can contain the other line ends
        if line.strip():
            yield _Line(number, line).step()


class _Line:
    def __init__(self, number: int, text: str) -> None:
        self._number = number
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            self._refuse(f"not JSON: {error.msg}, column {error.colno}")
        except RecursionError:
            self._refuse("not JSON: nested too deeply")
        if not isinstance(content, dict):
            self._refuse("a step is a JSON object")
        self._content: dict[str, Any] = content

    def step(self) -> Step:
        """Parse and validate the line."""
        kinds = [kind for kind in _BESIDE if kind in self._content]
        if len(kinds) != 1:
            self._refuse(f"a step has one of {', '.join(_BESIDE)}")
        kind = kinds[0]
        if kind == "settings":
            if self._number > 1:
                self._refuse("`settings` is the first line, and no other")
            self._check(self._content, kind, (kind,))
            return Step(self._number, datetime.min.replace(tzinfo=UTC), kind, self._content)
        at = self._at()
        self._check(self._content, kind, ("at", kind, *_BESIDE[kind]))
        if kind == "fault":
            self._check_fault(self._content["fault"])
        return Step(self._number, at, kind, self._content)

    def _at(self) -> datetime:
        try:
            at = datetime.fromisoformat(self._content["at"])
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (KeyError, TypeError, ValueError, OverflowError):
            self._refuse("`at` takes an ISO 8601 time")

    def _check_fault(self, fault: Mapping[str, Any]) -> None:
        service = fault.get("service")
        if service not in tuple(OPERATIONS):
            self._refuse(f"`service` takes {' or '.join(OPERATIONS)}")
        if fault.get("op") not in OPERATIONS[service]:
            self._refuse(f"`op` of {service} takes {' or '.join(OPERATIONS[service])}")
        more = () if service == "transitions" else ("retryAfter", "cut")
        self._check(fault, f"fault of {service}", ("service", "op", "status", "count", *more))

    def _check(self, content: Mapping[str, Any], name: str, keys: tuple[str, ...]) -> None:
        if not content.keys() <= set(keys):
            self._refuse(f"`{name}` takes nothing but {', '.join(keys)}")
        for key, value in content.items():
            takes, is_taken = _TAKES.get(key, _ANYTHING)
            if not is_taken(value):
                self._refuse(f"`{key}` takes {takes}")

    def _refuse(self, what: str) -> Never:
        raise ScenarioError(f"line {self._number}: {what}") from None


def _is_text(value: Any) -> bool:
    """Whether a value is a string that can be sent: no lone surrogates."""
    return isinstance(value, str) and value == value.encode(errors="ignore").decode()


def _is_device_id(value: Any) -> bool:
    return _is_text(value) and value != ""


def _is_twin(value: Any) -> bool:
    return isinstance(value, dict) and _is_device_id(value.get("deviceId"))


def _is_device(value: Any) -> bool:
    return _is_twin(value) and value.keys() == {"deviceId", "tags"} and isinstance(value["tags"], dict)


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and _is_number(value, 1, most)


def _is_properties(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, (*value, *value.values())))


def _is_refusal(value: Any) -> bool:
    return isinstance(value, int) and value in {status.value for status in HTTPStatus if status >= _FIRST_REFUSAL}


type _Taken = tuple[str, Callable[[Any], bool]]

_ANYTHING: Final[_Taken] = ("anything", lambda _: True)
_TAKES: Final[Mapping[str, _Taken]] = {
    "twin": ("a twin with its deviceId", _is_twin),
    "delete": ("a device id", _is_device_id),
    "device": ("an object with deviceId and tags", _is_device),
    "raw": ("a text", lambda value: isinstance(value, str)),
    "deployments": ("a list of configurations", lambda value: isinstance(value, list)),
    "settings": ("an object of texts", _is_properties),
    "run": (" or ".join(TIMERS), lambda value: value in TIMERS),
    "fault": ("an object with service, op, status and count", lambda value: isinstance(value, dict)),
    "notify": ("true or false", lambda value: isinstance(value, bool)),
    "repeat": (f"a whole number from 1 to {_MOST_REPEATS}", lambda value: _is_count(value, _MOST_REPEATS)),
    "properties": ("an object of texts", _is_properties),
    "status": ("the HTTP status of a refusal, such as 429 or 503", _is_refusal),
    "count": (f"a whole number from 1 to {_MOST_CALLS}", lambda value: _is_count(value, _MOST_CALLS)),
    "retryAfter": (f"seconds from 0 to {_MOST_SECONDS}", lambda value: _is_number(value, 0, _MOST_SECONDS)),
    "cut": ("true or false", lambda value: isinstance(value, bool)),
}
