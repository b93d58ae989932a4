"""What deployments come to, by the clocks of their devices."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from status_app.storage.keys import unescape
from status_core import INDIVIDUAL, parse_duration

from .world import World


def deployments(world: World) -> Iterator[str]:
    """Each deployment counts the devices on which it is credited, by their clocks, and announces itself in order."""
    counted = defaultdict[str, Counter[str]](Counter)
    for device in world.devices.values():
        status, rows = device.statuses[-1], world.rows(device.device_id)
        credited = status.deployments or (() if status.state == "no_deployment" else (INDIVIDUAL,))
        for deployment in credited if device.twin is not None else ():
            counted[deployment][_standing(rows, deployment, world.now)] += 1
    for row in world.tables.rows("Deployments"):
        kind, _, name = row["RowKey"].partition("|")
        if kind != "deployment":
            continue
        deployment = unescape(name)
        told = {column: row[column] for column in ("Devices", "Successful", "Settling", "Failing")}
        known = counted.pop(deployment, Counter())
        expected = {"Devices": known.total(), **{name.capitalize(): known[name] for name in _COUNTED}}
        if told != expected:
            yield f"deployment {deployment} counts {told}, not {expected}"
        yield from _milestones(deployment, row)
    if counted:
        yield f"nothing counts {dict(counted)}"


_COUNTED: Final = ("successful", "settling", "failing")


def _standing(rows: Mapping[str, Any], deployment: str, now: datetime) -> str:
    """How far a device is, by its rows."""
    device = rows["device"]
    parts = [row for key, row in rows.items() if key == "device" or (key[:7] == "module:" and row["State"] != "extra")]
    if device["State"] == "invalid":
        return "failing"
    since = dict(zip(json.loads(device["Deployments"]), json.loads(device["CreditedAt"]), strict=True)).get(deployment)
    for row in parts:
        if "StuckSince" in row and "SettledSince" not in row:
            version = row["StuckSince"] if since is None else datetime.fromisoformat(since)
            grace = timedelta() if row["StuckSince"] >= version else parse_duration(row["GracePeriod"])
            if max(row["StuckSince"], version + grace) <= now or not grace:
                return "failing"
    is_running = any("UnsettledSince" in row for row in parts)
    if device["State"] == "successful":
        return "settling" if is_running else "successful"
    is_lagging = "LagsUntil" in device and device["State"] in ("in_progress", "module_failed")
    return "successful" if is_lagging and not is_running and device["AnnouncedState"] == "successful" else "underway"


def _milestones(deployment: str, row: Mapping[str, Any]) -> Iterator[str]:
    reached = list(json.loads(row["Reached"]))
    ends = [name for name in reached if name in ("completed", "superseded")]
    if deployment == INDIVIDUAL:
        if reached or row["Version"]:
            yield f"{deployment} has reached {reached} in version {row['Version']}"
    elif (
        reached[:1] != ["started"][: row["Version"]]
        or ends not in ([], *_ENDS)
        or reached[len(reached) - len(ends) :] != ends
    ):
        yield f"deployment {deployment} has reached {reached}"
    elif row["Version"] and ("superseded" in reached) != (not row["Devices"]):
        yield f"deployment {deployment} is on {row['Devices']} devices and has reached {reached}"


_ENDS: Final = (["completed"], ["superseded"], ["completed", "superseded"])
