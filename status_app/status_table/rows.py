"""The rows of DeploymentStatus: columns to and from what the core keeps."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.data.tables import EdmType, EntityProperty

from status_app.storage.keys import DEVICE, MODULE, escape, module_key, module_name, transition_key
from status_core import (
    Clock,
    DeviceRecord,
    Evidence,
    ModuleRecord,
    Transition,
    format_duration,
    parse_duration,
)

type Row = dict[str, Any]
"""An entity: columns without a value are left out, as Table Storage does."""

EVIDENCE_LIMIT: Final = 20
"""Comparisons kept of one transition."""
EVIDENCE_SIZE: Final = 32_000
"""Characters of their JSON. A column holds 32,768, and one comparison can have 10,000: it escapes what is not ASCII."""
NAME_LIMIT: Final = 1024
"""Characters of a module's name in a column: a twin's keys have no more bytes."""


def device_row(device_id: str, record: DeviceRecord, stable_after: timedelta, stored: Mapping[str, Any]) -> Row:
    """The device's own row; `stored` is the one that it replaces, empty where there is none."""
    modules = record.modules.values()
    desired = [module for module in modules if module.state != "extra"]
    stuck = [record.clock.stuck_since, *(module.clock.stuck_since for module in modules)]
    return _row(
        device_id,
        DEVICE,
        State=record.state,
        Reason=record.reason,
        Message=record.message,
        Rule=record.rule,
        Since=record.since,
        DesiredVersion=long(record.desired_version),
        LastDesiredVersion=long(record.last_desired_version),
        StatusCode=long(record.status_code),
        Deployments=_names(record.deployments),
        Targeted=_names(record.targeted),
        Flags=_names(record.flags),
        Portal=record.portal,
        **_clock_columns(record.clock),
        LookAt=record.due(stable_after),
        Generation=stored.get("Generation"),
        FirstStuckSince=min((time for time in stuck if time is not None), default=None),
        ModulesTotal=len(desired),
        ModulesSettled=sum(module.state == "settled" for module in desired),
        ModulesStuck=sum(module.clock.stuck_since is not None for module in modules),
        TwinVersion=long(record.twin_version),
        AgentVersion=record.agent_version,
        Sequence=long(record.sequence),
        At=record.at,
        ObservedAt=record.observed,
    )


def module_row(device_id: str, name: str, module: ModuleRecord) -> Row:
    """The row of one module."""
    return _row(
        device_id,
        module_key(name),
        State=module.state,
        Reason=module.reason,
        Message=module.message,
        Since=module.since,
        DesiredStatus=module.desired_status,
        RuntimeStatus=module.runtime_status,
        DesiredImage=module.desired_image,
        ReportedImage=module.reported_image,
        ExitCode=long(module.exit_code),
        **_clock_columns(module.clock),
        GracePeriod=format_duration(module.clock.grace),
    )


def transition_row(hub: str, device_id: str, transition: Transition, observed: datetime) -> Row:
    """The row of one transition."""
    change = transition.change
    return _row(
        device_id,
        transition_key(transition.sequence),
        Kind=change.kind.value,
        Module=change.module.encode("utf-8", "replace").decode()[:NAME_LIMIT],
        FromState=change.from_state,
        ToState=change.to_state,
        Reason=str(change.reason),
        Message=change.message,
        Evidence=_evidence(change.evidence),
        DesiredVersion=long(transition.desired_version),
        Deployments=_names(transition.deployments),
        At=transition.at,
        ObservedAt=observed,
        Sequence=long(transition.sequence),
        EventId=event_id(hub, device_id, transition.sequence),
        DurationSeconds=transition.duration,
    )


def event_id(hub: str, device_id: str, sequence: int) -> str:
    """The id of a transition's event: the same each time it is sent."""
    return f"{hub}/{device_id}/{sequence}"


