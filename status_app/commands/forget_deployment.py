"""The command forget-deployment: what is kept of a deployment that is over leaves the tables."""

from collections.abc import Callable

from status_app.commands.terminal import printed
from status_app.queries import Fleet
from status_app.rollouts.deployment_rows import DeploymentRows


async def forget_deployment(
    fleet: Fleet, rows: DeploymentRows, deployment: str, tell: Callable[[str], object], confirm: Callable[[], bool]
) -> bool:
    """Delete the count, the milestones and the progress of a deployment that is on no device and no list of the hub.

    One that is on either would be counted again within a minute. Histories of devices keep its name.

    Args:
        fleet: Says where it is.
        rows: What is deleted.
        deployment: Its id.
        tell: Takes what came of it, in a line.
        confirm: Whether to go on.

    Returns:
        Whether it is forgotten.

    Raises:
        UnavailableError: The table service does not answer.
    """
    name, known = printed(deployment), await fleet.deployment(deployment)
    if known is None:
        tell(f"{name} is not known")
        return False
    if known["devices"]:
        tell(f"{name} is applied on {known['devices']} devices: delete it in IoT Hub, or change its target condition")
        return False
    if known["hub"] is not None:
        tell(f"{name} is on the hub's list: delete it there first (az iot edge deployment delete)")
        return False
    if not confirm():
        return False
    if not await rows.delete(deployment):
        tell(f"{name} has an event that is not sent yet: try again in a minute")
        return False
    tell(f"{name} is forgotten")
    return True
