"""The tables of a large fleet: what the app wrote for one device, many times over.

Azurite takes minutes to insert so many rows one by one, so its database file is written before it starts.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from azure.data.tables import EntityProperty

from local.azurite import ACCOUNT
from status_app.fleet_index import lookups
from status_app.fleet_index.rows import FORMAT, Summary, project, shard_of, summary_key
from status_app.rollouts import deployment_rows
from status_app.status_table import reader
from status_app.status_table.stored_device import StoredDevice

DATABASE: Final = "__azurite_db_table__.json"
_TIME: Final = "2026-01-01T00:00:00Z"
_ETAG: Final = 'W/"0"'

type Entity = Mapping[str, Any]


def seed(folder: Path, rows: Sequence[Entity], devices: Iterable[str]) -> None:
    """Write the database of an Azurite that holds a device's rows for other devices too, and their index.

    Args:
        folder: Where the Azurite is started then (`azurite_tables(folder)`).
        rows: Some rows of one device, its own among them, as they are read.
        devices: Ids that a key can hold as they stand.
    """
    seed_devices(folder, {name: [{**row, "PartitionKey": name} for row in rows] for name in devices})


def seed_devices(folder: Path, fleet: Mapping[str, Sequence[Entity]]) -> None:
    """Write the database of an Azurite that holds the rows of devices, and their index.

    Args:
        folder: Where the Azurite is started then (`azurite_tables(folder)`).
        fleet: Of each device its rows, its own among them. A key can hold its id as it is.
    """
    index: list[Entity] = [{"PartitionKey": "build", "RowKey": f"format:{FORMAT}", "Place": "null", "Done": True}]
    tables: dict[str, list[Entity]] = {reader.TABLE: [], lookups.TABLE: index, deployment_rows.TABLE: []}
    counted, like = Counter[tuple[str, str]](), dict[tuple[str, str], Entity]()
    for name, rows in fleet.items():
        state = {row["RowKey"]: row for row in rows if not row["RowKey"].startswith("transition:")}
        last = state["device"]["Sequence"].value
        tables[reader.TABLE] += [{**row, "PartitionKey": name} for row in rows]
        shard = shard_of(name)
        said = project(StoredDevice(name, state, _ETAG, last), Summary(name), last, now=datetime.fromisoformat(_TIME))
        assert said is not None  # noqa: S101 (a device that has a state)
        index.append({"PartitionKey": shard, "RowKey": summary_key(name), **said.row()})
        index += [
            {"PartitionKey": shard, "RowKey": key, "Device": name, **columns}
            for key, columns in (said.entries or {}).items()
        ]
        for key, columns in (said.counters or {}).items():
            counted[shard, key] += 1
            like[shard, key] = columns
    for (shard, key), number in counted.items():
        index.append({"PartitionKey": shard, "RowKey": key, **like[shard, key], "Devices": number})
    names = _collection("$TABLES_COLLECTION$", [{"account": ACCOUNT, "table": table} for table in tables], ("table",))
    services = _collection("$SERVICES_COLLECTION$", [], ())
    contents = [
        _collection(f"{ACCOUNT}${table}", [_document(row) for row in rows], ("PartitionKey", "RowKey"))
        for table, rows in tables.items()
    ]
    database = {"filename": DATABASE, "databaseVersion": 1.5, "collections": [names, services, *contents]}
    (folder / DATABASE).write_text(json.dumps(database, separators=(",", ":")))


def _collection(name: str, documents: Sequence[dict[str, Any]], indices: Iterable[str]) -> dict[str, Any]:
    """A collection as LokiJS, Azurite's database, keeps it: an index has the places of the documents in its order."""
    data = [{**document, "meta": {"revision": 0}, "$loki": number} for number, document in enumerate(documents, 1)]
    return {
        "name": name,
        "data": data,
        "idIndex": None,
        "binaryIndices": {
            index: {"name": index, "dirty": False, "values": _order([document[index] for document in data])}
            for index in indices
        },
        "uniqueNames": [],
        "transforms": {},
        "objType": name,
        "adaptiveBinaryIndices": True,
        "disableChangesApi": True,
        "disableDeltaChangesApi": True,
        "maxId": len(data),
        "DynamicViews": [],
        "events": {},
        "changes": [],
    }


def _order(values: Sequence[str]) -> list[int]:
    return sorted(range(len(values)), key=values.__getitem__)


def _document(row: Entity) -> dict[str, Any]:
    """An entity as Azurite keeps it, in few characters: it reads its file as one text, of at most 512 MiB."""
    properties: dict[str, Any] = {"Timestamp": _TIME, "Timestamp@odata.type": "Edm.DateTime"}
    keys = {name: row[name] for name in ("PartitionKey", "RowKey")}
    for name, value in row.items():
        if name in keys:
            continue
        if isinstance(value, EntityProperty):
            properties |= {name: str(value.value), f"{name}@odata.type": "Edm.Int64"}
        elif isinstance(value, datetime):
            text = value.isoformat().replace("+00:00", "Z")
            properties |= {name: text, f"{name}@odata.type": "Edm.DateTime"}
        else:
            properties[name] = value
    return {**keys, "properties": properties, "lastModifiedTime": _TIME, "eTag": _ETAG}
