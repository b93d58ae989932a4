"""Rows of the tables as JSON: names in camel case, times as text in UTC, null for missing values."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from status_app.fleet_index.counters import Standings
from status_app.rollouts.kept_list import KeptList
from status_app.rollouts.stored_deployment import CountedDeployment
from status_app.storage.codecs import UNREADABLE, show_time
from status_app.storage.columns import (
    DEPLOYMENT_COLUMNS,
    DEVICE_COLUMNS,
    LISTING_COLUMNS,
    MODULE_COLUMNS,
    TRANSITION_COLUMNS,
    shown,
    write,
)
from status_app.storage.keys import DEVICE, MODULE, module_key, module_name
from status_app.telemetry.logs import log
from status_core import EDGE_AGENT, Reason, Rollout, known_reason

type Answer = dict[str, Any]
"""A JSON object."""

_log = log(__name__)


def readable[Item, Found](
    items: Iterable[Item], read: Callable[[Item], Found], name: Callable[[Item], str]
) -> list[Found]:
    """Read the rows that are readable. Others are logged and left out.

    Args:
        items: The rows.
        read: Reads one row.
        name: Names a row in the log.
    """
    found: list[Found] = []
    for item in items:
        try:
            found.append(read(item))
        except UNREADABLE as error:  # its text may quote the row
            _log.error("%s cannot be read: %s", name(item), type(error).__name__)
    return found


def device_summary(device_id: str, row: Mapping[str, Any]) -> Answer:
    """Return a device from its own row."""
    return {
        "deviceId": device_id,
        **shown(DEVICE_COLUMNS, row),
        "stuck": "FirstStuckSince" in row,
        "stuckSince": _since(row),
        "modules": {name.lower(): row[f"Modules{name}"] for name in ("Total", "Settled", "Stuck")},
    }


def device_answer(
    device_id: str,
    rows: Mapping[str, Mapping[str, Any]],
    transitions: Iterable[Mapping[str, Any]],
    standings: Standings,
) -> Answer:
    """Return a device with its modules and the evidence of each.

    Args:
        device_id: The device.
        rows: Its state rows by RowKey, its own among them.
        transitions: Its transitions, newest first.
        standings: How far it is in each of its deployments.
    """

    def module(key: str) -> Answer:
        return module_answer(device_id, key, rows[key])

    def named(key: str) -> str:
        return f"device {device_id!r}, row {key!r}"

    newest: dict[str, tuple[str, Any]] = {}
    for key, state, compared in readable(transitions, _evidence, lambda row: named(row["RowKey"])):
        newest.setdefault(key, (state, compared))
    # What was announced last may be out of date.
    evidence = {
        _name(key): compared
        for key, (state, compared) in newest.items()
        if key in rows and rows[key].get("State") == state
    }
    modules = readable((key for key in rows if key.startswith(MODULE)), module, named)
    summary = device_summary(device_id, rows[DEVICE])
    return {
        **summary,
        "standings": {deployment: how_far.value for deployment, (how_far, _) in standings.items()},
        "moduleStates": sorted(modules, key=lambda module: str(module["module"])),
        "evidence": evidence,
        "advice": _advice(part["reason"] for part in (summary, *modules)),
    }


def _advice(words: Iterable[str]) -> Answer:
    """Return the advice for some reasons. Reasons unknown to this release are left out."""
    reasons = {word: known_reason(word) for word in words}
    return {word: reason.advice for word, reason in reasons.items() if reason not in (None, Reason.AS_DESIRED)}


def _evidence(transition: Mapping[str, Any]) -> tuple[str, str, Any]:
    """Return the RowKey that a transition is about, the state that it announced, and its evidence."""
    module = transition["Module"]
    return module_key(module) if module else DEVICE, transition["ToState"], json.loads(transition["Evidence"])


def module_answer(device_id: str, key: str, row: Mapping[str, Any]) -> Answer:
    """Return a module from its row, or the device from its own, which stands for `$edgeAgent`."""
    return {"deviceId": device_id, "module": _name(key), **shown(MODULE_COLUMNS, row)}


def transition_answer(row: Mapping[str, Any]) -> Answer:
    """Return a transition from its row."""
    return shown(TRANSITION_COLUMNS, row)


def deployment_counted(stored: CountedDeployment, kept: KeptList) -> Answer:
    """Return a deployment as the timer last counted it, and as the hub lists it."""
    counted = {name: 0 for name in ("settling", "waiting") if name.capitalize() not in stored.row}
    columns = {**shown(DEPLOYMENT_COLUMNS, stored.row), **counted}
    details = {"milestones": milestones(stored.rollout), "hub": listed(stored.deployment, kept)}
    return {"deploymentId": stored.deployment, **columns, **details}


def listed(deployment: str, kept: KeptList) -> Answer | None:
    """Return a deployment's entry in the hub's list; None if it has none."""
    listing = kept.listings.get(deployment)
    if listing is None or deployment in kept.missed:
        return None
    labels = json.dumps(dict(listing.labels or {}))
    modules = None if listing.modules is None else json.dumps(sorted(listing.modules))
    row = write(LISTING_COLUMNS, listing, Labels=labels, Modules=modules, Missed=None)
    return shown(LISTING_COLUMNS, row)


def listed_at(kept: KeptList) -> str | None:
    """Return when the hub gave its list; None if it never did."""
    return None if kept.listed is None else show_time(kept.listed)


def milestones(rollout: Rollout | None) -> Answer:
    """Return the times of the milestones that a deployment has reached."""
    return {name: show_time(at) for name, at in rollout.reached} if rollout else {}


def _name(key: str) -> str:
    return EDGE_AGENT if key == DEVICE else module_name(key)


def _since(row: Mapping[str, Any]) -> str | None:
    return show_time(row["FirstStuckSince"]) if "FirstStuckSince" in row else None
