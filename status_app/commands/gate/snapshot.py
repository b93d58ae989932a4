"""Reads a snapshot of a deployment: its counts, and the names of devices that may have failed."""

from datetime import datetime
from typing import Final

from status_app.commands.fleet_status import Answer, FleetLists, FleetStatus, RefusedError
from status_app.commands.gate.rule import Device, GateCriteria, Snapshot
from status_core import Counts, Standing, State, Threshold

READ_LIMIT: Final = 200
"""Devices of a state that are read to be named at the timeout. Of more devices, the longest stuck may be missing."""
MOST_CAUSES: Final = 20
"""Causes shown per deployment. A fleet can have thousands."""
MORE_CAUSES: Final = "There are more causes: edge-status causes lists all of them."


async def read_deployment(fleet: FleetStatus, deployment: str, criteria: GateCriteria) -> Snapshot:
    """Read a snapshot of a deployment. One request, and a few more if devices may have failed.

    Raises:
        UnavailableError: There is no answer now.
        RefusedError: Asking again is of no use.
    """
    cohort = criteria.cohort
    answer = await fleet.deployment(deployment, cohort)
    if answer is None:
        return Snapshot(is_known=False, listed_at=_time(await fleet.listed_at()))
    suspects: dict[str, Device] = {}
    states = [State.INVALID, *([State.MODULE_FAILED] if criteria.strict else [])]
    for state in (state for state in states if answer["states"].get(state)):
        suspects |= {
            item["deviceId"]: _device(item) async for item in fleet.devices(deployment, state=state, cohort=cohort)
        }
    if answer["stuck"] and answer["failing"]:
        found = fleet.devices(deployment, stuck=True, cohort=cohort)
        stuck = {item["deviceId"]: _device(item) async for item in found}
        suspects |= {name: device for name, device in stuck.items() if device.state != State.SUCCESSFUL}
    hub = answer["hub"]
    return Snapshot(
        counts=Counts(*(answer[name] for name in ("devices", "successful", "settling", "failing", "waiting"))),
        states=answer["states"],
        reasons=[(item["state"], item["reason"], item["devices"]) for item in answer["reasons"]],
        suspects=list(suspects.values()),
        milestones=frozenset(answer["milestones"]),
        threshold=_threshold(answer),
        targeted=None if hub is None or cohort is not None else hub["targeted"],
        settled_since=_time(answer["settledSince"]),
        credited_at=_time(answer["creditedAt"]),
        is_listed=hub is not None,
        listed_at=_time(answer["listedAt"]),
        at=_time(answer["countedAt"]),
    )


async def read_device(fleet: FleetStatus, device_id: str, deployment: str | None) -> Snapshot | None:
    """Read a snapshot of one device, as a deployment with one device; None if it is not known. Two requests.

    Args:
        fleet: The source.
        device_id: The device.
        deployment: The deployment that it must have; None for all that it has.

    Raises:
        UnavailableError: There is no answer now.
        RefusedError: Asking again is of no use.
    """
    answer = await fleet.device(device_id)
    if answer is None:
        return None
    standings = {
        name: how_far for name, how_far in answer["standings"].items() if deployment is None or name == deployment
    }
    worst = min(standings.values(), key=_SEVERITY.index, default=None)
    device = _device(answer)
    is_failing = worst == Standing.FAILING
    return Snapshot(
        counts=Counts() if worst is None else Counts.of({worst: 1}),
        states={} if worst is None else {device.state: 1},
        reasons=[] if worst is None else [(device.state, device.reason, 1)],
        suspects=[device] if is_failing or device.state == State.MODULE_FAILED else [],
        credited_at=datetime.fromisoformat(answer["at"]),
        is_listed=True,
        listed_at=_time(await fleet.listed_at()),
        milestones=frozenset({"completed"}),
    )


async def missing(fleet: FleetStatus, deployment: str, snapshot: Snapshot, cohort: str | None = None) -> list[Device]:
    """Read the present state of devices of a deployment, or of one cohort, that were not successful in a snapshot.

    Raises:
        UnavailableError: There is no answer now.
        RefusedError: Asking again is of no use.
    """
    found: list[Device] = []
    for state in (state for state in State if state is not State.SUCCESSFUL and snapshot.states.get(state)):
        read = 0
        async for item in fleet.devices(deployment, state=state, cohort=cohort):
            read += 1
            if item["state"] != State.SUCCESSFUL:  # it may have succeeded since
                found.append(_device(item))
            if read == READ_LIMIT:
                break
    return found


async def read_causes(fleet: FleetLists, deployment: str, cohort: str | None = None) -> list[Answer]:
    """Read the causes of a deployment, those with the most stuck devices first: as many as are shown, and one more.

    Raises:
        UnavailableError: There is no answer now.
        RefusedError: There is no use in asking.
    """
    words = {"deployment": deployment} | ({} if cohort is None else {"cohort": cohort})
    found: list[Answer] = []
    async for cause in fleet.items("causes", words, MOST_CAUSES + 1):
        found.append(cause)
        if len(found) > MOST_CAUSES:
            break
    return found


_SEVERITY: Final = [Standing.FAILING, Standing.WAITING, Standing.UNDERWAY, Standing.SETTLING, Standing.SUCCESSFUL]


def _threshold(answer: Answer) -> Threshold | None:
    try:
        return None if answer["failureThreshold"] is None else Threshold.parse(answer["failureThreshold"])
    except ValueError:
        raise RefusedError("the answer is not the API's: its failureThreshold cannot be read") from None


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _device(item: Answer) -> Device:
    return Device(
        device_id=item["deviceId"],
        state=item["state"],
        reason=item["reason"],
        message=item["message"],
        since=datetime.fromisoformat(item["since"]),
        stuck_since=_time(item["stuckSince"]),
    )
