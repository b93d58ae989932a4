"""The devices that `doctor --end-to-end` makes and removes again: they count for no deployment, and cause no notice."""

from typing import Final

PREFIX: Final = "edge-status-doctor-"


def is_doctors_device(device_id: str) -> bool:
    """Whether a device is one of doctor's, by its name."""
    return device_id.startswith(PREFIX)
