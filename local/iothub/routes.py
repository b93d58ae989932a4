"""The events of the routes for twin changes and device lifecycle.

The envelope follows Microsoft's page on non-telemetry events; the bodies follow measurements: a reported change
carries what the device sent, a desired one the whole section, and no body ever holds `configurations`.
"""

import json
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from local.iothub.registry import EDGE_AGENT, Change, Operation, device_twin
from local.iothub.sections import excerpt, hub_time
from local.routed_event import RoutedEvent

_REPLACED: Final = ("deviceId", "moduleId", "etag", "version", "tags", "properties")


def routed_event(change: Change, hub_name: str) -> RoutedEvent:
    """Make the event of a change.

    Args:
        change: A change of the registry.
        hub_name: The hub's short name.
    """
    is_twin_change = change.operation in (Operation.UPDATE_TWIN, Operation.REPLACE_TWIN)
    schema, source = (
        ("twinChangeNotification", "twinChangeEvents")
        if is_twin_change
        else ("deviceLifecycleNotification", "deviceLifecycleEvents")
    )
    # A lifecycle event is about the device, so it has no module.
    module = {"moduleId": EDGE_AGENT} if is_twin_change else {}
    module_connection = {"iothub-connection-module-id": EDGE_AGENT} if is_twin_change else {}
    return RoutedEvent(
        body=json.dumps(_body(change), separators=(",", ":")).encode(),
        partition_key=change.device_id,
        properties={
            "iothub-message-schema": schema,
            "opType": change.operation.value,
            "hubName": hub_name,
            "deviceId": change.device_id,
            **module,
            "operationTimestamp": hub_time(change.at),
        },
        system_properties={
            "iothub-connection-device-id": change.device_id,
            **module_connection,
            "iothub-message-source": source,
            "iothub-enqueuedtime": round(change.at.timestamp() * 1000),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "correlation-id": _correlation(change, hub_name),
            "user-id": hub_name,
        },
    )


def _body(change: Change) -> Any:
    twin = change.twin
    if change.operation is Operation.REPLACE_TWIN:
        return {key: twin[key] for key in _REPLACED if key in twin}
    if change.operation is not Operation.UPDATE_TWIN:
        return device_twin(twin)
    properties = twin["properties"]
    changed = (
        {"desired": properties["desired"]}
        if change.reported_patch is None
        else {"reported": excerpt(properties["reported"], change.reported_patch)}
    )
    return {"version": twin["version"], "properties": changed}


def _correlation(change: Change, hub_name: str) -> str:
    """Return an id, the same for the same change."""
    parts = [hub_name, change.device_id, change.operation, change.twin.get("version"), hub_time(change.at)]
    return uuid5(NAMESPACE_OID, json.dumps(parts)).hex
