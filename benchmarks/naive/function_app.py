"""What most people would write: for each event read the twin, compare each module, upsert a row for each.

The calls are those of the official samples, and the clients are made once. It keeps no history, publishes nothing,
and knows neither rules nor races.
"""

import os
from functools import cache
from typing import List  # noqa: UP035 (the worker library does not load an annotation `list[EventHubEvent]`)

import azure.functions as func
from azure.data.tables import TableClient, TableServiceClient
from azure.iot.hub import IoTHubRegistryManager

app = func.FunctionApp()
registry = IoTHubRegistryManager.from_connection_string(os.environ["IOT_HUB"])
tables = TableServiceClient.from_connection_string(os.environ["STATUS_TABLES"])


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%TWIN_CHANGES_HUB%",
    connection="TwinChanges",
    consumer_group="%CONSUMER_GROUP%",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
def on_twin_changes(events: List[func.EventHubEvent]) -> None:  # noqa: UP006 (as above)
    """Look at the device of each event."""
    for event in events:
        look((event.iothub_metadata or {})["connection-device-id"])


@cache
def table() -> TableClient:
    """The table, made at the first event: the stand-ins do not answer while this module loads."""
    return tables.create_table_if_not_exists("ModuleStatus")


def look(device_id: str) -> None:
    """Read the twin of a device and write a row for each of its modules."""
    properties = registry.get_module_twin(device_id, "$edgeAgent").properties
    desired, reported = properties.desired, properties.reported
    found = modules(reported)
    status = reported.get("lastDesiredStatus", {})
    taken = desired["$version"] == reported.get("lastDesiredVersion")
    for name, module in modules(desired).items():
        runs = found.get(name, {})
        as_desired = (
            taken
            and runs.get("runtimeStatus") == module.get("status", "running")
            and runs.get("settings", {}).get("image") == module["settings"]["image"]
        )
        table().upsert_entity(
            {
                "PartitionKey": device_id,
                "RowKey": name,
                "State": "successful" if as_desired else "failed" if taken else "pending",
                "DesiredVersion": desired["$version"],
                "LastDesiredVersion": reported.get("lastDesiredVersion"),
                "StatusCode": status.get("code"),
                "Description": status.get("description"),
                "DesiredImage": module["settings"]["image"],
                "ReportedImage": runs.get("settings", {}).get("image"),
                "RuntimeStatus": runs.get("runtimeStatus"),
                "ExitCode": runs.get("exitCode"),
            }
        )


def modules(section: dict[str, dict[str, dict[str, dict[str, str]]]]) -> dict[str, dict[str, dict[str, str]]]:
    """The modules of a section of a twin by name, system modules too."""
    return {**section.get("systemModules", {}), **section.get("modules", {})}
