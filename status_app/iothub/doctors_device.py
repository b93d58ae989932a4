"""The devices that `doctor --end-to-end` creates and deletes: they count for no deployment and cause no notice."""

from typing import Final

PREFIX: Final = "edge-status-doctor-"


def is_doctors_device(device_id: str) -> bool:
    """Whether a device belongs to doctor, by its name."""
    return device_id.startswith(PREFIX)
