"""A module's createOptions: JSON in a string, split over several settings where it is long.

The agent takes createOptions, createOptions01, ... of 512 characters each (edge-agent: Docker/DockerConfig.cs).
"""

from collections.abc import Mapping
from typing import Any, Final

_NAME: Final = "createOptions"
_SECOND: Final = "createOptions01"
_USUAL: Final = frozenset((_NAME, "image"))


def create_options_parts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a module's settings that hold createOptions, in their order, whatever they are."""
    if settings.keys() <= _USUAL:
        return {_NAME: settings[_NAME]} if _NAME in settings else {}
    return {key: settings[key] for key in sorted(settings) if key.startswith(_NAME)}


def create_options(settings: Mapping[str, Any]) -> str:
    """The createOptions of a module's settings as one text."""
    if _SECOND not in settings:
        options = settings.get(_NAME)
        return options if isinstance(options, str) else ""
    return "".join(part for part in create_options_parts(settings).values() if isinstance(part, str))
