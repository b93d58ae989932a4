"""Which device each waiting notification is about: a few flood, all others have one each, some at the very end."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from local.iothub.registry import Change, Operation
from local.iothub.sections import hub_time

TWIN = json.loads(next((Path(__file__).parents[1] / "cases").glob("003_*.json")).read_bytes())["twin"]
FEWEST_FLOODING = 8


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits.

    Attributes:
        flooding: Devices that have most of the notifications.
        single: Devices that have one notification each.
        order: The device of each notification.
    """

    flooding: Sequence[str]
    single: Sequence[str]
    order: Sequence[str]


def backlog(notifications: int, devices: int, seed: int) -> Backlog:
    """A backlog of so many notifications of so many devices.

    One device in a hundred floods: first one after another, each for many batches, then all of them mixed. A tenth of
    the others come at the very end, when all floods are over.

    Raises:
        ValueError: There are fewer notifications than devices, or too few devices.
    """
    flooding = [f"flooding-{number}" for number in range(max(FEWEST_FLOODING, devices // 100))]
    single = [f"single-{number}" for number in range(devices - len(flooding))]
    flood = notifications - len(single)
    if not single or flood < len(flooding):
        raise ValueError(f"{notifications} notifications do not make a flood of {devices} devices")
    random = Random(seed)  # noqa: S311 (a choice of devices, no secret)
    half = flood // 2
    noise = [flooding[place * len(flooding) // half] for place in range(half)]
    noise += [flooding[place % len(flooding)] for place in range(flood - half)]
    last = len(single) // 10
    early = [(random.uniform(0, flood), name) for name in single[last:]]
    order = [name for _, name in sorted([*enumerate(noise), *early], key=lambda placed: placed[0])]
    return Backlog(flooding, single, order + list(single[:last]))


def twin_of(device_id: str, version: int, at: datetime) -> dict[str, Any]:
    """A device's twin; from version to version its module is up and down."""
    twin: dict[str, Any] = copy.deepcopy(TWIN) | {"deviceId": device_id, "version": version}
    reported = twin["properties"]["reported"]
    reported["modules"]["m1"]["runtimeStatus"] = ("running", "backoff")[version % 2]
    reported["$version"] = version
    reported["$metadata"]["$lastUpdated"] = hub_time(at)
    return twin


def change(twin: dict[str, Any], at: datetime) -> Change:
    """The change of reported properties that led to a twin."""
    status = twin["properties"]["reported"]["modules"]["m1"]["runtimeStatus"]
    return Change(Operation.UPDATE_TWIN, twin["deviceId"], twin, at, {"modules": {"m1": {"runtimeStatus": status}}})
