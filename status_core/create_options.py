"""A module's createOptions: JSON in a string, split over several settings where it is long.

The agent takes createOptions, createOptions01, ... of 512 characters each (edge-agent: Docker/DockerConfig.cs). It
finds them by a piece of their name, without case, and looks at the first hundred (edge-util: JsonEx.cs).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

_NAME: Final = "createOptions"
_USUAL: Final = frozenset((_NAME, "image", "imageHash"))
_NUMBERED: Final = re.compile(r"createoptions([0-9]{0,9})", re.IGNORECASE)
_MOST: Final = 100


def create_options_parts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a module's settings that hold createOptions, in their order, whatever they are."""
    if settings.keys() <= _USUAL:
        return {_NAME: settings[_NAME]} if _NAME in settings else {}
    found = sorted((key for key in settings if _NUMBERED.search(key)), key=str.upper)
    return {key: settings[key] for key in found[:_MOST]}


def part_number(key: str) -> int | None:
    """The number in the name of a part; None where it has none."""
    match = _NUMBERED.search(key)
    return int(match[1]) if match is not None and match[1] else None


def create_options(settings: Mapping[str, Any]) -> str:
    """The createOptions of a module's settings as one text."""
    if settings.keys() <= _USUAL:
        options = settings.get(_NAME)
        return options if isinstance(options, str) else ""
    return "".join(part for part in create_options_parts(settings).values() if isinstance(part, str))
