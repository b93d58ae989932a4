"""Reads a module's createOptions: JSON in a string, split over several settings if it is long.

The agent accepts createOptions, createOptions01, ... of 512 characters each (edge-agent: Docker/DockerConfig.cs). It
matches part of their name, ignoring case, and reads the first hundred (edge-util: JsonEx.cs).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

_NAME: Final = "createOptions"
_USUAL: Final = frozenset((_NAME, "image", "imageHash"))
_NUMBERED: Final = re.compile(r"createoptions([0-9]{0,9})", re.IGNORECASE)
_MOST: Final = 100


def create_options_parts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that hold createOptions, in order, whatever their type."""
    if settings.keys() <= _USUAL:
        return {_NAME: settings[_NAME]} if _NAME in settings else {}
    found = sorted((key for key in settings if _NUMBERED.search(key)), key=str.upper)
    return {key: settings[key] for key in found[:_MOST]}


def part_number(key: str) -> int | None:
    """Return the number in the name of a part; None if it has none."""
    match = _NUMBERED.search(key)
    return int(match[1]) if match is not None and match[1] else None


def create_options(settings: Mapping[str, Any]) -> str:
    """Return a module's createOptions as one text."""
    return "".join(part for part in create_options_parts(settings).values() if isinstance(part, str))
