"""A module's createOptions: JSON in a string, split over several settings where it is long.

The agent takes createOptions, createOptions01, ... of 512 characters each (edge-agent: Docker/DockerConfig.cs).
"""

from collections.abc import Mapping
from typing import Any


def create_options_parts(settings: Mapping[str, Any]) -> list[Any]:
    """The values of a module's settings that hold createOptions, in their order, whatever they are."""
    return [settings[key] for key in sorted(settings) if key.startswith("createOptions")]


def create_options(settings: Mapping[str, Any]) -> str:
    """The createOptions of a module's settings as one text."""
    return "".join(part for part in create_options_parts(settings) if isinstance(part, str))
