"""The tables of a large fleet: what the app wrote for one device, many times over.

Azurite takes minutes to insert so many rows one by one, so its database file is written before it starts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from azure.data.tables import EntityProperty

from local.azurite import ACCOUNT
from status_app.fleet_index import deployment_index
from status_app.fleet_index.index_rows import index_rows
from status_app.status_table import status_table

DATABASE: Final = "__azurite_db_table__.json"

type Entity = Mapping[str, Any]


def seed(folder: Path, rows: Sequence[Entity], devices: Iterable[str]) -> None:
    """Write the database of an Azurite that holds a device's rows for other devices too, and their index.

    Args:
        folder: Where the Azurite is started then (`azurite_tables(folder)`).
        rows: Some rows of one device, its own among them, as they are read.
        devices: Ids that a key can hold as they stand.
    """
    state = {row["RowKey"]: row for row in rows if not row["RowKey"].startswith("transition:")}
    device = state["device"]
    tables: dict[str, list[Entity]] = {status_table.TABLE: [], deployment_index.TABLE: []}
    for name in devices:
        tables[status_table.TABLE] += [{**row, "PartitionKey": name} for row in rows]
        tables[deployment_index.TABLE] += [
            {"PartitionKey": partition, "RowKey": key, **columns, "Written": device["ObservedAt"]}
            for (partition, key), columns in index_rows(name, state).items()
        ]
    names = _collection("$TABLES_COLLECTION$", [{"account": ACCOUNT, "table": table} for table in tables], ("table",))
    services = _collection("$SERVICES_COLLECTION$", [], ())
    contents = [
        _collection(f"{ACCOUNT}${table}", [_document(row) for row in rows], ("PartitionKey", "RowKey"))
        for table, rows in tables.items()
    ]
    database = {"filename": DATABASE, "databaseVersion": 1.5, "collections": [names, services, *contents]}
    (folder / DATABASE).write_text(json.dumps(database))


def _collection(name: str, documents: Sequence[dict[str, Any]], indices: Iterable[str]) -> dict[str, Any]:
    """A collection as LokiJS, Azurite's database, keeps it; it makes the indices anew where they are dirty."""
    data = [{**document, "meta": {"revision": 0}, "$loki": number} for number, document in enumerate(documents, 1)]
    return {
        "name": name,
        "data": data,
        "idIndex": None,
        "binaryIndices": {index: {"name": index, "dirty": True, "values": []} for index in indices},
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


def _document(row: Entity) -> dict[str, Any]:
    """An entity as Azurite keeps it."""
    time = "2026-01-01T00:00:00.0000000Z"
    properties: dict[str, Any] = {"Timestamp": time, "Timestamp@odata.type": "Edm.DateTime"}
    for name, value in row.items():
        if isinstance(value, EntityProperty):
            properties |= {name: str(value.value), f"{name}@odata.type": "Edm.Int64"}
        elif isinstance(value, datetime):
            text = value.isoformat().replace("+00:00", "Z")
            properties |= {name: text, f"{name}@odata.type": "Edm.DateTime"}
        else:
            properties[name] = value
    keys = {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}
    return {**keys, "properties": properties, "lastModifiedTime": time, "eTag": f"W/\"datetime'{time}'\""}
