"""The progress of a deployment: its points, its speed, and an estimate of the remaining time."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from status_app.queries.answers import Answer, listed_at, readable
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.progress_points import LATELY, ProgressPoint, Speed, read_points, speed
from status_app.storage.codecs import show_time

_MINUTE: Final = timedelta(minutes=1)


async def progress(rows: DeploymentRows, clock: Callable[[], datetime], deployment_id: str) -> Answer | None:
    """Return a deployment's progress as counted by the timer; None if it does not exist and never did. One request."""
    stored, kept, with_points = await rows.with_progress(deployment_id)
    if stored is None and deployment_id not in kept.listings:
        return None
    read = readable(
        [stored] if stored is not None else [], lambda row: row.rollout, lambda _: f"deployment {deployment_id!r}"
    )
    rollout = next((found for found in read if kept.is_of_present_version(deployment_id, found)), None)
    points = read_points(with_points, rollout.version) if rollout is not None else []
    moving, left = speed(points, clock()), _left(points, kept.targeted(deployment_id))
    seconds = None
    if moving is not None and left:
        seconds = math.ceil(left * (moving.within / timedelta(seconds=1)) / moving.devices)
    return {
        "deploymentId": deployment_id,
        "version": None if rollout is None else rollout.version,
        "listedAt": listed_at(kept),
        "points": [_point(point) for point in points],
        "perHour": None if moving is None else round(moving.per_hour, 1),
        "secondsLeft": seconds,
        "estimate": _sentence(moving, left),
    }


def _left(points: Sequence[ProgressPoint], targeted: int | None) -> int:
    """Count the devices that are neither successful nor failing, by the newest point."""
    if not points:
        return targeted or 0
    newest = points[-1]
    return max(max(newest.credited, targeted or 0) - newest.successful - newest.failing, 0)


def _point(point: ProgressPoint) -> Answer:
    return {
        "at": show_time(point.at),
        "targeted": point.targeted,
        "credited": point.credited,
        "successful": point.successful,
        "settling": point.settling,
        "failing": point.failing,
    }


def _sentence(moving: Speed | None, left: int) -> str:
    if not left:
        return "No estimate: every device is successful or failing."
    if moving is None:
        return f"No estimate: no device became successful in the last {LATELY // _MINUTE} minutes."
    minutes = max(round(moving.within / _MINUTE), 1)
    return (
        f"An estimate: in the last {minutes} min {moving.devices} became successful, and {left} are neither successful "
        "nor failing yet. It assumes that these take as long."
    )
