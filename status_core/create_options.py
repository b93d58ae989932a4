"""A module's createOptions: JSON in a string, split over several settings where it is long.

The agent takes createOptions, createOptions01, ... of 512 characters each (edge-agent: Docker/DockerConfig.cs).
"""

import json
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
    """The createOptions of a module's settings as one text. JSON that is not in a string is taken as it is."""
    if _SECOND not in settings:
        return _written(settings.get(_NAME))
    return "".join(map(_written, create_options_parts(settings).values()))


def _written(part: Any) -> str:
    if isinstance(part, str):
        return part
    return json.dumps(part) if isinstance(part, dict | list) else ""
