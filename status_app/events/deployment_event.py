"""The event of a deployment's milestone. It is made once and stored until sent, so its bytes never change."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from status_app.events.cloud_event import SCHEMAS, SEQUENCE_DIGITS, segment
from status_app.events.severity import milestone_severity
from status_core import Rollout


def deployment_event(  # noqa: PLR0913 (the data of an event)
    hub: str,
    deployment: str,
    rollout: Rollout,
    reached: tuple[str, datetime],
    states: Mapping[str, int],
    *,
    targeted: int | None = None,
    threshold: str | None = None,
) -> bytes:
    """Create the event, as UTF-8.

    `sequence` counts the milestones of one version of the deployment, which is the `source`.

    Args:
        hub: Short name of the hub.
        deployment: Its id.
        rollout: The rollout after the count.
        reached: The milestone, and when it was reached.
        states: How many of its devices are in each state.
        targeted: How many devices the hub targets.
        threshold: `FAILURE_THRESHOLD`.
    """
    milestone, at = reached
    event_type = f"edge.deployment.{milestone}"
    sequence = [known for known, _ in rollout.reached].index(milestone) + 1
    event = {
        "specversion": "1.0",
        "id": f"{hub}/deployments/{deployment}/{rollout.version}/{milestone}",
        "source": f"/hubs/{segment(hub)}/deployments/{segment(deployment)}/{rollout.version}",
        "type": event_type,
        "subject": deployment,
        "time": at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "sequence": f"{sequence:0{SEQUENCE_DIGITS}d}",
        "severity": milestone_severity(milestone),
        "dataschema": SCHEMAS + event_type,
        "datacontenttype": "application/json",
        "data": {
            "hub": hub,
            "deployment": deployment,
            "version": rollout.version,
            "devices": rollout.counts.devices,
            "successful": rollout.counts.successful,
            "settling": rollout.counts.settling,
            "failing": rollout.counts.failing,
            "waiting": rollout.counts.waiting,
            "targeted": targeted,
            "failureThreshold": threshold,
            "states": dict(sorted(states.items())),
        },
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
