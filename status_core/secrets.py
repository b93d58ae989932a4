"""What of a twin is secret, and how a text that may quote it is made safe.

Secret are the values of a module's `env`, all of its createOptions, and the registry credentials; the agent
reports them in clear (edge-agent: Docker/DockerEnvironment.cs, and runtime.settings.registryCredentials).
Nothing in this package reads them into a status. The agent's free text could quote one, so it is searched.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from status_core.create_options import create_options, create_options_parts
from status_core.reading import object_at, text

REDACTED: Final = "***"
SHORTEST: Final = 4
"""Shorter values are not searched: `1` or `on` would blank ordinary words."""

_BETWEEN: Final = re.compile(r"[;\r\n]+")
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_QUOTED: Final = re.compile(r'"([^"]*)"')
_UNWRITABLE: Final = 10**4300
"""The first number that Python refuses to write in digits."""


def redact(description: str, twin: Any) -> str:
    """Replace each secret value of the twin that the text quotes by `***`."""
    return blank(description, secret_values(twin)) if description else description


def secret_values(twin: Any) -> list[str]:
    """The secret values of a twin, longest first: one may be part of another."""
    plain = {value for value in _secrets(twin) if len(value) >= SHORTEST}
    # A text that quotes JSON has it as JSON writes it.
    written = {json.dumps(value, ensure_ascii=False)[1:-1] for value in plain if _ESCAPED.search(value)}
    return sorted(plain | written, key=len, reverse=True)


def blank(quoting: str, secrets: Iterable[str]) -> str:
    """Replace each of the secrets that a text quotes by `***`."""
    for secret in secrets:
        quoting = quoting.replace(secret, REDACTED)
    return quoting


def _secrets(twin: Any) -> Iterator[str]:
    for section in ("desired", "reported"):
        properties = object_at(twin, "properties", section)
        for credentials in _members(object_at(properties, "runtime", "settings").get("registryCredentials")):
            address = text(object_at(credentials).get("address")) or ""
            # An admin user is named like its registry: what the address shows anyway is none.
            yield from (value for value in _texts(credentials) if value not in address)
        for group in ("modules", "systemModules"):
            for member in _members(properties.get(group)):
                module = object_at(member)
                yield from _texts(module.get("env"))
                settings = object_at(module, "settings")
                yield from _texts(create_options_parts(settings))
                yield from _inside(create_options(settings))


def _members(value: Any) -> Iterable[Any]:
    """What a section holds, where it stands as an array or as a single value too."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> Iterator[str]:
    """Every string and number in a JSON value, each part of a connection string or key, and what follows a `=`."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, str):
            pieces = _BETWEEN.split(part)
            for piece in pieces if len(pieces) == 1 else (part, *pieces):
                yield piece.strip()
                yield piece.partition("=")[2].strip()
        elif isinstance(part, int | float) and not isinstance(part, bool) and abs(part) < _UNWRITABLE:
            yield str(part)


def _inside(options: str) -> Iterator[str]:
    """The strings in createOptions, which are JSON in a string; edgeAgent's hold its env as JSON in a label."""
    try:
        found = json.loads(options)
    except (ValueError, RecursionError):
        yield from _texts(_QUOTED.findall(options))  # what is in quotes; the whole text is searched as it stands
        return
    for part in _texts(found):
        yield part
        if part.startswith(("{", "[")):
            yield from _inside(part)
