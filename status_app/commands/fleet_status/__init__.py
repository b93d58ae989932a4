"""The status of a fleet, asked by a command: of the API, or of the tables. The answers are the same."""

from status_app.commands.fleet_status.fleet_status import (
    Answer,
    FleetLists,
    FleetSource,
    FleetStatus,
    RefusedError,
)

__all__ = ["Answer", "FleetLists", "FleetSource", "FleetStatus", "RefusedError"]
