"""What the index holds: of each device what its rows say, and counters that are their sums.

By which list a device was judged is not compared for a deployment that the hub has no more.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from status_app.fleet_index.rows import Summary, project, shard_of, summary_key
from status_app.storage.codecs import read_number
from status_app.storage.keys import escape, unescape
from status_core import read_listings

from .expected_rollouts import is_unlisted
from .world import World


def index(world: World) -> Iterator[str]:
    """The index says of each device what its rows say, its counters are their sums, and it holds no other row."""
    listings = read_listings(world.hub_list.listed()) if world.history.has_list else {}
    expected: dict[tuple[str, str], dict[str, Any]] = {}
    counters: Counter[tuple[str, str]] = Counter()
    found = {(row["PartitionKey"], row["RowKey"]): dict(row) for row in world.tables.rows("DeploymentIndex")}
    late = lagging(world)
    for device_id in world.devices:
        stored = world.stored(device_id)
        before, last = Summary(device_id), stored.last_sequence
        summary = project(stored, before, last, now=world.now, listings=listings, moved=True)
        if summary is None:
            continue
        shard = shard_of(device_id)
        stored_row = found.get((shard, summary_key(device_id)), {})
        early = [key for key in json.loads(stored_row.get("Rows", "{}")) if key.startswith("reconcile|")]
        entries = dict(summary.entries or {})
        if summary.due is not None and early and early[0] <= summary.due:  # it may be early, and not late
            entries[early[0]] = entries.pop(summary.due)
        row = {"PartitionKey": shard, "Device": escape(device_id)}
        expected |= {(shard, key): {**row, "RowKey": key, **columns} for key, columns in entries.items()}
        expected[shard, summary_key(device_id)] = {
            "PartitionKey": shard,
            "RowKey": summary_key(device_id),
            **replace(summary, entries=entries).row(),
        }
        if ("DeploymentIndex", shard, summary_key(device_id)) in late:
            expected[shard, summary_key(device_id)] |= {name: stored_row[name] for name in ("TwinVersion", "At")}
        counters.update((shard, key) for key in summary.counters or ())
    own = ("count", "progress")
    counted = {key: row["Devices"] for key, row in found.items() if key[1].startswith("count|")}
    counted, counters = _summed(world, counted), _summed(world, counters)
    if counted != counters:
        yield f"the counters are {counted}, not {dict(counters)}"
    rows = {key: row for key, row in found.items() if key[0].startswith("index:") and not key[1].startswith(own)}
    rows = {key: _comparable(world, row) for key, row in rows.items()}
    expected = {key: _comparable(world, row) for key, row in expected.items()}
    if rows != expected:
        many, few = sorted(rows.keys() - expected.keys()), sorted(expected.keys() - rows.keys())
        other = [(rows[key], expected[key]) for key in rows.keys() & expected.keys() if rows[key] != expected[key]]
        yield f"the index has too many rows {many}, too few {few}, other ones {other}"


def lagging(world: World) -> set[tuple[str, str, str]]:
    """Summaries that are made of an earlier twin: a change that moved nothing else has left them to the comparison."""
    found = set[tuple[str, str, str]]()
    for row in world.tables.rows("DeploymentIndex"):
        if row["RowKey"].startswith("summary|") and "At" in row:
            stored = world.stored(unescape(row["Device"]))
            if stored.is_known and row["At"] <= stored.at and read_number(row["TwinVersion"]) != stored.twin_version:
                found.add(("DeploymentIndex", row["PartitionKey"], row["RowKey"]))
    return found


def _comparable(world: World, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its JSON columns parsed, since their order does not count, and without the ETag of its device."""
    values = {name: json.loads(value) if name in ("Rows", "Counters") else value for name, value in row.items()}
    if "Rows" in values:
        counters = values["Counters"]
        values["Rows"] = {key: _unjudged(world, key, columns) for key, columns in values["Rows"].items()}
        values["Counters"] = {_counter(world, key): _unjudged(world, key, columns) for key, columns in counters.items()}
    values = _unjudged(world, row["RowKey"], values)
    return {name: value for name, value in values.items() if name != "StatusETag"}


def _summed(world: World, counters: Mapping[tuple[str, str], int]) -> Counter[tuple[str, str]]:
    """Counters that differ only in what is not compared, together."""
    summed = Counter[tuple[str, str]]()
    for (shard, key), devices in counters.items():
        summed[shard, _counter(world, key)] += devices
    return summed


def _counter(world: World, key: str) -> str:
    kind, deployment, *rest = key.split("|")
    if deployment and is_unlisted(world, unescape(deployment)):
        rest[5:7] = ["", ""]
    return "|".join((kind, deployment, *rest))


def _unjudged(world: World, key: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    kind, deployment, *_ = key.split("|")
    is_judged = kind not in ("count", "deployment") or not is_unlisted(world, unescape(deployment))
    return {name: value for name, value in columns.items() if is_judged or name not in ("Standing", "Version")}
