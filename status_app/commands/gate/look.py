"""A look at a deployment: its counts, and by name those devices that may have failed."""

from datetime import datetime
from typing import Final

from status_app.commands.fleet_status import Answer, FleetStatus
from status_app.commands.gate.rule import Device, GateCriteria, Look
from status_core import State

READ_LIMIT: Final = 200
"""Devices of a state that are read to be named at the timeout: the longest of a larger number may not be among them."""


async def take_look(fleet: FleetStatus, deployment: str, criteria: GateCriteria) -> Look:
    """Look at a deployment. One request, and a few more where devices may have failed.

    Raises:
        UnavailableError: There is no answer now.
        RefusedError: There is no use in asking.
    """
    answer = await fleet.deployment(deployment)
    if answer is None:
        return Look()
    suspects: dict[str, Device] = {}
    states = [state for state in criteria.failing_states if answer["states"].get(state)]
    for state in states:
        suspects |= {item["deviceId"]: _device(item) async for item in fleet.devices(deployment, state=state)}
    if answer["stuck"]:
        suspects |= {item["deviceId"]: _device(item) async for item in fleet.devices(deployment, stuck=True)}
    return Look(
        devices=answer["devices"],
        states=answer["states"],
        reasons=[(item["state"], item["reason"], item["devices"]) for item in answer["reasons"]],
        suspects=list(suspects.values()),
    )


async def missing(fleet: FleetStatus, deployment: str, look: Look) -> list[Device]:
    """The devices of a deployment that were not successful at a look, as they are now, in no order.

    Raises:
        UnavailableError: There is no answer now.
        RefusedError: There is no use in asking.
    """
    found: list[Device] = []
    for state in (state for state in State if state is not State.SUCCESSFUL and look.states.get(state)):
        read = 0
        async for item in fleet.devices(deployment, state=state):
            read += 1
            if item["state"] != State.SUCCESSFUL:  # it may be by now
                found.append(_device(item))
            if read == READ_LIMIT:
                break
    return found


def _device(item: Answer) -> Device:
    stuck_since = item["stuckSince"]
    return Device(
        device_id=item["deviceId"],
        state=item["state"],
        reason=item["reason"],
        message=item["message"],
        since=datetime.fromisoformat(item["since"]),
        stuck_since=None if stuck_since is None else datetime.fromisoformat(stuck_since),
    )
