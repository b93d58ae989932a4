"""The rows of DeploymentStatus: conversion to and from the records of the core."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from status_app.storage.columns import (
    DEVICE_COLUMNS,
    MODULE_COLUMNS,
    TRANSITION_COLUMNS,
    Row,
    built,
    read,
    write,
)
from status_app.storage.keys import DEVICE, MODULE, escape, module_key, module_name, transition_key
from status_core import (
    Clock,
    DeviceRecord,
    DeviceVerdict,
    Evidence,
    GracePolicy,
    ModuleRecord,
    ModuleState,
    ModuleVerdict,
    News,
    Transition,
)

FORMAT: Final = 2
"""The format of these rows. Format 1 had no `Format` column, and announced each state as it came."""
EVIDENCE_LIMIT: Final = 20
"""How many comparisons of a transition are stored."""
EVIDENCE_SIZE: Final = 32_000
"""Characters of their JSON. A column holds 32,768, and one comparison may have 10,000: non-ASCII is escaped."""


def device_row(
    device_id: str, record: DeviceRecord, policy: GracePolicy, published: int, cohorts: Sequence[str] = ()
) -> Row:
    """Create the device's own row.

    Args:
        device_id: The device.
        record: Its record.
        policy: Grace periods and windows.
        published: The sequence up to which its transitions were published before.
        cohorts: The cohorts that it is in.
    """
    modules = record.modules.values()
    stuck = [clock.stuck_since for clock in (record.clock, *(module.clock for module in modules))]
    columns = write(
        DEVICE_COLUMNS,
        record,
        LookAt=record.due(policy),
        Format=FORMAT,
        FirstStuckSince=min((time for time in stuck if time is not None), default=None),
        ModulesTotal=sum(module.verdict.state != ModuleState.EXTRA for module in modules),
        ModulesSettled=sum(module.verdict.state == ModuleState.SETTLED for module in modules),
        ModulesStuck=sum(module.clock.is_stuck for module in modules),
        Published=published,
        Cohorts=cohorts or None,
    )
    return {"PartitionKey": escape(device_id), "RowKey": DEVICE, **columns}


def module_row(device_id: str, name: str, module: ModuleRecord) -> Row:
    """Create the row of one module."""
    return {"PartitionKey": escape(device_id), "RowKey": module_key(name), **write(MODULE_COLUMNS, module)}


def transition_row(
    hub: str, device_id: str, transition: Transition, observed: datetime, cohorts: Sequence[str] = ()
) -> Row:
    """Create the row of one transition.

    Args:
        hub: Short name of the hub.
        device_id: The device.
        transition: The transition.
        observed: When the twin was read.
        cohorts: The cohorts that the device is in.
    """
    columns = write(
        TRANSITION_COLUMNS,
        transition,
        Evidence=_evidence(transition.change.evidence),
        Cohorts=cohorts or None,
        ObservedAt=observed,
        EventId=event_id(hub, device_id, transition.sequence),
    )
    return {"PartitionKey": escape(device_id), "RowKey": transition_key(transition.sequence), **columns}


def event_id(hub: str, device_id: str, sequence: int) -> str:
    """Return the id of a transition's event, the same each time it is sent."""
    return f"{hub}/{device_id}/{sequence}"


def read_record(rows: Mapping[str, Mapping[str, Any]]) -> DeviceRecord | None:
    """Read the record of a device from its state rows by RowKey; None if its own row is not among them.

    A module whose name is too long for a key is under its key there.
    """
    if DEVICE not in rows:
        return None
    modules = {module_name(key): _read_module(row) for key, row in rows.items() if key.startswith(MODULE)}
    values = read(DEVICE_COLUMNS, rows[DEVICE])
    verdict = built(DeviceVerdict, values, "verdict.")
    return built(DeviceRecord, values, verdict=verdict, clock=_clock(values), news=_news(values), modules=modules)


def _read_module(row: Mapping[str, Any]) -> ModuleRecord:
    values = read(MODULE_COLUMNS, row)
    verdict = built(ModuleVerdict, values, "verdict.")
    return built(ModuleRecord, values, verdict=verdict, clock=_clock(values), news=_news(values))


def _clock(values: Mapping[str, Any]) -> Clock:
    """Read the clock of a row. Rows of a previous release lack its source, and of a device the grace period."""
    unsettled_since, stuck_at = values["clock.unsettled_since"], values["clock.stuck_at"]
    grace = values["clock.grace"]
    if grace is None:
        grace = timedelta(0) if unsettled_since is None or stuck_at is None else stuck_at - unsettled_since
    return built(Clock, values, "clock.", grace=grace, grace_source=values["clock.grace_source"] or "default")


def _news(values: Mapping[str, Any]) -> News:
    """Read what was announced. A previous release announced each state."""
    if values["news.state"] is None:
        return News(values["verdict.state"], values["since"], (values["verdict.state"],))
    return built(News, values, "news.")


def _evidence(comparisons: Sequence[Evidence]) -> str:
    """Encode as many comparisons as fit into a column."""
    kept = [json.dumps(comparison.as_json()) for comparison in comparisons[:EVIDENCE_LIMIT]]
    while sum(len(text) + 2 for text in kept) > EVIDENCE_SIZE:
        kept.pop()
    return f"[{', '.join(kept)}]"
