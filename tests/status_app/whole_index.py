"""DeploymentIndex as the rows of all devices say it must be, worked out without the app's own projection."""

import hashlib
import json
from collections import Counter
from typing import Any

from app_over_azurite import App

from status_app.fleet_index.rows import shard_of
from status_app.storage.keys import key_part, unescape

type Keys = Counter[tuple[str, str]]
"""How many devices have a row of this partition and key: one, but for counters."""


async def wrong_rows(app: App) -> dict[str, Any]:
    """What the index has too much, too little, or counts wrong; nothing where all is well and nothing is left to do.

    A device may be due early. All devices have room for their rows.
    """
    devices: dict[str, dict[str, Any]] = {}
    async for row in app.client.get_table_client("DeploymentStatus").list_entities():
        devices.setdefault(unescape(row["PartitionKey"]), {})[row["RowKey"]] = row
    expected, due = Counter[tuple[str, str]](), dict[tuple[str, str], str]()
    for device, rows in devices.items():
        if "device" in rows:
            shard = shard_of(device)
            expected.update((shard, key) for key in _keys(device, rows))
            if "LookAt" in rows["device"]:
                due[shard, key_part(device)] = _text(rows["device"]["LookAt"])
    found = Counter[tuple[str, str]]()
    async for row in app.client.get_table_client("DeploymentIndex").list_entities():
        partition, key = row["PartitionKey"], row["RowKey"]
        kind, _, rest = key.partition("|")
        if kind == "reconcile" and rest.partition("|")[0] <= due.get((partition, rest.partition("|")[2]), ""):
            del due[partition, rest.partition("|")[2]]
        elif partition.startswith("index:") and kind != "progress":
            found[partition, key] = row["Devices"] if kind == "count" else 1
    wrong = {"too many": dict(found - expected), "too few": dict(expected - found), "never due": due}
    return {what: rows for what, rows in wrong.items() if rows}


def _keys(device: str, rows: dict[str, Any]) -> list[str]:
    row, name = rows["device"], key_part(device)
    deployments = [key_part(deployment) for deployment in json.loads(row["Deployments"])]
    keys = [f"summary|{name}", f"state|{row['State']}|{name}"]
    keys += [f"deployment|{deployment}|{name}" for deployment in deployments]
    stuck = "FirstStuckSince" in row
    if stuck:
        keys += [f"stuck|{deployment}|{_text(row['FirstStuckSince'])}|{name}" for deployment in ("", *deployments)]
    for key, part in rows.items():
        if "StuckSince" in part:
            module = "$edgeAgent" if key == "device" else unescape(key.removeprefix("module:"))
            keys.append(f"module|{_text(part['StuckSince'])}|{name}|{key_part(module)}")
    cause, since = _cause(rows, stuck=stuck)
    if cause:
        keys.append(f"cause|{cause}|{_text(since)}|{name}")
    like = "|".join((row["State"], row["Reason"], row.get("Portal", ""), str(int(stuck)), cause))
    return keys + [f"count|{deployment}||{like}" for deployment in (*([""] if cause else []), *deployments)]


def _cause(rows: dict[str, Any], *, stuck: bool) -> tuple[str, Any]:
    """The id of the cause that a device is counted under, and since when; empty where it is none.

    The device is at most stuck by what its own cause, or the only stuck module, says.
    """
    device = rows["device"]
    line, like = device.get("Cause"), [device]
    if line is None or (
        device["Reason"] in ("waiting_for_device", "settling", "agent_updating") and "StuckSince" not in device
    ):
        if not stuck:
            return "", None
        _, key = min((row["StuckSince"], key) for key, row in rows.items() if "StuckSince" in row)
        line, like = rows[key]["Cause"], [rows[key]]
    like = [row for key, row in rows.items() if key.startswith("module:") and row.get("Cause") == line] or like
    since = min(row.get("UnsettledSince", row["Since"]) for row in like)
    return hashlib.sha256(line.encode()).hexdigest()[:16], since


def _text(time: Any) -> str:
    return str(time.isoformat(timespec="microseconds"))
