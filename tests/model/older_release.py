"""A process of the release before `Format`, beside those of this one.

It judges as this release does, and writes what that one wrote: fewer columns, each state as news at once, and nothing
in the index of this release. What it could not publish is in its own index, as `unsent`. A delivery flags what is
due too, as its timer did. It trims no history.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from status_app.errors import UnavailableError
from status_app.events.cloud_event import cloud_event
from status_app.fleet_index import projection
from status_app.fleet_index.rows import shard_of
from status_app.reconcile.decisions import advanced
from status_app.status_table import commit, reader
from status_app.status_table.rows import read_record
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.client import table_errors
from status_app.storage.columns import Row
from status_app.storage.keys import DEVICE, escape, joined, key_part
from status_core import Change, DeploymentStatus, DeviceRecord, GracePolicy, Kind, ModuleRecord, Transition, deletion

from .process import Process
from .surroundings import Surroundings

POLICY: Final = GracePolicy()
_STATE: Final = frozenset[str]().union(
    ("PartitionKey", "RowKey", "State", "Reason", "Message", "Since"),
    ("UnsettledSince", "SettledSince", "StuckAt", "Stuck", "StuckSince"),
)
_DEVICE: Final = _STATE.union(
    ("Rule", "DesiredVersion", "LastDesiredVersion", "StatusCode", "Deployments", "Targeted", "Flags", "Portal"),
    ("LookAt", "FirstStuckSince", "ModulesTotal", "ModulesSettled", "ModulesStuck"),
    ("TwinVersion", "AgentVersion", "Sequence", "At", "ObservedAt"),
)
_MODULE: Final = _STATE.union(
    ("DesiredStatus", "RuntimeStatus", "DesiredImage", "ReportedImage", "ExitCode", "GracePeriod")
)
_TRANSITION: Final = frozenset[str]().union(
    ("PartitionKey", "RowKey", "Kind", "Module", "FromState", "ToState", "Reason", "Message", "Evidence"),
    ("DesiredVersion", "Deployments", "At", "ObservedAt", "Sequence", "EventId", "DurationSeconds"),
)

type Part = DeviceRecord | ModuleRecord


async def handle(process: Process, world: Surroundings, device_id: str) -> None:
    """Make a device equal to its twin.

    Raises:
        LostRaceError: Another process was first.
        UnavailableError: The hub or the table service does not answer.
    """
    await process.services.reconciler()  # it creates the tables
    table: Any = process.tables.get_table_client(reader.TABLE)
    devices, older = reader.DeviceReader(table), OlderCommit(table, hub="hub1", policy=POLICY, history_limit=None)
    stored, twin = await devices.read(device_id), await process.hub.read(device_id)
    record = read_record(stored.rows)
    if twin is not None:
        change = changed(stored, world.judge(twin), process.clock())
    elif record is not None:
        change = commit.Change(stored, None, [deletion(record, process.clock())], 0)
    else:
        return
    if older.is_needed(change):
        await _announce(process, change)
        await older.commit(change)
        with suppress(UnavailableError):  # its timer tries again
            await _send(process, devices, device_id)


async def _announce(process: Process, change: commit.Change) -> None:
    """Write into the older index which transitions are not published."""
    if not change.transitions:
        return
    device_id, sequences = change.stored.device_id, [transition.sequence for transition in change.transitions]
    unsent = joined("unsent", key_part(device_id), f"{sequences[0]:019}-{sequences[-1]:019}")
    with table_errors():
        await process.tables.get_table_client(projection.TABLE).upsert_entity(
            {"PartitionKey": _shard(device_id), "RowKey": unsent, "Device": escape(device_id)}
        )


async def _send(process: Process, devices: reader.DeviceReader, device_id: str) -> None:
    """Publish what is unsent of a device by the older index, in its order, as far as it is committed."""
    index, begin = process.tables.get_table_client(projection.TABLE), joined("unsent", key_part(device_id), "")
    own = f"PartitionKey eq '{_shard(device_id)}' and RowKey ge '{begin}' and RowKey lt '{begin[:-1]}}}'"
    with table_errors():
        for unsent in [row async for row in index.query_entities(own)]:
            first, last = map(int, unsent["RowKey"].rpartition("|")[2].split("-"))
            history = await devices.transitions(device_id, range(first, last + 1))
            if history:
                await process.publisher.publish(device_id, [cloud_event(device_id, row) for row in history])
            if len(history) > last - first:
                await index.delete_entity(unsent)


def _shard(device_id: str) -> str:
    return shard_of(device_id).replace("index:", "shard:")


class OlderCommit(commit.DeviceCommit):
    """Writes changes with the columns that there were."""

    def rows(self, change: commit.Change) -> dict[str, Row]:
        """Return the state rows after a change, by RowKey."""
        return {key: _only(_DEVICE if key == DEVICE else _MODULE, row) for key, row in super().rows(change).items()}

    def _history(self, change: commit.Change) -> list[Row]:
        return [_only(_TRANSITION, row) for row in super()._history(change)]


def _only(columns: frozenset[str], row: Row) -> Row:
    return {name: value for name, value in row.items() if name in columns}


def changed(stored: StoredDevice, status: DeploymentStatus, now: datetime) -> commit.Change:
    """What the older release makes of a status: it announces each state as it comes, the modules first."""
    record, _ = advanced(stored, status, now, now, POLICY)
    before, after = _parts(stored.record(tuple(status.modules))), _parts(record)
    names = [*sorted({*before, *after} - {""}), ""]
    news = [one for name in names for one in _changes(name, before.get(name), after.get(name), status, record.at)]
    transitions = [
        Transition(one, number, status.desired_version, status.deployments, record.at)
        for number, one in enumerate(news, stored.last_sequence + 1)
    ]
    return commit.Change(stored, replace(record, sequence=stored.last_sequence + len(news)), transitions, 0)


def _parts(record: DeviceRecord | None) -> dict[str, Part]:
    """The modules by name, and the device under none."""
    return {} if record is None else {**record.modules, "": record}


def _changes(
    name: str, before: Part | None, after: Part | None, status: DeploymentStatus, at: datetime
) -> Iterator[Change]:
    """The news of a part: its state, then its flag."""
    left, left_since = ("", at) if before is None else (before.verdict.state, before.since)
    state, reason, message = "", "not_desired", "The module is neither desired nor reported any more."
    if after is not None:
        state, reason, message = after.verdict.state, after.verdict.reason, after.verdict.message
    evidence = () if after is None else status.modules[name].evidence if name else status.evidence
    why = reason, message, evidence
    if left != state:
        yield Change(Kind.MODULE if name else Kind.DEVICE, name, left, state, *why, left_since, at)
    was, now = (part.clock.unsettled_since if part and part.clock.is_stuck else None for part in (before, after))
    if was and not now:
        yield Change(Kind.RECOVERED, name, state, state, *why, was, at)
    if now and not was:
        yield Change(Kind.STUCK, name, state, state, *why, now, at)
