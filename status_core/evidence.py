"""The comparisons behind a verdict on the code, the version or the time of a report."""

from status_core.codes import OK
from status_core.reading import scalar
from status_core.status import Evidence
from status_core.twin import Twin


def code_evidence(twin: Twin) -> Evidence:
    """Compare the code with that of success."""
    return Evidence("properties.reported.lastDesiredStatus.code", scalar(twin.raw_code), OK)


def version_evidence(twin: Twin) -> Evidence:
    """Compare the version that the agent took last with the desired one."""
    desired, taken = twin.raw_versions
    path = "properties.reported.lastDesiredVersion"
    return Evidence(path, scalar(taken), scalar(desired), "properties.desired.$version")


def fresh_evidence(twin: Twin) -> Evidence:
    """Compare the time of the agent's status with the last change of the desired section."""
    reported, desired = twin.status_updated, twin.desired_updated
    return Evidence(
        "properties.reported.$metadata.lastDesiredStatus.$lastUpdated",
        reported.isoformat() if reported else None,
        desired.isoformat() if desired else None,
        "properties.desired.$metadata.$lastUpdated",
    )
