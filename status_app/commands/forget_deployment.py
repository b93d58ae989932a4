"""The command forget-deployment: deletes the data of a deployment that is over."""

from collections.abc import Callable

from status_app.commands.terminal import printable
from status_app.queries import Fleet
from status_app.rollouts.deployment_rows import DeploymentRows


async def forget_deployment(
    fleet: Fleet, rows: DeploymentRows, deployment: str, echo: Callable[[str], object], confirm: Callable[[], bool]
) -> bool:
    """Delete the count, milestones and progress of a deployment that is on no device and not in the hub's list.

    Otherwise it would be counted again within a minute. Histories of devices keep its name.

    Args:
        fleet: Shows where it is.
        rows: Deletes its rows.
        deployment: Its id.
        echo: Prints the outcome.
        confirm: Asks whether to go on.

    Returns:
        Whether it was deleted.

    Raises:
        UnavailableError: The table service does not answer.
    """
    name, known = printable(deployment), await fleet.deployment(deployment)
    if known is None:
        echo(f"{name} is not known")
        return False
    if known["devices"]:
        echo(f"{name} is applied to {known['devices']} devices: delete it in IoT Hub, or change its target condition")
        return False
    if known["hub"] is not None:
        echo(f"{name} is in the hub's list: delete it there first (az iot edge deployment delete)")
        return False
    if not confirm():
        return False
    if not await rows.delete(deployment):
        echo(f"{name} has an event that was not sent yet: try again in a minute")
        return False
    echo(f"{name} was deleted")
    return True
