"""What deployments come to, by the clocks of their devices and by the hub's own list.

Of a deployment that the hub can be asked for and has no more, it is known how many devices have it, and that it is
superseded: they may have been judged by the list that had it last.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from status_app.storage.keys import unescape
from status_core import INDIVIDUAL, parse_duration

from .fleet import Device
from .hub_list import Deployment
from .world import World


def deployments(world: World) -> Iterator[str]:
    """Each deployment counts the devices on which it is credited, by their clocks, and announces itself in order."""
    counted = defaultdict[str, Counter[str]](Counter)
    present = world.hub_list.present if world.history.has_list else {}
    for device in world.devices.values():
        status, rows = device.statuses[-1], world.rows(device.device_id)
        credited = status.deployments or (() if status.state == "no_deployment" else (INDIVIDUAL,))
        for deployment in credited if device.twin is not None else ():
            is_waiting = _is_waiting(world, device, deployment)
            how_far = "waiting" if is_waiting else _standing(rows, deployment, world.now, present.get(deployment))
            counted[deployment][how_far] += 1
    missing = set(present)
    for row in world.tables.rows("Deployments"):
        kind, _, name = row["RowKey"].partition("|")
        if kind != "deployment":
            continue
        deployment = unescape(name)
        known = counted.pop(deployment, Counter())
        expected = {"Devices": known.total()}
        is_gone = is_unlisted(world, deployment)
        if not is_gone:
            expected |= {name.capitalize(): known[name] for name in _COUNTED}
        counts = {column: row[column] for column in expected}
        if counts != expected:
            yield f"deployment {deployment} counts {counts}, not {expected}"
        yield from _milestones(deployment, row, present.get(deployment), is_gone=is_gone)
        missing.discard(deployment)
    if counted or missing:
        yield f"nothing counts {dict(counted)} and {missing}"
    yield from _listed(world, present)


def is_unlisted(world: World, deployment: str) -> bool:
    """Whether the hub has a list, and a deployment is not on it."""
    return world.history.has_list and deployment not in (INDIVIDUAL, *world.hub_list.present)


def _listed(world: World, present: Mapping[str, Deployment]) -> Iterator[str]:
    """The list is kept as the hub gives it."""
    rows = {row["RowKey"]: row for row in world.tables.rows("Deployments") if row["RowKey"].startswith("hub|")}
    if rows.keys() != {f"hub|{name}" for name in present}:
        yield f"the list is kept as {sorted(rows)}, and the hub has {sorted(present)}"
        return
    for name, one in present.items():
        row = rows[f"hub|{name}"]
        modules = {key: image for key, (image, _) in json.loads(row["Modules"]).items()} if "Modules" in row else None
        if (row["CreatedAt"], row["Priority"].value, modules) != (one.created, one.priority, one.images):
            yield f"{name} is kept as {dict(row)}, and is {one}"


def _is_waiting(world: World, device: Device, deployment: str) -> bool:
    """Whether a device has not taken the deployment that the hub created under this id."""
    present, one = world.hub_list.present, world.hub_list.present.get(deployment)
    if not world.history.has_list or one is None or device.twin is None:
        return False
    desired = device.twin["properties"]["desired"]
    if datetime.fromisoformat(desired["$metadata"]["$lastUpdated"]) >= one.created:
        return False
    if one.images is None:
        return True
    applied = [present[name] for name in device.statuses[-1].deployments if name in present]
    others = {module for other in applied if other.rank > one.rank for module in other.images or ()}
    system = {f"${name}": module for name, module in desired.get("systemModules", {}).items()}
    images = {name: module["settings"]["image"] for name, module in {**system, **desired.get("modules", {})}.items()}
    return any(images.get(module) != image for module, image in one.images.items() if module not in others)


_COUNTED: Final = ("successful", "settling", "failing", "waiting")


def _standing(rows: Mapping[str, Any], deployment: str, now: datetime, one: Deployment | None) -> str:
    """How far a device is, by its rows. A layer's modules are its own."""
    device = rows["device"]
    images = None if one is None else one.images
    modules = {key.removeprefix("module:"): row for key, row in rows.items() if key.startswith("module:")}
    own = [row for key, row in modules.items() if row["State"] != "extra" and (images is None or key in images)]
    parts = [device, *own]
    if device["State"] == "invalid":
        return "failing"
    since = dict(zip(json.loads(device["Deployments"]), json.loads(device["CreditedAt"]), strict=True)).get(deployment)
    for row in parts:
        if "StuckSince" in row and "SettledSince" not in row:
            version = row["StuckSince"] if since is None else datetime.fromisoformat(since)
            version = version if one is None else max(version, one.created)
            grace = timedelta() if row["StuckSince"] >= version else parse_duration(row["GracePeriod"])
            if max(row["StuckSince"], version + grace) <= now or not grace:
                return "failing"
    is_running = any("UnsettledSince" in row for row in parts)
    if device["State"] == "successful":
        return "settling" if is_running else "successful"
    is_lagging = "LagsUntil" in device and device["State"] in ("in_progress", "module_failed")
    return "successful" if is_lagging and not is_running and device["AnnouncedState"] == "successful" else "underway"


def _milestones(deployment: str, row: Mapping[str, Any], one: Deployment | None, *, is_gone: bool) -> Iterator[str]:
    """What a version has reached: it begins with a device that counts for it, and ends once."""
    reached = list(json.loads(row["Reached"]))
    was_listed = "CreatedAt" in row
    if one is not None and row.get("CreatedAt") != one.created:
        yield f"deployment {deployment} was created {row.get('CreatedAt')}, not {one.created}"
    ends = [name for name in reached if name in ("completed", "superseded")]
    if deployment == INDIVIDUAL:
        if reached or row["Version"]:
            yield f"{deployment} has reached {reached} in version {row['Version']}"
    elif (
        (bool(reached) != bool(row["Version"]) and not was_listed)
        or (row["Devices"] > row["Waiting"] and not reached and not is_gone)
        or (bool(reached) > bool(row["Version"]))
        or (reached and reached[0] != "started")
        or ends not in ([], *_ENDS)
        or reached[len(reached) - len(ends) :] != ends
    ):
        yield f"deployment {deployment} has reached {reached}"
    elif reached and ("superseded" in reached) != (not row["Devices"] or (is_gone and was_listed)):
        yield f"deployment {deployment} is on {row['Devices']} devices and has reached {reached}"


_ENDS: Final = (["completed"], ["superseded"], ["completed", "superseded"])