def read_record(rows: Mapping[str, Mapping[str, Any]], names: Iterable[str] = ()) -> DeviceRecord | None:
    """What the core keeps of a device, from its state rows by RowKey; None where its own row is not among them.

    Args:
        rows: The rows.
        names: Modules of the twin: the key of a very long name does not hold the whole of it.
    """
    if DEVICE not in rows:
        return None
    device, known = rows[DEVICE], {module_key(name): name for name in names}
    modules = {
        known.get(key) or module_name(key): _read_module(row) for key, row in rows.items() if key.startswith(MODULE)
    }
    return DeviceRecord(
        state=device["State"],
        reason=device["Reason"],
        message=device["Message"],
        rule=device["Rule"],
        since=read_time(device["Since"]),
        desired_version=read_number(device.get("DesiredVersion")),
        last_desired_version=read_number(device.get("LastDesiredVersion")),
        status_code=read_number(device.get("StatusCode")),
        deployments=tuple(json.loads(device["Deployments"])),
        targeted=tuple(json.loads(device["Targeted"])),
        flags=tuple(json.loads(device["Flags"])),
        portal=device.get("Portal"),
        agent_version=device.get("AgentVersion"),
        twin_version=read_number(device.get("TwinVersion")),
        sequence=read_number(device["Sequence"]) or 0,
        at=read_time(device["At"]),
        observed=read_time(device["ObservedAt"]),
        clock=_read_clock(device, timedelta(0)),
        modules=modules,
    )


def _read_module(row: Mapping[str, Any]) -> ModuleRecord:
    return ModuleRecord(
        state=row["State"],
        reason=row["Reason"],
        message=row["Message"],
        since=read_time(row["Since"]),
        desired_status=row.get("DesiredStatus"),
        runtime_status=row.get("RuntimeStatus"),
        desired_image=row.get("DesiredImage"),
        reported_image=row.get("ReportedImage"),
        exit_code=read_number(row.get("ExitCode")),
        clock=_read_clock(row, parse_duration(row["GracePeriod"])),
    )


def _clock_columns(clock: Clock) -> Row:
    return {
        "UnsettledSince": clock.unsettled_since,
        "SettledSince": clock.settled_since,
        "StuckAt": clock.stuck_at,
        "Stuck": clock.stuck_since is not None,
        "StuckSince": clock.stuck_since,
    }


def _read_clock(row: Mapping[str, Any], grace: timedelta) -> Clock:
    unsettled_since, stuck_at = _maybe_time(row.get("UnsettledSince")), _maybe_time(row.get("StuckAt"))
    if unsettled_since is not None and stuck_at is not None:
        grace = stuck_at - unsettled_since
    return Clock(
        grace=grace,
        unsettled_since=unsettled_since,
        settled_since=_maybe_time(row.get("SettledSince")),
        stuck_since=_maybe_time(row.get("StuckSince")),
    )


def _row(device_id: str, row_key: str, /, **columns: Any) -> Row:
    kept = {name: value for name, value in columns.items() if value is not None}
    return {"PartitionKey": escape(device_id), "RowKey": row_key, **kept}


def long(value: int | None) -> EntityProperty | None:
    """A whole number as a column of 64 bits."""
    return None if value is None else EntityProperty(value, EdmType.INT64)


def read_number(value: Any) -> int | None:
    """A whole number, as a column of 32 or of 64 bits gives it."""
    number: int | None = value.value if isinstance(value, EntityProperty) else value
    return number


def _evidence(comparisons: Sequence[Evidence]) -> str:
    """As many comparisons as a column holds, from the first on."""
    kept = [json.dumps(comparison.as_json()) for comparison in comparisons[:EVIDENCE_LIMIT]]
    while sum(len(text) + 2 for text in kept) > EVIDENCE_SIZE:
        kept.pop()
    return f"[{', '.join(kept)}]"


def _names(names: Iterable[str]) -> str:
    return json.dumps(list(names), ensure_ascii=False)


def read_time(value: datetime) -> datetime:
    """A plain datetime of one that the SDK has dressed."""
    return datetime.fromtimestamp(value.timestamp(), UTC).replace(microsecond=value.microsecond)


def _maybe_time(value: datetime | None) -> datetime | None:
    return None if value is None else read_time(value)
