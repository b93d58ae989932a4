"""The codes of `lastDesiredStatus`. The agent has these six and no others (Core/DeploymentStatusCode.cs)."""

from typing import Final

OK: Final = 200
CONFIG_FORMAT_ERROR: Final = 400
UNKNOWN: Final = 406
INVALID_SCHEMA_VERSION: Final = 412
CONFIG_EMPTY_ERROR: Final = 417
FAILED: Final = 500
