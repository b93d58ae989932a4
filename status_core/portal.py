"""How IoT Hub's own system metrics count a device. They look at no module and no image.

The queries behind appliedCount, reportedSuccessfulCount and reportedFailedCount are in azure-iot-cli-extension
(test_config_modules_show.json).
"""

from status_core.states import Portal
from status_core.twin import Twin


def portal_count(twin: Twin) -> Portal | None:
    """Return the furthest counter that counts the device; None if no configuration is Applied."""
    if not twin.applied:
        return None
    if not twin.version_taken or twin.raw_code is None:
        return Portal.APPLIED
    return Portal.SUCCESSFUL if twin.code == 200 else Portal.FAILED  # noqa: PLR2004 (the metric's own number)
