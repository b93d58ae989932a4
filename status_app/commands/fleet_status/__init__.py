"""The status of a fleet as commands read it, from the API or from the tables. Both give the same answers."""

from status_app.commands.fleet_status.fleet_status import (
    Answer,
    FleetLists,
    FleetSource,
    FleetStatus,
    RefusedError,
)

__all__ = ["Answer", "FleetLists", "FleetSource", "FleetStatus", "RefusedError"]
