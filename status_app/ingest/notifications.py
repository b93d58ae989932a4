"""Reads events as notifications to read a device. Nothing else in an event is trusted.

A body is a patch or a whole section, merged, repeated, without configurations. Its version and time only show whether
the stored state already covers it.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from status_app.errors import BadEventError
from status_app.ingest.event_batch import IncomingEvent
from status_core import EDGE_AGENT, NAME_LIMIT, scalar, timestamp

_TWIN_SCHEMA: Final = "twinChangeNotification"
_LIFECYCLE_SCHEMAS: Final = ("deviceLifecycleNotification", "moduleLifecycleNotification")
_TWIN_OPERATIONS: Final = ("updateTwin", "replaceTwin")
_LIFECYCLE_OPERATIONS: Final = (
    "createDeviceIdentity",
    "deleteDeviceIdentity",
    "createModuleIdentity",
    "deleteModuleIdentity",
)
_CREATIONS: Final = ("createDeviceIdentity", "createModuleIdentity")
_CONNECTION_OPERATIONS: Final = ("deviceConnected", "deviceDisconnected", "moduleConnected", "moduleDisconnected")
# Only IoT Hub sets system properties, and these two only on messages from a device.
_SENT_BY_A_DEVICE: Final = ("connection-auth-method", "connection-auth-generation-id")


class OtherEvent(StrEnum):
    """An event of IoT Hub that is not about an `$edgeAgent`. The value is its name in counts."""

    TELEMETRY = "telemetry"
    """A message of a device or a module."""

    CONNECTION_STATE = "connection states"
    """A device or a module connected or disconnected."""

    JOB = "jobs"
    """A job of the hub began or ended."""

    DIGITAL_TWIN = "digital twins"
    """The digital twin of a device or a module changed."""

    DEVICE_TWIN = "device twins"
    """The twin of a device itself changed."""

    OTHER_MODULE = "other modules"
    """The twin of another module changed, or another module was created or deleted."""


# Microsoft's docs name a source `xEvents` and its schema `xNotification`, but do not name the schema of jobs.
_OTHER_SOURCES: Final = {
    "telemetry": OtherEvent.TELEMETRY,
    "devicemessages": OtherEvent.TELEMETRY,
    "mqttbrokermessages": OtherEvent.TELEMETRY,
    "deviceconnectionstateevents": OtherEvent.CONNECTION_STATE,
    "devicejoblifecycleevents": OtherEvent.JOB,
    "digitaltwinchangeevents": OtherEvent.DIGITAL_TWIN,
}
_OTHER_SCHEMAS: Final = {
    "deviceConnectionStateNotification": OtherEvent.CONNECTION_STATE,
    "deviceJobLifecycleNotification": OtherEvent.JOB,
    "digitalTwinChangeNotification": OtherEvent.DIGITAL_TWIN,
}

UNADDRESSABLE: Final = (".", "..")
"""Ids that no request can name: in a URL they mean another place."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A reason to read a device.

    Attributes:
        version: Version of the whole twin that the change made; None if the event does not say.
        time: When the hub made the change, in UTC; None if the event does not say.
        lifecycle: An identity was created or deleted, of any kind of device.
        demands: The version that a queried twin needs to be as new as the event; None if only a direct read is.
    """

    device_id: str
    version: int | None = None
    time: datetime | None = None
    lifecycle: bool = False
    demands: int | None = None


def read_notification(event: IncomingEvent) -> Notification | OtherEvent:
    """Read an event as a notification, or classify one that is not about an `$edgeAgent`.

    Raises:
        BadEventError: No IoT Hub route sends such an event, or it names no device.
    """
    properties, system = event.properties, event.system_properties
    other = _other_event(event)
    if other is not None:
        return other
    operation = properties.get("opType")
    schema = properties.get("iothub-message-schema") or _schema_of(operation)
    is_lifecycle = schema in _LIFECYCLE_SCHEMAS
    if not is_lifecycle and schema != _TWIN_SCHEMA:
        raise BadEventError(
            "unknown_schema", f"iothub-message-schema is {scalar(schema)!r}, opType {scalar(operation)!r}"
        )
    if operation not in (_LIFECYCLE_OPERATIONS if is_lifecycle else _TWIN_OPERATIONS):
        raise BadEventError("unknown_operation", f"opType of a {schema} is {scalar(operation)!r}")
    module_id = properties.get("moduleId") or system.get("connection-module-id")
    device_id = properties.get("deviceId") or system.get("connection-device-id")
    is_agent = module_id == EDGE_AGENT or (is_lifecycle and not module_id)
    other_twin = OtherEvent.OTHER_MODULE if module_id else OtherEvent.DEVICE_TWIN
    if not is_agent and device_id:
        return other_twin
    body = _body(event.body)
    device_id = device_id or body.get("deviceId")
    if not isinstance(device_id, str) or not device_id:
        raise BadEventError("no_device_id", "neither the properties nor the body name a device")
    if not is_agent and body.get("moduleId") != EDGE_AGENT:
        return OtherEvent.OTHER_MODULE if body.get("moduleId") else other_twin
    if len(device_id) > NAME_LIMIT:
        raise BadEventError("device_id_too_long", f"{len(device_id)} characters, IoT Hub allows {NAME_LIMIT}")
    if device_id in UNADDRESSABLE:
        raise BadEventError("device_id_unaddressable", f"no request can name a device {device_id!r}")
    version = body.get("version")
    known = version if isinstance(version, int) and not isinstance(version, bool) and not is_lifecycle else None
    return Notification(
        device_id=device_id,
        version=known,
        time=timestamp(properties.get("operationTimestamp")),
        lifecycle=is_lifecycle,
        demands=1 if operation in _CREATIONS else known,
    )


def _other_event(event: IncomingEvent) -> OtherEvent | None:
    """Classify an event that is not a twin change, without its body: a device can send anything.

    The source is checked first. The hub sets it, while a device can give its message any schema and operation.
    """
    source = event.system_properties.get("message-source")
    schema, operation = event.properties.get("iothub-message-schema"), event.properties.get("opType")
    if isinstance(source, str) and source.casefold() in _OTHER_SOURCES:
        return _OTHER_SOURCES[source.casefold()]
    if isinstance(schema, str) and schema:
        return _OTHER_SCHEMAS.get(schema)
    if operation in _CONNECTION_OPERATIONS:
        return OtherEvent.CONNECTION_STATE
    if not operation and any(name in event.system_properties for name in _SENT_BY_A_DEVICE):
        return OtherEvent.TELEMETRY
    return None


def is_of_a_twin(event: IncomingEvent) -> bool:
    """Whether an event claims to be about a twin or an identity, so that its body may hold any part of a twin."""
    schema, operation = event.properties.get("iothub-message-schema"), event.properties.get("opType")
    return schema in (_TWIN_SCHEMA, *_LIFECYCLE_SCHEMAS) or operation in (*_TWIN_OPERATIONS, *_LIFECYCLE_OPERATIONS)


def _schema_of(operation: Any) -> str | None:
    """Return the schema of an event whose route left it out ("You may see a subset of properties")."""
    if operation in _TWIN_OPERATIONS:
        return _TWIN_SCHEMA
    return _LIFECYCLE_SCHEMAS[0] if operation in _LIFECYCLE_OPERATIONS else None


def _body(body: bytes) -> dict[str, Any]:
    """Parse the body as JSON.

    Raises:
        BadEventError: It is not JSON. The message gives the place and not the text, which may hold a secret.
    """
    if not body.strip():
        raise BadEventError("empty_body", "the body has no content")
    try:
        value = json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadEventError("not_utf8", f"byte {error.start} of {len(body)}") from None
    except json.JSONDecodeError as error:
        raise BadEventError("not_json", f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise BadEventError("not_json", type(error).__name__) from None
    if not isinstance(value, dict):
        raise BadEventError("not_an_object", f"the body is a JSON {type(value).__name__}")
    return value
