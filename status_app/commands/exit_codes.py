"""The exit codes of `python -m status_app`, the outcome for a pipeline (docs/gate.md)."""

from enum import IntEnum
from typing import Final

_EXTRAS: Final = {"azure": "tables", **dict.fromkeys(("mcp", "pydantic"), "mcp")}
"""The extra of the wheel that installs a package. Other packages come with a checkout."""


class ExitCode(IntEnum):
    """The outcome of a command. Codes from 64 on are named as in sysexits.h and mean that nothing was decided."""

    OK = 0
    """The answer is yes."""
    FAILED = 1
    """The answer is no: too many devices failed, something is wrong with the device, or dead letters are left."""
    TIMED_OUT = 2
    """The answer is not yet, and the time is over."""
    UNKNOWN = 3
    """The device is not known, or the hub has no such deployment."""
    USAGE = 64
    """An argument or a setting is wrong."""
    UNAVAILABLE = 69
    """The source never answered, or a package is not installed."""
    SOFTWARE = 70
    """A bug."""
    CONFIG = 78
    """The source refuses: the key, the role or the address is wrong."""
    INTERRUPTED = 130
    """Ctrl-C."""
    CUT_OFF = 141
    """What reads the output has closed it, such as `head`."""


def missing_package(error: ModuleNotFoundError) -> str:
    """Say how to install a missing package."""
    extra = _EXTRAS.get(error.name or "")
    packages = f"'edge-deployment-status[{extra}]'" if extra is not None else "-r requirements.txt"
    return f"the package {error.name} is not installed: run pip install {packages}"
