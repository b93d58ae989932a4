"""The exit codes of `python -m status_app`: a pipeline tells by them what came of it (docs/gate.md)."""

from enum import IntEnum
from typing import Final

_EXTRAS: Final = {"azure": "tables", **dict.fromkeys(("mcp", "pydantic"), "mcp")}
"""Which extra of the wheel installs a package; any other one comes with a checkout."""


class ExitCode(IntEnum):
    """What came of a command. Those from 64 on are named as in sysexits.h: nothing was decided."""

    OK = 0
    """What was asked for is so."""
    FAILED = 1
    """It is not: too many devices failed, something is wrong with the device, or dead letters are left."""
    TIMED_OUT = 2
    """It is not so yet, and the time is over."""
    UNKNOWN = 3
    """The device is not known, or the hub has no such deployment."""
    USAGE = 64
    """An argument or a setting is wrong."""
    UNAVAILABLE = 69
    """What was asked did not answer, all the time; or a package is not installed."""
    SOFTWARE = 70
    """A bug."""
    CONFIG = 78
    """What was asked refuses: the key, the role or the address is wrong."""
    INTERRUPTED = 130
    """Ctrl-C."""
    CUT_OFF = 141
    """What reads the output has closed it, such as `head`."""


def missing_package(error: ModuleNotFoundError) -> str:
    """What is said where a package is not installed: nothing was decided."""
    extra = _EXTRAS.get(error.name or "")
    packages = f"'edge-deployment-status[{extra}]'" if extra is not None else "-r requirements.txt"
    return f"the package {error.name} is not installed: run pip install {packages}"
